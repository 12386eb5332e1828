"""Fixtures: the API of a hub on a fresh database, and one on SQLite that all tests share.

The applications are built once: FastAPI prepares each route anew at its first request.
"""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.api.application import create_api
from gateway_hub.api.context import set_context
from gateway_hub.domain.clock import system_clock
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox
from tests.api.clients import OPERATOR_TOKEN, connect


@pytest.fixture(scope="session")
async def shared_hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    """A hub for tests that send no message."""
    folder = tmp_path_factory.mktemp("shared-hub")
    options = HubOptions(
        database_url=f"sqlite+aiosqlite:///{folder / 'hub.sqlite3'}",
        attachments_folder=folder / "attachments",
        secret_keys=[SecretBox.generate_key()],
        migrate=True,
        operator_token=OPERATOR_TOKEN,
    )
    hub = Hub(options, system_clock)
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture(scope="session")
def shared_app(shared_hub: Hub) -> FastAPI:
    """The API of the shared hub."""
    return create_api(shared_hub)


@pytest.fixture
async def shared(shared_app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the shared hub that may do everything."""
    async with connect(shared_app, OPERATOR_TOKEN) as client:
        yield client


@pytest.fixture(scope="session")
def reused_app(shared_hub: Hub) -> FastAPI:
    """An application that serves one hub after another."""
    return create_api(shared_hub)


@pytest.fixture
def app(hub: Hub, reused_app: FastAPI) -> FastAPI:
    """The API of the test's own hub."""
    set_context(reused_app, hub, ())
    return reused_app


@pytest.fixture
async def admin(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the test's own hub that may do everything."""
    async with connect(app, OPERATOR_TOKEN) as client:
        yield client
