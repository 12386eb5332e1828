"""Webhook endpoints and what they answer a hub, for tests of what the API then tells."""

from typing import Any

import httpx

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.webhooks.deliveries import FinishedAttempt
from gateway_hub.domain.webhooks.outcomes import Answer, AttemptResult, Outcome
from gateway_hub.services.hub import Hub

ENDPOINTS = "/v1/webhook-endpoints"
URL = "https://backend.example.org/sms"


async def create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """Return a new webhook endpoint for all events, or as *fields* say, with its secret."""
    body = {"url": URL, "events": ["*"], **fields}
    answer = await client.post(ENDPOINTS, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def create_callback(client: httpx.AsyncClient, url: str = URL) -> dict[str, Any]:
    """Return the webhook endpoint that stands for *url*, once a message named it."""
    await send(client, status_callback=url)
    answer = await client.get(ENDPOINTS, params={"kind": "callback", "limit": 1})
    [callback] = answer.json()["data"]
    found: dict[str, Any] = callback
    return found


async def send(client: httpx.AsyncClient, times: int = 1, **fields: Any) -> list[str]:
    """Return the ids of so many new messages: each is an event."""
    message = {"to": "+255712345678", "text": "x", **fields}
    answer = await client.post("/v1/messages/batch", json={"messages": [message] * times})
    return [item["message"]["id"] for item in answer.json()["data"]]


async def answer_due(hub: Hub, clock: Clock, status: int, body: bytes = b"", room: int = 99) -> int:
    """Let *room* of what is due be answered with *status* in 7 ms; return how many it were."""
    await hub.publisher.publish_all()
    taken = await hub.webhook_deliveries.record_and_claim([], busy={}, room=room)
    result = AttemptResult(Outcome.of_status(status), 7, Answer(body))
    finished = [FinishedAttempt(item, clock(), result) for item in taken]
    await hub.webhook_deliveries.record_and_claim(finished, busy={}, room=0)
    return len(finished)
