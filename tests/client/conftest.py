"""Both clients, driven alike: the one that blocks runs in a thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from gateway_hub.app import create_app
from gateway_hub.client import AsyncClient, Client, RetryPolicy
from gateway_hub.services.hub import Hub
from gateway_hub.settings import Settings
from tests.api.clients import ALL_BUT_ADMIN, make_key
from tests.serving import serving


class Driver(Protocol):
    """One of the clients."""

    async def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Return what the method *name* returns."""

    async def take(self, count: int, name: str, **named: Any) -> list[Any]:
        """Return the first *count* of what the method *name* yields."""


@dataclass(frozen=True)
class _Blocking:
    client: Client

    async def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        return await asyncio.to_thread(getattr(self.client, name), *arguments, **named)

    async def take(self, count: int, name: str, **named: Any) -> list[Any]:
        def read() -> list[Any]:
            found: Generator[Any] = getattr(self.client, name)(**named)
            with closing(found):
                return list(islice(found, count))

        return await asyncio.to_thread(read)


@dataclass(frozen=True)
class _Async:
    client: AsyncClient

    async def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        return await getattr(self.client, name)(*arguments, **named)

    async def take(self, count: int, name: str, **named: Any) -> list[Any]:
        found: list[Any] = []
        async with aclosing(getattr(self.client, name)(**named)) as items:
            async for item in items:
                found.append(item)
                if len(found) == count:
                    break
        return found


@dataclass
class Pauses:
    """What a client would have waited."""

    seconds: list[float] = field(default_factory=list)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which of the clients."""
    kind: str = request.param
    return kind


@pytest.fixture
def pauses() -> Pauses:
    """Where waits are noted instead of waited."""
    return Pauses()


@pytest.fixture
async def url(hub: Hub, tmp_path: Path) -> AsyncIterator[str]:
    """Where the test's hub listens."""
    settings = Settings(data_dir=tmp_path, long_poll_seconds=0)
    async with serving(create_app(settings, hub)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def client(kind: str, url: str, hub: Hub) -> AsyncIterator[Driver]:
    """A client of it that may do all but rule."""
    async with connecting(kind, url, await make_key(hub, ALL_BUT_ADMIN)) as driver:
        yield driver


@asynccontextmanager
async def connecting(
    kind: str, url: str, key: str, *, retries: RetryPolicy | None = None
) -> AsyncIterator[Driver]:
    """Yield that client of the hub at *url*."""
    if kind == "sync":
        with Client(url, key, retries=retries) as blocking:
            yield _Blocking(blocking)
    else:
        async with AsyncClient(url, key, retries=retries) as client:
            yield _Async(client)


@asynccontextmanager
async def answered_by(
    kind: str,
    handle: Callable[[httpx.Request], httpx.Response],
    pauses: Pauses,
    retries: RetryPolicy | None = None,
) -> AsyncIterator[Driver]:
    """Yield that client, answered by *handle*; what it would wait is noted in *pauses*."""
    transport = httpx.MockTransport(handle)

    async def note(seconds: float) -> None:
        pauses.seconds.append(seconds)

    url, key = "http://hub.example.test", "ghk_test"
    if kind == "sync":
        with Client(
            url, key, retries=retries, transport=transport, sleep=pauses.seconds.append
        ) as blocking:
            yield _Blocking(blocking)
    else:
        sleep: Callable[[float], Awaitable[None]] = note
        async with AsyncClient(
            url, key, retries=retries, transport=transport, sleep=sleep
        ) as client:
            yield _Async(client)
