"""A hub that does nothing by itself: what it does is what the test asks for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox
from tests.conftest import FakeClock
from tests.services.world import World

MakeQuietHub = Callable[[], Awaitable[Hub]]


@pytest.fixture
async def make_quiet_hub(
    database_url: str, tmp_path: Path, clock: FakeClock
) -> AsyncIterator[MakeQuietHub]:
    """Return a function that makes hubs on one database, which do nothing by themselves."""
    key = SecretBox.generate_key()
    async with AsyncExitStack() as stack:

        async def make() -> Hub:
            options = HubOptions(database_url, tmp_path / "attachments", [key], migrate=False)
            hub = Hub(options, clock)
            await hub.database.start(migrate=False)
            stack.push_async_callback(hub.database.stop)
            return hub

        yield make


@pytest.fixture
async def quiet_hub(make_quiet_hub: MakeQuietHub) -> Hub:
    """A hub that does nothing by itself."""
    return await make_quiet_hub()


@pytest.fixture
async def world(quiet_hub: Hub, clock: FakeClock) -> World:
    """A world with no phones yet, in which nothing happens by itself."""
    project = await quiet_hub.access.ensure_default_project()
    return World(quiet_hub, clock, project.id)
