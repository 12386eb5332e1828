"""Both clients, driven alike: the one that blocks runs in a thread."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import httpx
import pytest

from gateway_hub.client import AsyncClient, Client, RetryPolicy


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
            found: Iterator[Any] = getattr(self.client, name)(**named)
            return list(islice(found, count))

        return await asyncio.to_thread(read)


@dataclass(frozen=True)
class _Async:
    client: AsyncClient

    async def ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        return await getattr(self.client, name)(*arguments, **named)

    async def take(self, count: int, name: str, **named: Any) -> list[Any]:
        found: list[Any] = []
        async for item in getattr(self.client, name)(**named):
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
