"""The hub of this machine's data folder: the one that runs, or one in this process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.cli.running_file import RunningFile, find_running_file
from gateway_hub.cli.schema import find_sqlite_file
from gateway_hub.settings import Settings
from gateway_hub.storage.process_lock import DatabaseInUseError, ProcessLock

_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.1


async def find_running_hub(
    settings: Settings, *, patience_seconds: float = _PATIENCE_SECONDS
) -> RunningFile | None:
    """Return how to reach the hub that runs on this SQLite file; None if nothing has it open.

    A hub that is starting, or another command, is waited for. Raises CommandError if something
    keeps the file for *patience_seconds* without answering.
    """
    deadline = time.monotonic() + patience_seconds
    while error := _find_lock(settings):
        found = find_running_file(settings.data_dir)
        if found is not None and await _answers(found.url):
            return found
        if time.monotonic() > deadline:
            raise CommandError(f"{error} It does not answer.", ExitCode.UNREACHABLE) from error
        await asyncio.sleep(_PAUSE_SECONDS)
    return None


@asynccontextmanager
async def own_transport(settings: Settings) -> AsyncIterator[tuple[httpx.ASGITransport, str]]:
    """Start a hub in this process; yield the way to it and an admin key. Raises CommandError."""
    from gateway_hub.cli import startup

    own = await startup.make_hub(settings)
    async with startup.started(own):
        yield httpx.ASGITransport(own.app, raise_app_exceptions=False), own.operator_token


def _find_lock(settings: Settings) -> DatabaseInUseError | None:
    file = find_sqlite_file(settings)
    if file is None or not file.resolve().parent.is_dir():
        return None
    lock = ProcessLock(file)
    try:
        lock.acquire()
    except DatabaseInUseError as error:
        return error
    lock.release()
    return None


async def _answers(url: str) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            return (await client.get(f"{url}/livez")).is_success
    except httpx.RequestError:
        return False
