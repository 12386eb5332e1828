"""``gateway-hub serve --workers``: several processes on one port, started again when they end."""

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING

import structlog
import typer

from gateway_hub.cli.addresses import listen, make_url
from gateway_hub.cli.deadline import end_after
from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.cli.server import configure, first_key_text, ready_text
from gateway_hub.cli.startup import make_hub, started
from gateway_hub.cli.worker import run_worker
from gateway_hub.services.access import NewApiKey
from gateway_hub.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_WORKER_STOP_SECONDS = 9.7  # a worker ends itself a little earlier, whatever it is doing
_STOP_SECONDS = 9.9
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
_LONG_LIFE_SECONDS = 60.0

log = structlog.get_logger(__name__)

# A fork would take over what the libraries of this process keep open.
_processes = multiprocessing.get_context("spawn")


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises CommandError when the start fails."""
    configure(settings)
    with closing(listen(settings.host, settings.port)) as listener:
        asyncio.run(_serve(settings, listener))
    log.info("stopped")


async def _serve(settings: Settings, listener: socket.socket) -> None:
    work = asyncio.ensure_future(_start_and_supervise(settings, listener))
    _cancel_at_signal(work)
    with suppress(asyncio.CancelledError):
        await work


async def _start_and_supervise(settings: Settings, listener: socket.socket) -> None:
    url = make_url(settings.host, listener.getsockname()[1])
    first = await _prepare(settings)
    if first is not None:
        typer.echo(first_key_text(first.secret))
    prepared = settings.model_copy(update={"migrate_at_start": False})
    supervisor = Supervisor(
        prepared, listener, on_ready=lambda: typer.echo(ready_text(settings, url))
    )
    await supervisor.run()


def _cancel_at_signal(work: asyncio.Future[None]) -> None:
    """Let the first SIGTERM or SIGINT cancel *work*; later ones change nothing."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        for each in signals:
            loop.add_signal_handler(each, lambda: None)
        end_after(_STOP_SECONDS)
        work.cancel()

    for each in signals:
        loop.add_signal_handler(each, stop)


async def _prepare(settings: Settings) -> NewApiKey | None:
    """Do once what needs doing once; return the first admin key, if it was made now."""
    own = await make_hub(settings)
    async with started(own):
        return await own.hub.access.ensure_first_key()


class Supervisor:
    """Keeps the workers running. *on_ready* is called when all serve for the first time."""

    def __init__(
        self, settings: Settings, listener: socket.socket, on_ready: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._on_ready = on_ready
        self._awaited = set(range(1, settings.workers + 1))

    async def run(self) -> None:
        """Run until cancelled; then end the workers. Raises CommandError if one cannot start."""
        keepers = [asyncio.create_task(self._keep(number)) for number in sorted(self._awaited)]
        try:
            await asyncio.gather(*keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        while True:
            began = loop.time()
            exit_code = await self._run(number)
            if self._awaited:
                raise CommandError(
                    f"worker {number} ended before the hub was ready, with exit code {exit_code}",
                    ExitCode(exit_code) if exit_code in set(ExitCode) else ExitCode.REFUSED,
                )
            if loop.time() - began > _LONG_LIFE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            log.error(
                "worker_ended", worker=number, exit_code=exit_code, started_again_in_seconds=pause
            )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _run(self, number: int) -> int:
        """Run one process to its end and return its exit code; negative is a signal."""
        ready, tell_ready = _processes.Pipe(duplex=False)
        process = _processes.Process(
            target=run_worker,
            args=(self._settings, self._listener, number, tell_ready),
            name=f"gateway-hub worker {number}",
            daemon=True,
        )
        process.start()
        tell_ready.close()
        try:
            with closing(ready):
                await self._note_ready(number, ready)
            await _until_readable(process.sentinel)
        finally:
            await _end(process)
        return process.exitcode or 0

    async def _note_ready(self, number: int, ready: "Connection[bool, bool]") -> None:
        """Wait until the worker serves, or has ended before it did."""
        await _until_readable(ready.fileno())
        with suppress(EOFError):
            ready.recv()
            if self._awaited:
                self._awaited.discard(number)
                if not self._awaited:
                    self._on_ready()


async def _until_readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(descriptor, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(descriptor)


async def _end(process: SpawnProcess) -> None:
    """Ask a process that still runs to stop, and wait until it has."""
    if process.is_alive():
        process.terminate()
        try:
            async with asyncio.timeout(_WORKER_STOP_SECONDS):
                await _until_readable(process.sentinel)
        except TimeoutError:
            process.kill()
    process.join()
