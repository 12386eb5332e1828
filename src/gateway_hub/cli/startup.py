"""A hub in this process: made from the settings, started, stopped; failures told in one line."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp, Message

from gateway_hub.app import create_app, create_hub
from gateway_hub.cli.explanations import explaining
from gateway_hub.cli.failures import CommandError
from gateway_hub.cli.schema import find_sqlite_file, require_head
from gateway_hub.secret_keys import load_secret_keys
from gateway_hub.services.hub import Hub
from gateway_hub.services.secrets import SecretBox
from gateway_hub.settings import Settings


@dataclass(frozen=True, slots=True)
class OwnHub:
    """A hub of this process; *operator_token* is an admin key of it while the process lives."""

    settings: Settings
    hub: Hub
    app: ASGIApp
    operator_token: str


async def make_hub(settings: Settings) -> OwnHub:
    """Return the hub of *settings*, not started. Raises CommandError."""
    token = secrets.token_urlsafe(32)
    with explaining(settings):
        find_sqlite_file(settings)  # refuses any other database
        _check_keys(settings)
        if not settings.migrates_at_start:
            await require_head(settings)
        hub = create_hub(settings, operator_token=token)
        return OwnHub(settings, hub, create_app(settings, hub), token)


def _check_keys(settings: Settings) -> None:
    try:
        SecretBox(load_secret_keys(settings))
    except ValueError as error:
        raise CommandError(
            "GATEWAY_HUB_SECRET_KEYS, or the key file, holds something else than Fernet keys. "
            "Make one with: gateway-hub config --new-secret-key"
        ) from error


@asynccontextmanager
async def started(own: OwnHub) -> AsyncIterator[None]:
    """Run the hub and its application around the block. Raises CommandError at a failed start."""
    lifespan = _Lifespan(own.app)
    with explaining(own.settings):
        try:
            await lifespan.start()
        except BaseException:
            await own.hub.database.stop()  # a thread of SQLite's would keep the process alive
            raise
    try:
        yield
    finally:
        await lifespan.stop()


class _Lifespan:
    """The server's side of ASGI's lifespan protocol; a failed start raises its real cause.

    uvicorn's own only logs it, as a traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._ready = asyncio.Event()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="lifespan")
        self._inbox.put_nowait({"type": "lifespan.startup"})
        await self._ready.wait()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        await self._task

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._app(scope, self._inbox.get, self._hear)
        finally:
            self._ready.set()

    async def _hear(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._ready.set()
