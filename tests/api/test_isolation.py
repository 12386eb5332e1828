"""One project never sees, changes or learns of another's data: every route with an id is tried."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.clients import ALL_BUT_ADMIN, connected, make_key

UNKNOWN = "019c1350-8a40-7c31-9a55-3f1c2b7d9e01"
BODIES: dict[str, dict[str, Any]] = {"patch": {"name": "taken over"}, "post": {}}


@pytest.fixture
async def owned(hub: Hub, admin: httpx.AsyncClient) -> dict[str, str]:
    """Ids of one thing of each kind in the default project, by the name routes give them."""
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    await phones.forward_mms(hub, device, b"bytes", "a.txt")
    await phones.send_rubbish(hub, device, "rubbish")
    await make_key(hub, ALL_BUT_ADMIN)
    sent = await admin.post("/v1/messages", json={"to": "1234", "text": "mine"})
    [message] = (await admin.get("/v1/messages", params={"type": "mms"})).json()["data"]
    [key] = (await admin.get("/v1/api-keys")).json()["data"]
    return {
        "message_id": sent.json()["id"],
        "device_id": device.id,
        "attachment_id": message["attachments"][0]["id"],
        "key_id": key["id"],
        "project_id": project.id,
    }


async def _snapshot(client: httpx.AsyncClient, owned: dict[str, str]) -> list[Any]:
    paths = [
        *("/v1/messages", "/v1/devices", "/v1/projects/default", f"/v1/api-keys/{owned['key_id']}"),
        f"/v1/devices/{owned['device_id']}/quarantine",
    ]
    return [(await client.get(path)).json() for path in paths]


def _routes_with_ids(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, operations in app.openapi()["paths"].items()
        for method in operations
        if "{" in path
    ]


async def test_what_belongs_to_another_project_is_not_there(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient, owned: dict[str, str]
) -> None:
    await hub.access.create_project("other", None)
    before = await _snapshot(admin, owned)
    async with connected(app, hub, project="other") as stranger:
        for method, path in _routes_with_ids(app):
            [name] = re.findall(r"{(\w+)}", path)
            answers = [
                await stranger.request(
                    method, path.format(**{name: item_id}), json=BODIES.get(method)
                )
                for item_id in (owned[name], UNKNOWN)
            ]
            expected = 403 if name == "project_id" else 404
            assert [item.status_code for item in answers] == [expected] * 2, (method, path)
            assert answers[0].content == answers[1].content
            assert answers[0].headers == answers[1].headers
        for path in ("/v1/messages", "/v1/devices"):
            assert (await stranger.get(path)).json()["data"] == []
    assert await _snapshot(admin, owned) == before


async def test_a_message_cannot_be_routed_through_anothers_device(
    app: FastAPI, hub: Hub, owned: dict[str, str]
) -> None:
    await hub.access.create_project("other", None)
    async with connected(app, hub, project="other") as stranger:
        body = {"to": "1234", "text": "x", "route": {"device_id": owned["device_id"]}}
        answer = await stranger.post("/v1/messages", json=body)
        assert answer.json()["errors"][0]["code"] == "unknown_device"
        query = {"device_id": owned["device_id"]}
        assert (await stranger.get("/v1/messages", params=query)).json()["data"] == []
