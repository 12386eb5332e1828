"""Who may do what: keys, scopes, projects."""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.domain.access import Scope
from gateway_hub.services.hub import Hub
from tests.api.clients import (
    OPERATOR_TOKEN,
    connect,
    connected,
    make_key,
    problem_of,
)
from tests.conftest import FakeClock

ID = "019c1350-8a40-7c31-9a55-3f1c2b7d9e01"

NEEDED = {
    ("POST", "/v1/messages"): "messages:write",
    ("POST", "/v1/messages/batch"): "messages:write",
    ("GET", "/v1/messages"): "messages:read",
    ("GET", "/v1/messages/export"): "messages:read",
    ("GET", "/v1/messages/{message_id}"): "messages:read",
    ("POST", "/v1/messages/{message_id}/cancel"): "messages:write",
    ("POST", "/v1/messages/{message_id}/resend"): "messages:write",
    ("POST", "/v1/messages/estimate"): "messages:read",
    ("GET", "/v1/events"): "messages:read",
    ("GET", "/v1/events/stream"): "messages:read",
    ("GET", "/v1/events/{event_id}"): "messages:read",
    ("POST", "/v1/devices"): "devices:write",
    ("GET", "/v1/devices"): "devices:read",
    ("GET", "/v1/devices/{device_id}"): "devices:read",
    ("PATCH", "/v1/devices/{device_id}"): "devices:write",
    ("DELETE", "/v1/devices/{device_id}"): "devices:write",
    ("POST", "/v1/devices/{device_id}/credentials"): "devices:write",
    ("GET", "/v1/devices/{device_id}/quarantine"): "devices:read",
    ("GET", "/v1/attachments/{attachment_id}"): "messages:read",
    ("GET", "/v1/stats"): "messages:read",
    ("POST", "/v1/webhook-endpoints"): "webhooks:write",
    ("GET", "/v1/webhook-endpoints"): "webhooks:read",
    ("GET", "/v1/webhook-endpoints/{endpoint_id}"): "webhooks:read",
    ("PATCH", "/v1/webhook-endpoints/{endpoint_id}"): "webhooks:write",
    ("DELETE", "/v1/webhook-endpoints/{endpoint_id}"): "webhooks:write",
    ("POST", "/v1/webhook-endpoints/{endpoint_id}/rotate-secret"): "webhooks:write",
    ("POST", "/v1/webhook-endpoints/{endpoint_id}/test"): "webhooks:write",
    ("POST", "/v1/webhook-endpoints/{endpoint_id}/replay"): "webhooks:write",
    ("GET", "/v1/webhook-endpoints/{endpoint_id}/deliveries"): "webhooks:read",
    ("GET", "/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}"): "webhooks:read",
    ("POST", "/v1/projects"): "admin",
    ("GET", "/v1/projects"): "admin",
    ("GET", "/v1/projects/{project_id}"): "admin",
    ("PATCH", "/v1/projects/{project_id}"): "admin",
    ("POST", "/v1/api-keys"): "keys:write",
    ("GET", "/v1/api-keys"): "keys:write",
    ("GET", "/v1/api-keys/{key_id}"): "keys:write",
    ("DELETE", "/v1/api-keys/{key_id}"): "keys:write",
}


def _path(template: str) -> str:
    return re.sub(r"{\w+}", ID, template)


