"""``gateway-hub serve``: uvicorn as the hub wants it, what is said at the start, a prompt stop."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType

import structlog
import typer
import uvicorn
import uvloop

from gateway_hub import __version__
from gateway_hub.cli.addresses import listen, make_url
from gateway_hub.cli.deadline import end_after
from gateway_hub.cli.explanations import explaining
from gateway_hub.cli.running_file import RunningFile, remove_running_file, write_running_file
from gateway_hub.cli.startup import OwnHub, make_hub, started
from gateway_hub.ops.logging import configure_logging
from gateway_hub.ops.redaction import redact
from gateway_hub.services.hub import Hub
from gateway_hub.settings import Settings

log = structlog.get_logger(__name__)

_KEEP_ALIVE_SECONDS = 75
_GRACEFUL_SECONDS = 8
_STOP_SECONDS = 9.5


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises CommandError when the start fails."""
    configure(settings)
    with new_runner() as runner:
        runner.run(_serve(settings))


def configure(settings: Settings) -> None:
    """Let all that this process has to say go into the log."""
    configure_logging(settings.log_level, settings.log_format)
    logging.captureWarnings(capture=True)


def new_runner() -> asyncio.Runner:
    """Return what runs a server's coroutines."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


class HubServer(uvicorn.Server):
    """uvicorn that ends held polls and streams at the first signal, and itself with exit code 0."""

    def __init__(
        self, config: uvicorn.Config, hub: Hub, announce: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._hub = hub
        self._announce = announce
        self._loop = asyncio.get_running_loop()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections, then say so."""
        await super().startup(sockets)
        if not self.should_exit:
            await self._announce()

    def handle_exit(self, sig: int, _frame: FrameType | None) -> None:
        """Stop; a second Ctrl+C does not wait for the requests under way.

        uvicorn's own would raise the signal again at the end, so that a clean stop looked like a
        killed process.
        """
        if not self.should_exit:
            end_after(_STOP_SECONDS)
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self._loop.call_soon_threadsafe(self._hub.let_go)


def make_config(own: OwnHub) -> uvicorn.Config:
    """Return uvicorn's configuration; forwarded headers are the adapters' to judge, not its."""
    return uvicorn.Config(
        own.app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACEFUL_SECONDS,
    )


async def _serve(settings: Settings) -> None:
    own = await make_hub(settings)
    listener: socket.socket

    async def announce() -> None:
        with explaining(settings):
            await _announce(own, make_url(settings.host, listener.getsockname()[1]))

    server = HubServer(make_config(own), own.hub, announce)
    # Around the start too: process 1 of a container ignores a signal that has no handler.
    with server.capture_signals():
        async with started(own):
            listener = listen(settings.host, settings.port)
            try:
                await server.serve(sockets=[listener])
            finally:
                listener.close()
                if settings.is_embedded:
                    remove_running_file(settings.data_dir)
    log.info("stopped")


async def _announce(own: OwnHub, url: str) -> None:
    """Say that the hub is ready, to people and to other commands; show the first key, once."""
    settings = own.settings
    first = await own.hub.access.ensure_first_key()
    if settings.is_embedded:
        running = RunningFile(url, os.getpid(), own.operator_token)
        write_running_file(settings.data_dir, running)
    typer.echo(ready_text(settings, url))
    if first is not None:
        typer.echo(first_key_text(first.secret))
    settle_garbage_collector()


def first_key_text(secret: str) -> str:
    """Return what is said about the first admin key."""
    return f"\nThe first admin key. It is not shown again:\n\n  {secret}\n"


def ready_text(settings: Settings, url: str) -> str:
    """Return what is said once the hub answers at *url*."""
    lines = [
        f"gateway-hub {__version__} is ready at {url}",
        f"  API docs  {url}/docs",
        f"  health    {url}/readyz",
        f"  data      {Path(settings.data_dir).resolve()}",
    ]
    if not settings.is_embedded:
        lines.append(f"  database  {redact(settings.effective_database_url)}")
    if settings.workers > 1:
        lines.append(f"  workers   {settings.workers}")
    return "\n".join(lines)


def settle_garbage_collector() -> None:
    """Keep the collector from the objects that stay: its pauses set the slowest answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
