"""Events through the API: what they hold, and the log that is read by them."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.domain.access import Scope
from gateway_hub.domain.events import EventType, NewEvent
from gateway_hub.domain.lifecycle import Status
from gateway_hub.services.hub import Hub
from gateway_hub.storage import events as event_rows
from gateway_hub.storage.transactions import Transaction
from tests.api import phones
from tests.api.clients import connected, problem_of, refused_fields

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


async def _read(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def _happen(hub: Hub, client: httpx.AsyncClient, times: int = 1) -> list[str]:
    """Send messages; return their ids, once their events are in the log."""
    body = {"messages": [{"to": "+255712345678", "text": "x"} for _ in range(times)]}
    sent = (await client.post("/v1/messages/batch", json=body)).json()["data"]
    await hub.publisher.publish_all()
    return [item["message"]["id"] for item in sent]


def _messages_of(page: dict[str, Any]) -> list[str]:
    return [event["data"]["id"] for event in page["data"]]


async def test_the_log_is_read_page_by_page_and_goes_on(hub: Hub, admin: httpx.AsyncClient) -> None:
    ids = await _happen(hub, admin, 5)
    read: list[str] = []
    page = await _read(admin, limit=2)
    while page["has_more"]:
        read += _messages_of(page)
        page = await _read(admin, limit=2, cursor=page["next_cursor"])
    read += _messages_of(page)
    assert read == ids
    page = await _read(admin, cursor=page["next_cursor"])
    assert (page["data"], page["has_more"]) == ([], False)
    more = await _happen(hub, admin, 1)
    assert _messages_of(await _read(admin, cursor=page["next_cursor"])) == more


async def test_a_reader_may_begin_at_either_end(hub: Hub, admin: httpx.AsyncClient) -> None:
    before = await _happen(hub, admin, 2)
    latest = await _read(admin, cursor="latest")
    assert latest["data"] == []
    after = await _happen(hub, admin, 2)
    assert _messages_of(await _read(admin, cursor=latest["next_cursor"])) == after
    assert _messages_of(await _read(admin, cursor="earliest")) == before + after


async def test_an_event_is_told_alike_wherever_it_is_read(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    await _happen(hub, admin)
    [event] = (await _read(admin))["data"]
    assert list(event) == ["id", "type", "timestamp", "project_id", "data"]
    assert event["timestamp"] == event["data"]["created_at"] == "2026-03-01T12:00:00.000Z"
    assert (await admin.get(f"/v1/events/{event['id']}")).json() == event
    stream = (await admin.get("/v1/events/stream", params={"cursor": "earliest"})).text
    assert stream.startswith("event: message.queued\ndata: {")
    data = next(line for line in stream.splitlines() if line.startswith("data: "))
    assert json.loads(data.removeprefix("data: ")) == event


async def test_events_are_chosen_by_what_they_are_about(hub: Hub, admin: httpx.AsyncClient) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    first, second = await _happen(hub, admin, 2)
    assert len((await phones.poll(hub, device)).offers) == 2
    await hub.publisher.publish_all()

    async def types(**query: str) -> list[str]:
        return [event["type"] for event in (await _read(admin, **query))["data"]]

    queued, dispatched = "message.queued", "message.dispatched"
    assert await types(message_id=first) == [queued, dispatched]
    assert await types(device_id=device.id) == [dispatched, dispatched]
    assert await types(type=dispatched, message_id=second) == [dispatched]
    assert await types(type="message.failed") == []
    assert await types(message_id="no id") == []


async def test_a_key_is_told_only_of_what_it_may_read(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient
) -> None:
    project = await hub.access.get_project("default")
    await _happen(hub, admin)

    async def write(tx: Transaction) -> None:
        tx.journal.note_event(
            NewEvent(
                EventType.DEVICE_ONLINE,
                datetime(2026, 3, 1, tzinfo=UTC),
                project.id,
                {"id": "1"},
                device_id="1",
            )
        )

    await hub.database.write(write)
    await hub.publisher.publish_all()
    async with connected(app, hub, Scope.MESSAGES_READ) as client:
        assert [item["type"] for item in (await _read(client))["data"]] == ["message.queued"]
        answer = await client.get("/v1/events", params={"type": "device.online"})
        assert problem_of(answer)["detail"] == "The API key lacks the scope devices:read."
        everything = (await _read(admin))["data"]
        assert [item["type"] for item in everything] == ["message.queued", "device.online"]
        hidden = await client.get(f"/v1/events/{everything[1]['id']}")
        assert hidden.status_code == 404


async def test_a_cursor_of_another_log_is_refused(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient
) -> None:
    await _happen(hub, admin)
    cursor = (await _read(admin))["next_cursor"]
    await hub.access.create_project("other", None)
    async with connected(app, hub, project="other") as other:
        for wrong in (cursor, cursor[:-1], "A" * 22, "é", "=" * 22):
            for path in ("/v1/events", "/v1/events/stream"):
                answer = await other.get(path, params={"cursor": wrong})
                assert refused_fields(answer) == [("/cursor", "invalid_cursor")]
        answer = await other.get("/v1/events/stream", headers={"Last-Event-ID": cursor})
        assert refused_fields(answer) == [("/cursor", "invalid_cursor")]
        own = (await _read(other))["next_cursor"]
        assert own != cursor


async def test_a_cursor_before_what_was_removed_is_gone(hub: Hub, admin: httpx.AsyncClient) -> None:
    await _happen(hub, admin)
    page = await _read(admin)
    await _happen(hub, admin)

    async def remove(tx: Transaction) -> None:
        await event_rows.move_place(tx, event_rows.REMOVED, 2)

    await hub.database.write(remove)
    for path in ("/v1/events", "/v1/events/stream"):
        answer = await admin.get(path, params={"cursor": page["next_cursor"]})
        assert (answer.status_code, problem_of(answer)["code"]) == (410, "cursor_expired")
    assert (await _read(admin))["has_more"] is False


async def test_a_stream_begins_after_the_last_event_id(hub: Hub, admin: httpx.AsyncClient) -> None:
    first, second = await _happen(hub, admin, 2)
    page = await _read(admin, limit=1)
    assert _messages_of(page) == [first]
    answer = await admin.get(
        "/v1/events/stream",
        params={"cursor": "latest"},
        headers={"Last-Event-ID": page["next_cursor"]},
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == (
        "no-store",
        "no",
    )
    assert second in answer.text
    assert (await _read(admin))["next_cursor"] in answer.text
    quiet = await admin.get("/v1/events/stream")
    assert quiet.text.startswith(": still here\nid: ")
    head = await admin.head("/v1/events/stream")
    assert (head.status_code, head.content) == (200, b"")


async def test_an_event_tells_a_device_as_the_api_does(hub: Hub, admin: httpx.AsyncClient) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id, "north")
    await phones.poll(hub, device)
    await hub.states.flush()
    data = await _last_data(hub)
    told = (await admin.get(f"/v1/devices/{device.id}")).json()
    left_out = {"backlog", "budget_left"}
    assert data == {name: value for name, value in told.items() if name not in left_out}
    assert data["online"] is True
