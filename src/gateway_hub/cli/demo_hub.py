"""The hub of ``gateway-hub demo``: in this process, on a free port, in a folder of its own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from gateway_hub.cli.addresses import listen, make_url
from gateway_hub.cli.failures import CommandError
from gateway_hub.cli.server import make_config
from gateway_hub.cli.startup import make_hub, started
from gateway_hub.settings import Settings

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class DemoHub:
    """Where the hub is, and its first key."""

    url: str
    key: str
    folder: Path


class _Server(uvicorn.Server):
    """uvicorn that leaves the signals alone: the demo ends itself, and then its server."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


@asynccontextmanager
async def running_hub(folder: Path) -> AsyncIterator[DemoHub]:
    """Run a hub with its data in *folder* around the block. Raises CommandError."""
    # Neither the environment nor a .env file has a word in this.
    settings = Settings.model_construct(
        data_dir=folder, webhook_allowed_networks=[_HOST], webhook_allow_http=True
    )
    own = await make_hub(settings)
    async with started(own):
        listener = listen(_HOST, 0)
        server = _Server(make_config(own))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            first = await own.hub.access.ensure_first_key()
            if first is None:
                raise CommandError(f"{folder} is not a new folder.")
            url = make_url(_HOST, listener.getsockname()[1])
            yield DemoHub(url, first.secret, folder)
        finally:
            own.hub.let_go()
            server.should_exit = True
            await serving
