"""API keys that are limited to a tag: what each route does for them, and that nothing gets past."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.domain.access import Scope
from gateway_hub.domain.lifecycle import Status
from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.belongings import UNKNOWN, Operation, furnish, list_operations, snapshot
from tests.api.clients import connect, connected, problem_of

DOCS = (Path(__file__).parent.parent.parent / "docs" / "api.md").read_text("utf-8")

ONE, SOME, WITHIN, CLOSED = "if it is of the tag", "those of the tag", "within the tag", "closed"
"""404 unless the thing is of the tag; only those that are; what is asked for is kept within it."""

DECISIONS = {
    ("POST", "/v1/messages"): WITHIN,
    ("POST", "/v1/messages/batch"): WITHIN,
    ("GET", "/v1/messages"): SOME,
    ("GET", "/v1/messages/export"): SOME,
    ("GET", "/v1/messages/{message_id}"): ONE,
    ("POST", "/v1/messages/{message_id}/cancel"): ONE,
    ("POST", "/v1/messages/{message_id}/resend"): ONE,
    ("POST", "/v1/messages/estimate"): WITHIN,
    ("GET", "/v1/events"): SOME,
    ("GET", "/v1/events/stream"): SOME,
    ("GET", "/v1/events/{event_id}"): ONE,
    ("POST", "/v1/devices"): WITHIN,
    ("GET", "/v1/devices"): SOME,
    ("GET", "/v1/devices/{device_id}"): ONE,
    ("PATCH", "/v1/devices/{device_id}"): ONE,
    ("DELETE", "/v1/devices/{device_id}"): ONE,
    ("POST", "/v1/devices/{device_id}/credentials"): ONE,
    ("GET", "/v1/devices/{device_id}/quarantine"): ONE,
    ("GET", "/v1/attachments/{attachment_id}"): ONE,
    ("GET", "/v1/stats"): CLOSED,
    ("POST", "/v1/webhook-endpoints"): CLOSED,
    ("GET", "/v1/webhook-endpoints"): CLOSED,
    ("GET", "/v1/webhook-endpoints/{endpoint_id}"): CLOSED,
    ("PATCH", "/v1/webhook-endpoints/{endpoint_id}"): CLOSED,
    ("DELETE", "/v1/webhook-endpoints/{endpoint_id}"): CLOSED,
    ("POST", "/v1/webhook-endpoints/{endpoint_id}/rotate-secret"): CLOSED,
    ("POST", "/v1/webhook-endpoints/{endpoint_id}/test"): CLOSED,
    ("POST", "/v1/webhook-endpoints/{endpoint_id}/replay"): CLOSED,
    ("GET", "/v1/webhook-endpoints/{endpoint_id}/deliveries"): CLOSED,
    ("GET", "/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}"): CLOSED,
    ("POST", "/v1/projects"): CLOSED,
    ("GET", "/v1/projects"): CLOSED,
    ("GET", "/v1/projects/{project_id}"): CLOSED,
    ("PATCH", "/v1/projects/{project_id}"): CLOSED,
    ("POST", "/v1/api-keys"): WITHIN,
    ("GET", "/v1/api-keys"): SOME,
    ("GET", "/v1/api-keys/{key_id}"): ONE,
    ("DELETE", "/v1/api-keys/{key_id}"): ONE,
}

# The example of a change names other tags, which is a test of its own.
BODIES: dict[tuple[str, str], Any] = {("PATCH", "/v1/devices/{device_id}"): {"paused": False}}


@pytest.fixture
async def north(hub: Hub, admin: httpx.AsyncClient) -> dict[str, str]:
    """Ids of one thing of each kind, of the tag ``north``."""
    return await furnish(hub, admin, "default", "north")


@pytest.fixture
async def south(hub: Hub, admin: httpx.AsyncClient) -> dict[str, str]:
    """Ids of one thing of each kind, of the tag ``south``."""
    return await furnish(hub, admin, "default", "south")


@pytest.fixture
async def limited(app: FastAPI, hub: Hub) -> AsyncIterator[httpx.AsyncClient]:
    """A client whose key is limited to ``north``."""
    async with connected(app, hub, tag="north") as client:
        yield client


def test_it_is_decided_and_documented_for_every_route(shared_app: FastAPI) -> None:
    assert {item.name for item in list_operations(shared_app)} == DECISIONS.keys()
    told = re.findall(r"^\| `([A-Z]+) (/v1\S*)` \| ([a-z ]+)", DOCS, re.MULTILINE)
    decided = [(method, path, word) for (method, path), word in DECISIONS.items()]
    assert [(method, path, word.strip()) for method, path, word in told] == decided


def _with_less(operation: Operation) -> list[Operation]:
    """Return the operation with an empty body: what changes nothing is another way through."""
    return [] if operation.body is None else [replace(operation, body={})]


async def test_what_is_not_of_the_tag_is_not_there(
    app: FastAPI,
    hub: Hub,
    limited: httpx.AsyncClient,
    *,
    north: dict[str, str],
    south: dict[str, str],
) -> None:
    unknown = dict.fromkeys(south, UNKNOWN)
    foreign = {item for name, item in south.items() if name != "project_id"}
    before = await snapshot(hub)
    for operation in list_operations(app):
        if DECISIONS[operation.name] == ONE:
            asked = [operation, *_with_less(operation)]
            answers = [await item.ask(limited, ids) for item in asked for ids in (south, unknown)]
            assert {item.status_code for item in answers} == {404}, operation.name
            assert len({item.content for item in answers}) == 1, operation.name
        if DECISIONS[operation.name] == SOME:
            answer = await operation.ask(limited, north)
            assert answer.status_code == 200, operation.name
            assert any(item in answer.text for item in north.values()), operation.name
            assert not any(item in answer.text for item in foreign), operation.name
    after = await snapshot(hub)
    assert before.items() <= after.items()


async def test_what_is_of_the_tag_is_there(
    app: FastAPI, limited: httpx.AsyncClient, north: dict[str, str]
) -> None:
    asked = [item for item in list_operations(app) if DECISIONS[item.name] == ONE]
    for operation in sorted(asked, key=lambda item: item.method == "DELETE"):
        body = BODIES.get(operation.name, operation.body)
        path = operation.path.format_map(north)
        answer = await limited.request(operation.method, path, json=body)
        assert answer.is_success, (operation.name, answer.text)


async def test_what_is_closed_says_so(
    app: FastAPI, hub: Hub, limited: httpx.AsyncClient, north: dict[str, str]
) -> None:
    before = await snapshot(hub)
    for operation in list_operations(app):
        if DECISIONS[operation.name] == CLOSED:
            answer = await operation.ask(limited, north)
            needs_more = operation.scope == "admin"
            code = "permission_denied" if needs_more else "tag_limited"
            assert (answer.status_code, problem_of(answer)["code"]) == (403, code)
    assert await snapshot(hub) == before


async def _send(client: httpx.AsyncClient, route: Any) -> httpx.Response:
    return await client.post("/v1/messages", json={"to": "1234", "text": "x", "route": route})


async def test_a_message_without_a_route_goes_along_the_tag(limited: httpx.AsyncClient) -> None:
    sent = await _send(limited, None)
    assert sent.status_code == 201
    assert sent.json()["route"] == {"device_id": None, "tag": "north"}
    assert (await limited.get(sent.headers["location"])).status_code == 200
    assert (await _send(limited, {"tag": "north"})).status_code == 201


async def test_a_message_goes_through_devices_with_the_tag_only(
    hub: Hub, limited: httpx.AsyncClient, north: dict[str, str], south: dict[str, str]
) -> None:
    sent = await _send(limited, {"device_id": north["device_id"]})
    assert sent.status_code == 201
    assert (await limited.get(sent.headers["location"])).status_code == 200
    before = await snapshot(hub)
    answers = [await _send(limited, {"device_id": item}) for item in (south["device_id"], UNKNOWN)]
    assert answers[0].content == answers[1].content
    assert problem_of(answers[0])["errors"][0]["code"] == "unknown_device"
    other = await _send(limited, {"tag": "south"})
    assert (other.status_code, problem_of(other)["code"]) == (403, "tag_limited")
    assert await snapshot(hub) == before


async def test_a_batch_is_judged_item_by_item(
    limited: httpx.AsyncClient, south: dict[str, str]
) -> None:
    routes: list[Any] = [None, {"tag": "south"}, {"device_id": south["device_id"]}]
    items = [{"to": "1234", "text": "x", "route": route} for route in routes]
    answer = await limited.post("/v1/messages/batch", json={"messages": items})
    assert [item["status"] for item in answer.json()["data"]] == [201, 403, 422]


async def test_an_estimate_tells_of_devices_with_the_tag_only(
    limited: httpx.AsyncClient, north: dict[str, str], south: dict[str, str]
) -> None:
    async def estimate(route: Any) -> httpx.Response:
        body = {"to": "1234", "text": "x", "route": route}
        return await limited.post("/v1/messages/estimate", json=body)

    for route in (None, {"tag": "north"}, {"device_id": north["device_id"]}):
        [device] = (await estimate(route)).json()["devices"]
        assert device["device_id"] == north["device_id"]
    assert (await estimate({"device_id": south["device_id"]})).json()["devices"] == []
    assert (await estimate({"tag": "south"})).status_code == 403


async def test_a_message_of_another_route_is_seen_but_not_sent_again(
    hub: Hub, admin: httpx.AsyncClient, limited: httpx.AsyncClient
) -> None:
    """It went through a device that has both tags; the next time it might take another."""
    project = await hub.access.get_project("default")
    both = await phones.register(hub, project.id, "south", "north")
    sent = (await _send(admin, {"tag": "south"})).json()
    path = f"/v1/messages/{sent['id']}"
    assert (await limited.get(path)).status_code == 404
    await phones.poll(hub, both)
    await phones.report(hub, both, sent["id"], Status.FAILED, "FAILED")
    assert (await limited.get(path)).json()["status"] == "failed"
    answer = await limited.post(f"{path}/resend")
    assert (answer.status_code, problem_of(answer)["code"]) == (403, "tag_limited")
    assert (await admin.post(f"{path}/resend")).status_code == 200


async def test_a_new_device_has_the_tag_and_no_other(limited: httpx.AsyncClient) -> None:
    async def create(*tags: str) -> httpx.Response:
        body = {"name": "Clinic", "protocol": "medic", "tags": list(tags)}
        return await limited.post("/v1/devices", json=body)

    assert (await create()).json()["tags"] == ["north"]
    assert (await create("north", "north")).json()["tags"] == ["north"]
    for answer in (await create("south"), await create("north", "south")):
        assert (answer.status_code, problem_of(answer)["code"]) == (403, "tag_limited")


async def test_the_tags_of_a_device_stay(limited: httpx.AsyncClient, north: dict[str, str]) -> None:
    path = f"/v1/devices/{north['device_id']}"
    for tags in ([], ["south"], ["north", "south"]):
        answer = await limited.patch(path, json={"tags": tags})
        assert (answer.status_code, problem_of(answer)["code"]) == (403, "tag_limited")
    answer = await limited.patch(path, json={"tags": ["north"], "name": "renamed"})
    assert (answer.json()["name"], answer.json()["tags"]) == ("renamed", ["north"])


async def test_a_limited_key_makes_keys_with_its_own_limit(
    app: FastAPI, limited: httpx.AsyncClient
) -> None:
    async def create(**fields: Any) -> httpx.Response:
        body = {"name": "k", "scopes": ["messages:read"], **fields}
        return await limited.post("/v1/api-keys", json=body)

    for fields in ({}, {"tag": "north"}, {"tag": None}):
        made = (await create(**fields)).json()
        assert made["tag"] == "north"
    async with connect(app, made["key"]) as client:
        assert (await client.get("/v1/stats")).status_code == 403
    answer = await create(tag="south")
    assert (answer.status_code, problem_of(answer)["code"]) == (403, "tag_limited")
    assert (await create(scopes=["admin"])).status_code == 403


async def test_an_unlimited_key_makes_limited_ones(app: FastAPI, hub: Hub) -> None:
    async with connected(app, hub, Scope.KEYS_WRITE, Scope.MESSAGES_READ) as client:
        body = {"name": "k", "scopes": ["messages:read"], "tag": "north"}
        made = await client.post("/v1/api-keys", json=body)
        assert made.json()["tag"] == "north"
        assert (await client.get(made.headers["location"])).json()["tag"] == "north"
