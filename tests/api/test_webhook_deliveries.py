"""Webhook deliveries through the API: listed, looked at, sent again."""

from typing import Any

import httpx
import pytest

from gateway_hub.services.hub import Hub
from tests.api import hooks
from tests.api.clients import problem_of, refused_fields
from tests.api.hooks import ENDPOINTS
from tests.conftest import FakeClock

NOON = "2026-03-01T12:00:00.000Z"


async def _read(client: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """Return the deliveries to the webhook endpoint at *path*, newest first."""
    answer = await client.get(f"{path}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["data", "next_cursor"]
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def _path(client: httpx.AsyncClient, event: str = "message.queued") -> str:
    """Return the path of a new webhook endpoint for events of that type."""
    return f"{ENDPOINTS}/{(await hooks.create(client, events=[event]))['id']}"


async def _make_dead(hub: Hub, client: httpx.AsyncClient, clock: FakeClock, path: str) -> None:
    """Let what is due be given up: the endpoint says that it is gone, and is enabled."""
    await hooks.answer_due(hub, clock, 410)
    assert (await client.patch(path, json={"state": "enabled"})).status_code == 200


async def _replay(client: httpx.AsyncClient, path: str, **wanted: Any) -> int:
    answer = await client.post(f"{path}/replay", json=wanted)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["replayed"]
    return int(answer.json()["replayed"])


# Listed


async def test_deliveries_are_listed_by_status_newest_first(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = await _path(admin)
    expected: list[dict[str, Any]] = []
    for status in ("delivered", "dead", "pending"):
        messages = await hooks.send(admin, 2)
        if status == "delivered":
            assert await hooks.answer_due(hub, clock, 200) == 2
        elif status == "dead":
            await _make_dead(hub, admin, clock, path)
        else:
            await hub.publisher.publish_all()
        found = await _read(admin, path, status=status)
        assert [item["message_id"] for item in found] == messages[::-1]
        assert {item["status"] for item in found} == {status}
        expected = found + expected
    assert [item["id"] for item in await _read(admin, path)] == [item["id"] for item in expected]


async def test_a_delivery_tells_of_what_it_is(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    made, callback = await _path(admin), await hooks.create_callback(admin)
    clock.advance(minutes=1)
    await hooks.answer_due(hub, clock, 200)
    [of_endpoint] = await _read(admin, made)
    [of_callback] = await _read(admin, f"{ENDPOINTS}/{callback['id']}")
    [event] = (await admin.get("/v1/events")).json()["data"]
    assert list(of_endpoint.items()) == [
        ("id", of_endpoint["id"]),
        ("event_id", event["id"]),
        ("event_type", "message.queued"),
        ("message_id", event["data"]["id"]),
        ("url", None),
        ("status", "delivered"),
        ("attempt_count", 1),
        ("next_attempt_at", None),
        ("reply_id", None),
        ("created_at", of_endpoint["created_at"]),
        ("updated_at", "2026-03-01T12:01:00.000Z"),
    ]
    assert (of_callback["event_id"], of_callback["url"]) == (event["id"], hooks.URL)


async def test_a_status_that_is_none_is_refused(shared: httpx.AsyncClient) -> None:
    answer = await shared.get(f"{ENDPOINTS}/any/deliveries", params={"status": "sent"})
    assert refused_fields(answer) == [("/status", "not_allowed")]


async def test_a_cursor_is_good_for_its_own_endpoint_and_status_only(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    path, other = await _path(admin), await _path(admin)
    await hooks.send(admin, 3)
    await hub.publisher.publish_all()
    query: dict[str, Any] = {"status": "pending", "limit": 2}
    first = (await admin.get(f"{path}/deliveries", params=query)).json()
    cursor = first["next_cursor"]
    rest = (await admin.get(f"{path}/deliveries", params={**query, "cursor": cursor})).json()
    assert rest["next_cursor"] is None
    walked = [item["id"] for item in first["data"] + rest["data"]]
    assert walked == [item["id"] for item in await _read(admin, path)]
    assert len(walked) == 3

    for elsewhere, filters in ((other, query), (path, {}), (path, {"status": "dead"})):
        answer = await admin.get(f"{elsewhere}/deliveries", params={**filters, "cursor": cursor})
        assert (answer.status_code, problem_of(answer)["code"]) == (422, "invalid_cursor")


# Looked at


async def test_a_delivery_is_shown_with_each_attempt(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = await _path(admin)
    await hooks.send(admin)
    await hooks.answer_due(hub, clock, 500, b"we are \xff out")
    [listed] = await _read(admin, path)
    assert (listed["status"], listed["attempt_count"]) == ("pending", 1)
    assert "2026-03-01T12:00:04" < listed["next_attempt_at"] < "2026-03-01T12:00:06"
    clock.advance(seconds=6)
    await hooks.answer_due(hub, clock, 204)
    found = (await admin.get(f"{path}/deliveries/{listed['id']}")).json()
    attempts = found.pop("attempts")
    assert [found] == await _read(admin, path)
    assert (found["status"], found["attempt_count"]) == ("delivered", 2)
    assert list(attempts[0].items()) == [
        ("number", 1),
        ("started_at", NOON),
        ("duration_ms", 7),
        ("outcome", "refused"),
        ("http_status", 500),
        ("fault", None),
        ("detail", "answered 500"),
        ("excerpt", "we are � out"),
        ("reply_problem", None),
    ]
    later = attempts[1]
    assert (later["number"], later["started_at"]) == (2, "2026-03-01T12:00:06.000Z")
    assert (later["outcome"], later["http_status"]) == ("delivered", 204)
    assert len(attempts) == 2


async def test_attempts_are_counted_since_the_last_replay_and_all_are_shown(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = await _path(admin)
    await hooks.send(admin)
    await _make_dead(hub, admin, clock, path)
    [dead] = await _read(admin, path)
    assert (dead["status"], dead["attempt_count"], dead["next_attempt_at"]) == ("dead", 1, None)
    clock.advance(minutes=1)
    assert await _replay(admin, path, status="dead") == 1
    [again] = await _read(admin, path)
    now = "2026-03-01T12:01:00.000Z"
    anew = {"status": "pending", "attempt_count": 0, "next_attempt_at": now, "updated_at": now}
    assert again == dead | anew
    await hooks.answer_due(hub, clock, 200)
    found = (await admin.get(f"{path}/deliveries/{dead['id']}")).json()
    assert (found["status"], found["attempt_count"]) == ("delivered", 1)
    assert [(item["number"], item["http_status"]) for item in found["attempts"]] == [
        (1, 410),
        (2, 200),
    ]


async def test_a_delivery_is_found_at_its_own_endpoint_only(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    path, other = await _path(admin), await _path(admin)
    await hooks.send(admin)
    await hub.publisher.publish_all()
    [delivery] = await _read(admin, path)
    assert (await admin.get(f"{path}/deliveries/{delivery['id']}")).status_code == 200
    answer = await admin.get(f"{other}/deliveries/{delivery['id']}")
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "not_found")


# Sent again


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="none"),
        pytest.param({"since": None, "event_ids": None, "status": None}, id="nulls"),
        pytest.param({"since": NOON, "event_ids": ["a"]}, id="since and events"),
        pytest.param({"since": NOON, "status": "dead"}, id="since and dead"),
        pytest.param({"event_ids": ["a"], "status": "dead"}, id="events and dead"),
        pytest.param({"since": NOON, "event_ids": ["a"], "status": "dead"}, id="all"),
    ],
)
async def test_a_replay_names_one_of_three(shared: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await shared.post(f"{ENDPOINTS}/any/replay", json=body)
    assert refused_fields(answer) == [("", "one_of")]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        pytest.param({"since": "yesterday"}, "/since", "not_a_time", id="no time"),
        pytest.param({"event_ids": []}, "/event_ids", "too_short", id="no event"),
        pytest.param({"event_ids": ["a"] * 201}, "/event_ids", "too_long", id="201 events"),
        pytest.param({"event_ids": [""]}, "/event_ids/0", "too_short", id="no id"),
        pytest.param({"status": "pending"}, "/status", "not_allowed", id="pending"),
        pytest.param({"dead": True}, "/dead", "unknown_field", id="other field"),
    ],
)
async def test_a_replay_that_cannot_be_is_refused(
    shared: httpx.AsyncClient, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await shared.post(f"{ENDPOINTS}/any/replay", json=body)
    assert (pointer, code) in refused_fields(answer)


async def test_events_are_sent_again_and_counted(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = await _path(admin)
    await hooks.send(admin, 3)
    await hooks.answer_due(hub, clock, 200)
    ids = [item["event_id"] for item in await _read(admin, path)]
    assert await _replay(admin, path, event_ids=[ids[0], ids[1], ids[0]]) == 2
    assert [item["event_id"] for item in await _read(admin, path, status="pending")] == ids[:2]
    assert await hooks.answer_due(hub, clock, 200) == 2
    assert await _replay(admin, path, since=NOON) == 3
    assert await hooks.answer_due(hub, clock, 200) == 3
    assert await _replay(admin, path, since="2026-03-01T12:00:00.001Z") == 0
    assert await _replay(admin, path, status="dead") == 0
    assert await hooks.answer_due(hub, clock, 200) == 0


async def test_what_happened_before_it_was_made_is_replayed_if_it_asks_for_that(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    await hooks.send(admin, 2)
    await hub.publisher.publish_all()
    path, other = await _path(admin), await _path(admin, "message.sent")
    assert await _replay(admin, path, since=NOON) == 2
    assert await _replay(admin, other, since=NOON) == 0
    assert len(await _read(admin, path, status="pending")) == 2
    assert await _read(admin, other) == []


async def test_what_it_was_sent_is_replayed_though_it_asks_for_other_events_now(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = await _path(admin)
    await hooks.send(admin)
    await hooks.answer_due(hub, clock, 200)
    await admin.patch(path, json={"events": ["message.sent"]})
    await hooks.send(admin)
    await hub.publisher.publish_all()
    assert await _replay(admin, path, since=NOON) == 1
    assert await hooks.answer_due(hub, clock, 200) == 1


async def test_an_event_that_is_not_in_the_log_is_named(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = await _path(admin)
    await hooks.send(admin)
    await hooks.answer_due(hub, clock, 200)
    [delivery] = await _read(admin, path)
    wanted = ["nothing", delivery["event_id"], "nothing either"]
    answer = await admin.post(f"{path}/replay", json={"event_ids": wanted})
    assert refused_fields(answer) == [
        ("/event_ids/0", "unknown_event"),
        ("/event_ids/2", "unknown_event"),
    ]
    assert await _read(admin, path, status="pending") == []


async def test_what_is_replayed_to_one_that_is_paused_waits(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = await _path(admin)
    await hooks.send(admin)
    await hooks.answer_due(hub, clock, 200)
    await admin.patch(path, json={"state": "paused"})
    assert await _replay(admin, path, since=NOON) == 1
    assert await hooks.answer_due(hub, clock, 200) == 0
    await admin.patch(path, json={"state": "enabled"})
    assert await hooks.answer_due(hub, clock, 200) == 1
