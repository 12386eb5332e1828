"""The clients against a real hub, over a real socket."""

import dataclasses
import inspect
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest
import standardwebhooks

from gateway_hub.client import (
    AsyncClient,
    Client,
    Draft,
    HubProblemError,
    Message,
    WaitTimeoutError,
    WebhookVerificationError,
    verify_webhook,
)
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.webhooks.signing import sign_webhook
from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.write_openapi import describe_api
from tests.client.conftest import Driver
from tests.conftest import FakeClock


async def _phone(hub: Hub) -> Any:
    return await phones.register(hub, (await hub.access.get_project("default")).id, "clinics")


async def test_a_message_is_sent_and_seen(hub: Hub, client: Driver, clock: FakeClock) -> None:
    later = clock() + timedelta(hours=1)
    sent: Message = await client.ask(
        "send",
        "+255712345678",
        "Habari",
        tag="clinics",
        expires_at=later,
        reference="r-1",
        metadata={"a": "b"},
    )
    assert (sent.status, sent.to_number, sent.final) == ("queued", "+255712345678", False)
    assert (sent.route, sent.reference) == ({"device_id": None, "tag": "clinics"}, "r-1")
    assert (sent.metadata, sent.created_at, sent.segments) == ({"a": "b"}, clock(), 1)
    assert datetime.fromisoformat(sent.raw["expires_at"]) == later
    assert await client.ask("get", sent.id) == sent
    assert (await client.ask("cancel", sent.id)).status == "cancelled"
    assert (await client.ask("resend", sent.id)).status == "queued"


async def test_the_same_key_sends_once(client: Driver) -> None:
    sent = [await client.ask("send", "1234", "x", idempotency_key="k-1") for _ in range(2)]
    assert sent[0].id == sent[1].id
    assert (await client.ask("send", "1234", "x")).id != sent[0].id
    assert len(await client.take(9, "messages")) == 2


async def test_a_problem_is_raised_with_all_that_was_told(client: Driver) -> None:
    with pytest.raises(HubProblemError) as caught:
        await client.ask("send", "nobody", "x")
    problem = caught.value
    assert (problem.status, problem.code) == (422, "invalid_input")
    [field] = problem.errors
    assert (field.pointer, field.code) == ("/to", "not_a_number")
    assert problem.request_id is not None
    assert problem.request_id in str(problem)
    with pytest.raises(HubProblemError, match="not_found"):
        await client.ask("get", "nothing/../here")


async def test_a_batch_tells_of_each(client: Driver) -> None:
    drafts = [Draft("1234", "x"), Draft("nobody", "x"), Draft("1234", "y", priority=5)]
    first, second, third = await client.ask("send_batch", drafts)
    assert isinstance(second, HubProblemError)
    assert (second.status, second.errors[0].code) == (422, "not_a_number")
    assert (first.text, third.raw["priority"]) == ("x", 5)


async def test_lists_are_read_to_their_end(hub: Hub, client: Driver) -> None:
    drafts = [Draft("1234", f"{number}") for number in range(150)]
    await client.ask("send_batch", drafts)
    texts = [item.text for item in await client.take(999, "messages", direction="outbound")]
    assert texts == [draft.text for draft in reversed(drafts)]
    device = await _phone(hub)
    [told] = await client.take(9, "devices")
    assert (told.id, told.tags, told.online) == (device.id, ("clinics",), False)


async def test_a_message_is_waited_for(hub: Hub, client: Driver) -> None:
    device = await _phone(hub)
    sent = await client.ask("send", "1234", "x", device_id=device.id)
    with pytest.raises(WaitTimeoutError) as caught:
        await client.ask("wait", sent.id, until={"sent"}, timeout_seconds=0)
    assert caught.value.message.status == "queued"
    await phones.poll(hub, device)
    await phones.report(hub, device, sent.id, Status.SENT, "SENT")
    seen = await client.ask("wait", sent.id, until={"sent", "delivered"})
    assert (seen.status, seen.attempts[0].device_id) == ("sent", device.id)
    await phones.report(hub, device, sent.id, Status.FAILED, "FAILED")
    await phones.report(hub, device, sent.id, Status.DELIVERED, "DELIVERED")
    assert (await client.ask("wait", sent.id)).final


async def test_a_webhook_endpoint_is_made_with_its_secret(client: Driver) -> None:
    made = await client.ask(
        "create_webhook_endpoint",
        "https://backend.example.org/hook",
        ["message.received", "message.failed"],
        tags=["clinics"],
        description="ours",
    )
    assert (made.url, made.tags) == ("https://backend.example.org/hook", ("clinics",))
    assert (set(made.events), made.description) == ({"message.received", "message.failed"}, "ours")
    assert made.secret is not None
    assert made.secret not in repr(made)
    signed = sign_webhook("e", datetime.now().astimezone(), b"{}", [made.secret])
    verify_webhook(signed, b"{}", made.secret)


def test_both_clients_can_do_the_same() -> None:
    def methods(kind: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") or name == "__init__"
        }

    assert methods(Client) == methods(AsyncClient)


def test_nothing_that_can_be_asked_for_is_missing() -> None:
    """Compared with the description of the API."""
    document = describe_api()

    def parameters(path: str) -> set[str]:
        return {
            item["name"]
            for item in document["paths"][path]["get"]["parameters"]
            if item["in"] == "query"
        }

    def takes(name: str) -> set[str]:
        return set(inspect.signature(getattr(Client, name)).parameters) - {"self"}

    fields = document["components"]["schemas"]["SendMessageRequest"]["properties"]
    own = {field.name for field in dataclasses.fields(Draft)}
    assert own - {"device_id", "tag"} == fields.keys() - {"route"}
    assert takes("send") == own | {"idempotency_key"}
    assert takes("messages") == parameters("/v1/messages") - {"limit", "cursor"}
    assert takes("events") == parameters("/v1/events") - {"limit"}
    assert takes("stream_events") == parameters("/v1/events/stream")


def test_the_client_brings_nothing_of_the_server() -> None:
    heavy = {"fastapi", "starlette", "sqlalchemy", "pydantic", "uvicorn", "structlog", "lxml"}
    program = "import sys, gateway_hub.client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert heavy & set(loaded) == set()
    ours = {name for name in loaded if name.startswith("gateway_hub.")}
    assert {name.split(".")[1] for name in ours} == {"client", "domain"}


def test_a_webhook_of_another_program_is_verified_by_the_client() -> None:
    secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    body, now = b'{"type":"message.received"}', datetime.now().astimezone()
    signature = standardwebhooks.Webhook(secret).sign("evt-1", now, body.decode())
    headers = {
        "Webhook-Id": "evt-1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": signature,
    }
    verify_webhook(headers, body, secret)
    with pytest.raises(WebhookVerificationError):
        verify_webhook(headers, body + b" ", secret)
