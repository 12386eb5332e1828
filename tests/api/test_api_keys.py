"""API keys through the API: seen once, never stronger than who made them."""

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.domain.access import Scope
from gateway_hub.services.hub import Hub
from tests.api.clients import connect, connected, problem_of, refused_fields

KEY = [
    *("id", "project_id", "name", "hint", "scopes", "tag"),
    *("created_at", "expires_at", "revoked_at"),
]
NOON = "2026-03-01T12:00:00.000Z"


async def test_a_key_is_shown_once_and_opens_what_it_should(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient
) -> None:
    body = {
        "name": "reminders",
        "scopes": ["messages:write", "messages:read", "messages:read"],
        "expires_at": "2026-03-01T16:00:00+03:00",
    }
    answer = await admin.post("/v1/api-keys", json=body)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    made = answer.json()
    assert list(made) == [*KEY, "key"]
    assert made["scopes"] == ["messages:read", "messages:write"]
    assert made["expires_at"] == "2026-03-01T13:00:00.000Z"
    assert (made["created_at"], made["revoked_at"]) == (NOON, None)
    assert made["project_id"] == (await hub.access.get_project("default")).id
    assert made["key"].startswith(made["hint"])
    told = await admin.get(answer.headers["location"])
    assert told.json() == {name: made[name] for name in KEY}
    assert made["key"] not in told.text
    listed = await admin.get("/v1/api-keys")
    assert listed.json()["data"] == [told.json()]
    async with connect(app, made["key"]) as client:
        assert (await client.get("/v1/messages")).status_code == 200
        assert (await client.get("/v1/devices")).status_code == 403


async def test_a_revoked_key_stays_listed(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/v1/api-keys", json={"name": "k", "scopes": ["messages:read"]})
    path = made.headers["location"]
    for _ in range(2):
        answer = await admin.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await admin.get(path)).json()["revoked_at"] == NOON


async def test_a_key_gives_no_more_than_it_has(app: FastAPI, hub: Hub) -> None:
    await hub.access.create_project("other", None)
    async with connected(app, hub, Scope.KEYS_WRITE, Scope.MESSAGES_READ) as client:
        for scopes, project, status in (
            (["messages:read", "keys:write"], None, 201),
            (["messages:read"], "default", 201),
            (["messages:write"], None, 403),
            (["messages:read", "admin"], None, 403),
            (["messages:read"], "other", 404),
            (["messages:read"], "nowhere", 404),
        ):
            body = {"name": "k", "scopes": scopes, "project_id": project}
            answer = await client.post("/v1/api-keys", json=body)
            assert answer.status_code == status, (scopes, project)
        assert problem_of(answer)["code"] == "not_found"


async def test_an_admin_makes_keys_of_any_project(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient
) -> None:
    other = await hub.access.create_project("other", None)
    body = {"name": "k", "scopes": ["admin"], "project_id": other.id}
    made = (await admin.post("/v1/api-keys", json=body)).json()
    assert made["project_id"] == other.id
    headers = {"Gateway-Hub-Project": "other"}
    body = {"name": "k", "scopes": ["messages:read"]}
    made = (await admin.post("/v1/api-keys", json=body, headers=headers)).json()
    assert made["project_id"] == other.id
    async with connected(app, hub, Scope.KEYS_WRITE) as client:
        names = [item["project_id"] for item in (await client.get("/v1/api-keys")).json()["data"]]
    assert other.id not in names


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        pytest.param({"name": ""}, "/name", "too_short", id="empty name"),
        pytest.param({"name": "x" * 101}, "/name", "too_long", id="long name"),
        pytest.param({"scopes": []}, "/scopes", "too_short", id="no scope"),
        pytest.param({"scopes": ["all"]}, "/scopes/0", "not_allowed", id="unknown scope"),
        pytest.param({"scopes": "admin"}, "/scopes", "wrong_type", id="scope as text"),
        pytest.param({"expires_at": "never"}, "/expires_at", "not_a_time", id="no time"),
        pytest.param(
            {"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "in_the_past", id="past"
        ),
        pytest.param({"tag": "a b"}, "/tag", "malformed", id="no tag"),
        pytest.param({"tag": "a", "scopes": ["admin"]}, "/tag", "not_used", id="limited admin"),
        pytest.param({"key": "ghk_x"}, "/key", "unknown_field", id="a key of one's own"),
    ],
)
async def test_a_key_that_cannot_be_is_refused(
    shared: httpx.AsyncClient, fields: dict[str, object], pointer: str, code: str
) -> None:
    body = {"name": "k", "scopes": ["messages:read"], **fields}
    assert refused_fields(await shared.post("/v1/api-keys", json=body)) == [(pointer, code)]
