"""One life of the hub, from its start until it is stopped or killed, without sockets."""

import asyncio
import gzip
import math
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from starlette.routing import Router

from gateway_hub.adapters.envaya.routes import EnvayaOptions, create_envaya_routes
from gateway_hub.adapters.medic.routes import create_medic_routes
from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.errors import HubError, UnavailableError
from gateway_hub.domain.ids import IdSource, use_source
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest
from tests.simulation.database import put_on_disk
from tests.simulation.faulty_sqlite import Disk
from tests.simulation.virtual_time import VirtualLoop

T = TypeVar("T")

SECRET_KEY = "c2ltdWxhdGlvbi1zaW11bGF0aW9uLXNpbXVsYXRpb24="
_ROUNDS_TO_DIE = 200
_DRAIN_SECONDS = 5.0

Result = tuple[Literal["done", "refused", "unknown"], Any]
"""What a caller of the API knows: the value, the error, or nothing."""

_RUNNING: ContextVar["HubProcess | None"] = ContextVar("process", default=None)


class HubProcess:
    """The services and phone routes of one operating system process."""

    def __init__(
        self, disk: Disk, loop: VirtualLoop, rng: random.Random, long_poll_seconds: float
    ) -> None:
        self._disk = disk
        self._loop = loop
        self._rng = rng
        self._refreshed_at = -math.inf
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.is_alive = True
        self.accepts = True
        self.hub = Hub(_options(), loop.now)
        use_source(IdSource(lambda: to_epoch_ms(loop.now()), rng.getrandbits))
        self._app = Router(
            [
                *create_medic_routes(self.hub),
                *create_envaya_routes(self.hub, EnvayaOptions(long_poll_seconds=long_poll_seconds)),
            ]
        )
        self._disk.is_powered = True
        self._within(lambda: put_on_disk(self.hub.database, disk))

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start *work* in this process: it ends with it."""
        return self._within(lambda: self._loop.create_task(work))

    async def kill(self) -> None:
        """End at once: what is not on disk is gone, and nothing more is said to anyone."""
        self.is_alive = self.accepts = self._disk.is_powered = False
        self._disk.cut_all()
        for _ in range(_ROUNDS_TO_DIE):
            if not self._tasks:
                return
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.sleep(0)
        raise RuntimeError(f"tasks outlive their process: {list(self._tasks)}")

    async def stop(self) -> None:
        """End as at SIGTERM: finish what was taken, then close."""
        self.accepts = False
        self.hub.wakeups.stop()
        deadline = self._loop.time() + _DRAIN_SECONDS
        requests = [task for task in self._tasks if task.get_name().startswith("request")]
        if requests:
            await asyncio.wait(requests, timeout=deadline - self._loop.time())
        closing = self.spawn(self.hub.stop())
        await asyncio.wait([closing], timeout=_DRAIN_SECONDS)
        await self.kill()

    async def call(self, work: Callable[[Hub], Awaitable[Any]]) -> Result:
        """Return what a caller of the API hears of *work*; other errors than the hub's are raised.

        One who hears nothing, or that the hub is not available now, knows nothing.
        """
        if not self.accepts:
            return "unknown", None
        task = self.spawn(_await(work(self.hub)))
        await asyncio.wait([task])
        if task.cancelled() or not self.is_alive:
            return "unknown", None
        error = task.exception()
        if isinstance(error, UnavailableError):
            return "unknown", None
        if isinstance(error, HubError):
            return "refused", error
        if error is not None:
            raise error
        return "done", task.result()

    def serve(
        self, request: HttpRequest, said: Callable[[HttpAnswer], None], gone: asyncio.Event
    ) -> asyncio.Task[None]:
        """Begin to answer *request*; *said* is called when the last byte of the answer is written.

        The phone hangs up when *gone* is set.
        """
        task = self.spawn(self._serve(request, said, gone))
        task.set_name(f"request {request.token}")
        return task

    async def _serve(
        self, request: HttpRequest, said: Callable[[HttpAnswer], None], gone: asyncio.Event
    ) -> None:
        body: list[bytes] = [request.body]
        started: dict[str, Any] = {}

        async def receive() -> dict[str, Any]:
            if body:
                return {"type": "http.request", "body": body.pop(), "more_body": False}
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                started.update(message)
            elif not message.get("more_body") and self.is_alive:
                said(_to_answer(started, message.get("body", b"")))

        await self._refresh_hints()
        await self._app(_scope_of(request), receive, send)

    async def _refresh_hints(self) -> None:
        """Read where work waits, as the hub does every few seconds: here shortly before it counts.

        The request comes some time after that, when the hints may be outdated again.
        """
        seconds = self.hub.hints.REFRESH_SECONDS
        if self._loop.time() - self._refreshed_at < seconds:
            return
        self._refreshed_at = self._loop.time()
        with suppress(UnavailableError):
            await self.hub.following.refresh()
        await asyncio.sleep(self._rng.choice((0.0, 0.0, self._rng.random() * seconds)))

    def _within(self, begin: Callable[[], T]) -> T:
        context = copy_context()
        context.run(_RUNNING.set, self)
        return context.run(begin)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """Take *task* for one of this process's."""
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)


def track_tasks(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task of the process that makes it: a task factory."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    process = _RUNNING.get()
    if process is not None:
        process.adopt(task)
    return task


async def _await(work: Awaitable[T]) -> T:
    return await work


def _options() -> HubOptions:
    return HubOptions(
        database_url="sqlite+aiosqlite:///never-opened.sqlite3",
        attachments_folder=Path("/never-written"),
        secret_keys=[SECRET_KEY],
        migrate=False,
    )


def _scope_of(request: HttpRequest) -> dict[str, Any]:
    parts = urlsplit(request.url)
    headers = [(name.lower().encode(), value.encode()) for name, value in request.headers]
    headers.append((b"host", parts.netloc.encode()))
    headers.append((b"content-length", str(len(request.body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": parts.scheme,
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("10.0.0.1", 40_000),
        "server": (parts.hostname, parts.port or 80),
    }


def _to_answer(started: dict[str, Any], body: bytes) -> HttpAnswer:
    headers = {name.lower(): value.decode("latin-1") for name, value in started["headers"]}
    if headers.get(b"content-encoding") == "gzip":
        body = gzip.decompress(body)
    return HttpAnswer(
        started["status"], headers.get(b"content-type"), body, headers.get(b"location")
    )