def test_every_route_is_in_the_table(shared_app: FastAPI) -> None:
    document = shared_app.openapi()
    described = {
        (method.upper(), path): operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {route: [{"apiKey": [scope]}] for route, scope in NEEDED.items()}


@pytest.mark.parametrize("route", NEEDED, ids=" ".join)
async def test_without_a_key_there_is_nothing(shared_app: FastAPI, route: tuple[str, str]) -> None:
    method, template = route
    async with connect(shared_app, None) as nobody:
        answer = await nobody.request(method, _path(template), json={})
    assert (answer.status_code, problem_of(answer)["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("route", NEEDED, ids=" ".join)
async def test_a_key_opens_what_its_scope_says(
    shared_app: FastAPI, shared_hub: Hub, route: tuple[str, str]
) -> None:
    method, template = route
    needed = Scope(NEEDED[route])
    others = [scope for scope in Scope if scope not in {needed, Scope.ADMIN}]
    async with connected(shared_app, shared_hub, *others) as lacking:
        answer = await lacking.request(method, _path(template), json={"name": 1})
    assert (answer.status_code, problem_of(answer)["code"]) == (403, "permission_denied")
    assert f"the scope {needed}." in problem_of(answer)["detail"]
    for scope in (needed, Scope.ADMIN):
        async with connected(shared_app, shared_hub, scope) as having:
            answer = await having.request(method, _path(template), json={"name": 1})
        assert answer.status_code in {200, 404, 422}


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param("Bearer", id="no key"),
        pytest.param("Bearer ", id="blank key"),
        pytest.param(OPERATOR_TOKEN, id="no scheme"),
        pytest.param(f"Basic {OPERATOR_TOKEN}", id="another scheme"),
        pytest.param(f"Bearer {OPERATOR_TOKEN}x", id="longer"),
        pytest.param(f"Bearer {OPERATOR_TOKEN[:-1]}", id="shorter"),
        pytest.param("Bearer ghk_" + "A" * 43, id="unknown"),
        pytest.param("Bearer é\xff", id="not ASCII"),
    ],
)
async def test_anything_but_a_key_is_refused_alike(shared_app: FastAPI, header: str) -> None:
    async with connect(shared_app, None) as client:
        raw = {b"Authorization": header.encode("latin-1")}
        answer = await client.get("/v1/messages", headers=raw)
    assert answer.status_code == 401
    assert problem_of(answer)["code"] == "unauthenticated"


async def test_the_scheme_is_known_in_any_case(shared_app: FastAPI) -> None:
    async with connect(shared_app, None) as client:
        headers = {"Authorization": f"bearer  {OPERATOR_TOKEN} "}
        assert (await client.get("/v1/messages", headers=headers)).status_code == 200


async def test_a_key_ends_when_it_expires_or_is_revoked(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    ending = (clock() + timedelta(hours=1)).isoformat()
    body: dict[str, Any] = {"name": "k", "scopes": ["messages:read"]}
    bodies = ({**body, "expires_at": ending}, body)
    made = [(await admin.post("/v1/api-keys", json=item)).json() for item in bodies]
    async with connect(app, made[0]["key"]) as expiring, connect(app, made[1]["key"]) as revoked:
        assert (await expiring.get("/v1/messages")).status_code == 200
        assert (await revoked.get("/v1/messages")).status_code == 200
        clock.advance(hours=1)
        assert (await admin.delete(f"/v1/api-keys/{made[1]['id']}")).status_code == 204
        assert (await expiring.get("/v1/messages")).status_code == 401
        assert (await revoked.get("/v1/messages")).status_code == 401


async def test_an_admin_acts_in_the_project_they_name(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient
) -> None:
    other = await hub.access.create_project("other", None)
    message = {"to": "+255712345678", "text": "Habari"}
    for name in ("other", other.id):
        headers = {"Gateway-Hub-Project": name}
        sent = await admin.post("/v1/messages", json=message, headers=headers)
        path = f"/v1/messages/{sent.json()['id']}"
        assert (await admin.get(path, headers=headers)).status_code == 200
        assert (await admin.get(path)).status_code == 404
    token = await make_key(hub, [Scope.MESSAGES_READ], "other")
    async with connect(app, token) as client:
        assert len((await client.get("/v1/messages")).json()["data"]) == 2


@pytest.mark.parametrize(
    "name", ["nowhere", "", "Default", "a b", "x" * 65, "default\x00", "é", "../default"]
)
async def test_a_project_that_is_not_there_is_not_found(
    shared: httpx.AsyncClient, name: str
) -> None:
    headers = {b"Gateway-Hub-Project": name.encode("latin-1")}
    answer = await shared.get("/v1/messages", headers=headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "not_found")


async def test_only_an_admin_may_name_another_project(app: FastAPI, hub: Hub) -> None:
    await hub.access.create_project("other", None)
    async with connected(app, hub) as client:
        answers = [
            await client.get("/v1/messages", headers={"Gateway-Hub-Project": name})
            for name in ("other", "nowhere", "default")
        ]
    assert [answer.status_code for answer in answers] == [404, 404, 200]
    assert answers[0].content == answers[1].content
