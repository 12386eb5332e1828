"""Events through the API: what they hold, and the log that is read by them."""

import json
from typing import Any

import httpx
import pytest

from gateway_hub.domain.lifecycle import Status
from gateway_hub.services.hub import Hub
from gateway_hub.storage import events as event_rows
from gateway_hub.storage.transactions import Transaction
from tests.api import phones

NOT_IN_EVENTS = {"attempts", "reports", "waiting_for"}


async def _last_data(hub: Hub) -> dict[str, Any]:
    """Return the data of the newest event."""
    await hub.publisher.publish_all()

    async def query(tx: Transaction) -> dict[str, Any]:
        bounds = await event_rows.find_bounds(tx)
        [event] = await event_rows.list_after(tx, bounds.last - 1, limit=1)
        data: dict[str, Any] = json.loads(event.data)
        return data

    return await hub.database.read(query)


async def _is_told_alike(hub: Hub, client: httpx.AsyncClient) -> str:
    """Check that the newest event tells its message as the API does; return its status."""
    data = await _last_data(hub)
    answer = await client.get(f"/v1/messages/{data['id']}")
    told = answer.json()
    assert data == {name: value for name, value in told.items() if name not in NOT_IN_EVENTS}
    assert list(data) == [name for name in told if name not in NOT_IN_EVENTS]
    return str(data["status"])


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="plain"),
        pytest.param(
            {
                "text": 'quotes " and \\ and 😀',
                "route": {"tag": "north"},
                "reference": "r-1",
                "metadata": {"a": "ä", "b": ""},
                "expires_at": "2026-03-02T12:00:00.123Z",
                "if_uncertain": "resend",
                "max_attempts": 3,
                "priority": -3,
            },
            id="with everything",
        ),
        pytest.param({"send_at": "2026-03-01T12:00:01Z"}, id="for later"),
    ],
)
async def test_an_event_tells_an_outbound_message_as_the_api_does(
    hub: Hub, admin: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id, "north")
    body = {"to": "+255712345678", "text": "Habari", **fields}
    assert (await admin.post("/v1/messages", json=body)).status_code == 201
    assert await _is_told_alike(hub, admin) in {"queued", "scheduled"}
    if "send_at" in fields:
        return
    [offer] = (await phones.poll(hub, device)).offers
    assert await _is_told_alike(hub, admin) == "dispatched"
    await phones.report(hub, device, offer.wire_id, Status.FAILED, "FAILED")
    assert await _is_told_alike(hub, admin) in {"failed", "scheduled"}


async def test_an_event_tells_an_inbound_message_as_the_api_does(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    await phones.forward_sms(hub, device, "+255712345678", "hello\n\x1b\u2028")
    assert await _is_told_alike(hub, admin) == "received"
    await phones.forward_mms(hub, device, b"<p>", "a.html")
    assert await _is_told_alike(hub, admin) == "received"
    assert len((await _last_data(hub))["attachments"]) == 1
