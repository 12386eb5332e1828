"""Webhook endpoints through the API: made, changed, removed, tested; their secrets."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.domain.access import Scope
from gateway_hub.services.hub import Hub
from tests.api import hooks
from tests.api.clients import connected, problem_of, refused_fields
from tests.api.hooks import ENDPOINTS, URL
from tests.conftest import FakeClock

NOON = "2026-03-01T12:00:00.000Z"
TOMORROW = "2026-03-02T12:00:00.000Z"


async def _get(client: httpx.AsyncClient, endpoint_id: str) -> dict[str, Any]:
    answer = await client.get(f"{ENDPOINTS}/{endpoint_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def _list(client: httpx.AsyncClient, **query: Any) -> list[str]:
    answer = await client.get(ENDPOINTS, params=query)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["data"]]


# Made


async def test_an_endpoint_is_made_and_its_secret_shown_once(admin: httpx.AsyncClient) -> None:
    given = {"url": URL, "events": ["message.received"], "tags": ["north"], "description": "A"}
    answer = await admin.post(ENDPOINTS, json=given)
    assert answer.status_code == 201
    made = answer.json()
    assert list(made.items()) == [
        ("id", made["id"]),
        ("kind", "endpoint"),
        ("url", URL),
        ("events", ["message.received"]),
        ("tags", ["north"]),
        ("description", "A"),
        ("state", "enabled"),
        ("disabled_reason", None),
        ("circuit", {"state": "closed", "failures": 0, "failing_since": None, "until": None}),
        ("previous_secret_until", None),
        ("created_at", NOON),
        ("updated_at", NOON),
        ("secret", made["secret"]),
    ]
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    found = await admin.get(answer.headers["location"])
    listed = await admin.get(ENDPOINTS)
    changed = await admin.patch(answer.headers["location"], json={"description": "A"})
    assert found.json() == made
    assert listed.json() == {"data": [made], "next_cursor": None}
    for later in (found, listed, changed):
        assert later.status_code == 200
        assert "secret" not in later.json()
        assert secret not in later.text


async def test_what_is_left_out_is_all_tags_and_no_description(admin: httpx.AsyncClient) -> None:
    made = await hooks.create(admin)
    assert (made["events"], made["tags"], made["description"]) == (["*"], [], None)


async def test_what_is_named_twice_is_kept_once(admin: httpx.AsyncClient) -> None:
    events = ["message.sent", "message.failed", "message.sent"]
    wanted = {"events": events, "tags": ["b", "a", "b"]}
    made = await hooks.create(admin, **wanted)
    assert (made["events"], made["tags"]) == (["message.sent", "message.failed"], ["b", "a"])
    other = await hooks.create(admin)
    answer = await admin.patch(f"{ENDPOINTS}/{other['id']}", json=wanted)
    changed = answer.json()
    assert (changed["events"], changed["tags"]) == (made["events"], made["tags"])


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        pytest.param({"url": None}, "/url", "wrong_type", id="no URL"),
        pytest.param({"url": "ftp://example.org/"}, "/url", "malformed", id="other scheme"),
        pytest.param({"url": "http://example.org/"}, "/url", "url_not_https", id="http"),
        pytest.param({"url": "https://127.0.0.1/"}, "/url", "url_not_public", id="loopback"),
        pytest.param({"url": "https://a:b@example.org/"}, "/url", "url_credentials", id="password"),
        pytest.param({"events": []}, "/events", "too_short", id="no event"),
        pytest.param({"events": ["*"] * 21}, "/events", "too_long", id="many events"),
        pytest.param({"events": ["message.eaten"]}, "/events/0", "not_allowed", id="no such event"),
        pytest.param(
            {"events": ["*", "webhook_endpoint.test"]}, "/events/1", "not_allowed", id="tests"
        ),
        pytest.param({"tags": ["a b"]}, "/tags/0", "malformed", id="tag"),
        pytest.param({"description": ""}, "/description", "too_short", id="no description"),
        pytest.param({"description": "x" * 501}, "/description", "too_long", id="long description"),
        pytest.param({"secret": "whsec_AAAA"}, "/secret", "unknown_field", id="secret"),
        pytest.param({"kind": "callback"}, "/kind", "unknown_field", id="kind"),
    ],
)
async def test_an_endpoint_that_cannot_be_is_refused(
    shared: httpx.AsyncClient, fields: dict[str, Any], pointer: str, code: str
) -> None:
    made = await hooks.create(shared)
    path = f"{ENDPOINTS}/{made['id']}"
    answer = await shared.post(ENDPOINTS, json={"url": URL, "events": ["*"], **fields})
    assert refused_fields(answer) == [(pointer, code)]
    answer = await shared.patch(path, json=fields)
    assert refused_fields(answer) == [(pointer, code)]
    assert made.items() >= (await _get(shared, made["id"])).items()
    await shared.delete(path)


async def test_url_and_events_are_needed(shared: httpx.AsyncClient) -> None:
    answer = await shared.post(ENDPOINTS, json={})
    assert refused_fields(answer) == [("/url", "required"), ("/events", "required")]


# Changed


async def test_what_is_left_out_stays_and_null_takes_it_away(
    admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    given = {"events": ["message.sent"], "tags": ["north"], "description": "A"}
    made = await hooks.create(admin, **given)
    del made["secret"]
    path = f"{ENDPOINTS}/{made['id']}"
    changes: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"description": "B"}, {"description": "B"}),
        ({"description": None}, {"description": None}),
        ({"tags": []}, {"tags": []}),
        ({"events": ["*"]}, {"events": ["*"]}),
        ({"url": "HTTPS://Other.Example.org"}, {"url": "https://other.example.org/"}),
        ({"state": "paused"}, {"state": "paused"}),
    ]
    expected = made
    for minute, (fields, told) in enumerate(changes, start=1):
        clock.advance(minutes=1)
        expected = expected | told | {"updated_at": f"2026-03-01T12:0{minute}:00.000Z"}
        answer = await admin.patch(path, json=fields)
        assert (answer.status_code, answer.json()) == (200, expected)
        assert await _get(admin, made["id"]) == expected


async def test_nothing_given_is_nothing_changed(admin: httpx.AsyncClient, clock: FakeClock) -> None:
    made = await hooks.create(admin, description="A")
    del made["secret"]
    clock.advance(minutes=1)
    answer = await admin.patch(f"{ENDPOINTS}/{made['id']}", json={})
    assert (answer.status_code, answer.json()) == (200, made)
    assert (await admin.patch(f"{ENDPOINTS}/nothing", json={})).status_code == 404


@pytest.mark.parametrize("name", ["url", "events", "tags", "state"])
async def test_what_must_have_a_value_is_not_taken_away(
    shared: httpx.AsyncClient, name: str
) -> None:
    answer = await shared.patch(f"{ENDPOINTS}/any", json={name: None})
    assert [pointer for pointer, _ in refused_fields(answer)] == [f"/{name}"]


async def test_only_the_hub_disables(shared: httpx.AsyncClient) -> None:
    answer = await shared.patch(f"{ENDPOINTS}/any", json={"state": "disabled"})
    assert refused_fields(answer) == [("/state", "not_allowed")]
    body = {"url": URL, "events": ["*"], "state": "paused"}
    assert refused_fields(await shared.post(ENDPOINTS, json=body)) == [("/state", "unknown_field")]


async def test_one_that_is_paused_keeps_its_events(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    made = await hooks.create(admin)
    path = f"{ENDPOINTS}/{made['id']}"
    assert (await admin.patch(path, json={"state": "paused"})).json()["state"] == "paused"
    await hooks.send(admin)
    assert await hooks.answer_due(hub, clock, 200) == 0
    assert (await admin.patch(path, json={"state": "enabled"})).json()["state"] == "enabled"
    assert await hooks.answer_due(hub, clock, 200) == 1


async def test_one_that_was_disabled_is_enabled_again(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    made = await hooks.create(admin)
    await hooks.send(admin)
    await hooks.answer_due(hub, clock, 410)
    disabled = await _get(admin, made["id"])
    assert (disabled["state"], disabled["disabled_reason"]) == ("disabled", "gone")
    assert (disabled["circuit"]["failures"], disabled["circuit"]["failing_since"]) == (1, NOON)
    answer = await admin.patch(f"{ENDPOINTS}/{made['id']}", json={"state": "enabled"})
    del made["secret"]
    assert answer.json() == made


async def test_a_circuit_is_told_and_another_url_closes_it(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    made = await hooks.create(admin)
    await hooks.send(admin)
    await hooks.answer_due(hub, clock, 429)
    circuit = (await _get(admin, made["id"]))["circuit"]
    until = "2026-03-01T12:00:05.000Z"
    assert circuit == {"state": "open", "failures": 1, "failing_since": NOON, "until": until}
    path = f"{ENDPOINTS}/{made['id']}"
    assert (await admin.patch(path, json={"url": URL})).json()["circuit"] == circuit
    answer = await admin.patch(path, json={"url": f"{URL}/2"})
    assert answer.json()["circuit"] == made["circuit"]


async def test_what_a_callback_s_messages_say_is_fixed(admin: httpx.AsyncClient) -> None:
    callback = await hooks.create_callback(admin)
    refused: list[dict[str, Any]] = [
        {"url": f"{URL}/2"},
        {"events": ["message.sent"]},
        {"tags": ["north"]},
        {"state": "paused", "tags": []},
    ]
    for fields in refused:
        answer = await admin.patch(f"{ENDPOINTS}/{callback['id']}", json=fields)
        assert (answer.status_code, problem_of(answer)["code"]) == (409, "callback_fixed")
    assert await _get(admin, callback["id"]) == callback


async def test_a_callback_is_paused_described_and_given_a_secret(admin: httpx.AsyncClient) -> None:
    callback = await hooks.create_callback(admin)
    assert (callback["kind"], callback["url"]) == ("callback", "https://backend.example.org/")
    path = f"{ENDPOINTS}/{callback['id']}"
    answer = await admin.patch(path, json={"state": "paused", "description": "A"})
    assert answer.json() == callback | {"state": "paused", "description": "A"}
    answer = await admin.post(f"{path}/rotate-secret")
    assert answer.json()["secret"].startswith("whsec_")


# Removed


async def test_one_that_is_removed_is_gone_with_its_deliveries(admin: httpx.AsyncClient) -> None:
    gone, stays = await hooks.create(admin), await hooks.create(admin)
    path = f"{ENDPOINTS}/{gone['id']}"
    delivery = (await admin.post(f"{path}/test")).headers["location"]
    answer = await admin.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert await _list(admin) == [stays["id"]]
    refused = [
        await admin.get(path),
        await admin.patch(path, json={"state": "enabled"}),
        await admin.delete(path),
        await admin.post(f"{path}/rotate-secret"),
        await admin.post(f"{path}/test"),
        await admin.post(f"{path}/replay", json={"status": "dead"}),
        await admin.get(f"{path}/deliveries"),
        await admin.get(delivery),
    ]
    assert [(item.status_code, problem_of(item)["code"]) for item in refused] == [
        (404, "not_found")
    ] * len(refused)


# Listed


async def test_endpoints_are_listed_by_kind(admin: httpx.AsyncClient) -> None:
    made = await hooks.create(admin)
    callback = await hooks.create_callback(admin)
    assert await _list(admin) == [callback["id"], made["id"]]
    assert await _list(admin, kind="endpoint") == [made["id"]]
    assert await _list(admin, kind="callback") == [callback["id"]]


async def test_a_kind_that_is_none_is_refused(shared: httpx.AsyncClient) -> None:
    answer = await shared.get(ENDPOINTS, params={"kind": "hook"})
    assert refused_fields(answer) == [("/kind", "not_allowed")]


async def test_the_list_is_walked_page_by_page(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient
) -> None:
    made = [(await hooks.create(admin))["id"] for _ in range(3)]
    await hooks.create_callback(admin)
    query: dict[str, Any] = {"kind": "endpoint", "limit": 2}
    first = (await admin.get(ENDPOINTS, params=query)).json()
    cursor = first["next_cursor"]
    last = (await admin.get(ENDPOINTS, params={**query, "cursor": cursor})).json()
    assert last["next_cursor"] is None
    assert [item["id"] for item in first["data"] + last["data"]] == made[::-1]

    for other in ({}, {"kind": "callback"}):
        answer = await admin.get(ENDPOINTS, params={**other, "cursor": cursor})
        assert (answer.status_code, problem_of(answer)["code"]) == (422, "invalid_cursor")
    await hub.access.create_project("other", None)
    async with connected(app, hub, Scope.WEBHOOKS_READ, project="other") as stranger:
        answer = await stranger.get(ENDPOINTS, params={**query, "cursor": cursor})
        assert problem_of(answer)["code"] == "invalid_cursor"


# Secrets


async def test_an_old_secret_signs_for_a_day_if_nothing_else_is_said(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    made = await hooks.create(admin)
    path = f"{ENDPOINTS}/{made['id']}"
    answer = await admin.post(f"{path}/rotate-secret")
    assert answer.status_code == 200
    rotated = answer.json()
    assert rotated["secret"].startswith("whsec_")
    assert rotated["secret"] != made["secret"]
    assert rotated == made | {
        "secret": rotated["secret"],
        "previous_secret_until": TOMORROW,
    }
    found = await admin.get(path)
    assert found.json()["previous_secret_until"] == TOMORROW
    assert "whsec_" not in found.text

    async def signs_with() -> tuple[str, ...]:
        await admin.post(f"{path}/test")
        [taken] = await hub.webhook_deliveries.record_and_claim([], busy={}, room=1)
        return taken.secrets

    assert await signs_with() == (rotated["secret"], made["secret"])
    clock.advance(days=1)
    assert await signs_with() == (rotated["secret"],)


async def test_the_overlap_is_as_it_is_asked(admin: httpx.AsyncClient) -> None:
    path = f"{ENDPOINTS}/{(await hooks.create(admin))['id']}"
    asked = [
        ({}, TOMORROW),
        ({"overlap_seconds": 60}, "2026-03-01T12:01:00.000Z"),
        ({"overlap_seconds": 604_800}, "2026-03-08T12:00:00.000Z"),
        ({"overlap_seconds": 0}, None),
    ]
    for body, until in asked:
        answer = await admin.post(f"{path}/rotate-secret", json=body)
        assert (answer.status_code, answer.json()["previous_secret_until"]) == (200, until)


@pytest.mark.parametrize("seconds", [-1, 604_801])
async def test_an_overlap_is_up_to_a_week(shared: httpx.AsyncClient, seconds: int) -> None:
    answer = await shared.post(f"{ENDPOINTS}/any/rotate-secret", json={"overlap_seconds": seconds})
    assert refused_fields(answer) == [("/overlap_seconds", "out_of_range")]


# Tested


async def test_a_test_is_found_where_its_answer_says(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = f"{ENDPOINTS}/{(await hooks.create(admin))['id']}"
    answer = await admin.post(f"{path}/test")
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"{path}/deliveries/{made['id']}"
    assert list(made.items()) == [
        ("id", made["id"]),
        ("event_id", made["event_id"]),
        ("event_type", "webhook_endpoint.test"),
        ("message_id", None),
        ("url", None),
        ("status", "pending"),
        ("attempt_count", 0),
        ("next_attempt_at", NOON),
        ("reply_id", None),
        ("created_at", NOON),
        ("updated_at", NOON),
    ]
    assert (await admin.get(answer.headers["location"])).json() == made | {"attempts": []}
    await hooks.answer_due(hub, clock, 200)
    found = (await admin.get(answer.headers["location"])).json()
    assert (found["status"], found["attempt_count"]) == ("delivered", 1)


async def test_one_that_is_not_enabled_is_not_tested(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    path = f"{ENDPOINTS}/{(await hooks.create(admin))['id']}"
    await admin.patch(path, json={"state": "paused"})
    answer = await admin.post(f"{path}/test")
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "not_enabled")
    await admin.patch(path, json={"state": "enabled"})
    assert (await admin.post(f"{path}/test")).status_code == 201
    await hooks.answer_due(hub, clock, 410)
    for doing, body in (("test", None), ("replay", {"status": "dead"})):
        answer = await admin.post(f"{path}/{doing}", json=body)
        assert (answer.status_code, problem_of(answer)["code"]) == (409, "not_enabled")
