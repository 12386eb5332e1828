"""A hub's phone routes behind a socket, with one device of each kind."""

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway_hub.adapters.envaya.routes import EnvayaOptions, create_envaya_routes
from gateway_hub.adapters.envaya.signature import compute_signature
from gateway_hub.adapters.medic.routes import create_medic_routes
from gateway_hub.domain.devices import Device, Protocol
from gateway_hub.domain.messages import MessageDetails, MessageFilter
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub
from tests.serving import serving

USERNAME, PASSWORD = "clinic", "correct-horse-battery"
NUMBER = "+255710000001"


@dataclass
class Phones:
    """A hub as phones see it."""

    hub: Hub
    http: httpx.AsyncClient
    port: int
    project_id: str
    medic: Device
    envaya: Device

    @property
    def url(self) -> str:
        """The server URL as typed into the EnvayaSMS app."""
        return f"http://127.0.0.1:{self.port}/envaya"

    async def post_medic(self, body: Any, **options: Any) -> httpx.Response:
        """Post as the CHT phone."""
        return await self.http.post("/medic", json=body, auth=(USERNAME, PASSWORD), **options)

    async def post_envaya(
        self,
        fields: dict[str, str],
        *,
        version: int | None = 30,
        path: str = "/envaya",
        files: Any = None,
        headers: dict[str, str] | None = None,
        url: str | None = None,
    ) -> httpx.Response:
        """Post as the EnvayaSMS phone, signed over *url*."""
        told = fields | {"phone_number": NUMBER} | ({"version": str(version)} if version else {})
        signature = compute_signature(url or self.url, told.items(), PASSWORD)
        signed = {"X-Request-Signature": signature} | (headers or {})
        return await self.http.post(path, data=told, files=files, headers=signed)

    async def messages(self) -> list[MessageDetails]:
        """All messages of the project, oldest first."""
        found = await self.hub.outbox.list_messages(
            self.project_id, MessageFilter(), before="~", limit=200
        )
        return list(reversed(found))


def basic(username: str, password: str) -> str:
    """Return an Authorization header as the CHT app writes it."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode("latin-1")).decode()


@pytest.fixture
def envaya_options() -> EnvayaOptions:
    """What the operator set; override for other options."""
    return EnvayaOptions()


@pytest.fixture
async def phones(hub: Hub, envaya_options: EnvayaOptions) -> AsyncIterator[Phones]:
    """A hub with one phone of each kind."""
    project = await hub.access.ensure_default_project()
    medic, _ = await hub.devices.create(
        project.id,
        DeviceDraft("medic", Protocol.MEDIC, username=USERNAME, password=PASSWORD),
    )
    envaya, _ = await hub.devices.create(
        project.id,
        DeviceDraft("envaya", Protocol.ENVAYA, phone_number=NUMBER, password=PASSWORD),
    )
    routes = [
        *create_medic_routes(hub, ["/old/sms"]),
        *create_envaya_routes(hub, envaya_options),
    ]
    async with serving(Starlette(routes=routes)) as port:
        base_url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base_url, trust_env=False, timeout=30) as http:
            yield Phones(hub, http, port, project.id, medic.device, envaya.device)
