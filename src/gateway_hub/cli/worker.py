"""One of the processes that share the port of ``gateway-hub serve --workers``."""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import structlog

from gateway_hub.cli.explanations import explain
from gateway_hub.cli.server import (
    HubServer,
    configure,
    make_config,
    new_runner,
    settle_garbage_collector,
)
from gateway_hub.cli.startup import make_hub, started
from gateway_hub.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

log = structlog.get_logger(__name__)


def run_worker(
    settings: Settings, listener: socket.socket, number: int, ready: "Connection[bool, bool]"
) -> None:
    """Serve *listener* until SIGTERM; let *ready* know when that begins.

    Every line of its log says which *number* it is.
    """
    structlog.contextvars.bind_contextvars(worker=number)
    configure(settings)
    try:
        with new_runner() as runner:
            runner.run(_serve(settings, listener, ready))
    except Exception as error:  # noqa: BLE001 - whatever it was, one clear line
        failure = explain(error, settings)
        failure.show()
        sys.exit(failure.exit_code)


async def _serve(
    settings: Settings, listener: socket.socket, ready: "Connection[bool, bool]"
) -> None:
    own = await make_hub(settings)

    async def announce() -> None:
        settle_garbage_collector()
        log.info("worker_ready", pid=os.getpid())
        ready.send(True)
        ready.close()

    server = HubServer(make_config(own), own.hub, announce)
    with server.capture_signals():
        _stop_without_parent(server)
        async with started(own):
            await server.serve(sockets=[listener])
    log.info("stopped")


def _stop_without_parent(server: HubServer) -> None:
    """Stop when the process that looks after this one was killed: nobody else would stop it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    loop, sentinel = asyncio.get_running_loop(), parent.sentinel

    def stop() -> None:
        loop.remove_reader(sentinel)
        log.error("parent_ended")
        server.handle_exit(signal.SIGTERM, None)

    loop.add_reader(sentinel, stop)
