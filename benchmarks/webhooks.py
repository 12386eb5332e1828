"""How soon a healthy webhook endpoint hears of events, by itself and beside the sick ones."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from benchmarks.databases import PostgresServer
from benchmarks.prepared import Phones, prepared
from benchmarks.programs import HUB, Program, running
from benchmarks.results import Figure, Part
from benchmarks.usage import memory_mb

_PER_SECOND = 100
_MOST_SECONDS = 1.0
_MOST_MB = 67.1  # 64 MiB
_LAST_SECONDS = 20.0
_SETTINGS = {
    "GATEWAY_HUB_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    "GATEWAY_HUB_WEBHOOK_ALLOW_HTTP": "true",
}
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

Behave = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class _Heard:
    """When each event was heard of first, and how often in all."""

    first: dict[str, float] = field(default_factory=dict)
    times: int = 0


async def _hang(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def _say(head: str, *, then: Behave | None = None, body: bytes = b"") -> Behave:
    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await writer.drain()
        if then is not None:
            await then(writer)

    return behave


async def _drip(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


async def _pour(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(bytes(1 << 16))
        await writer.drain()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


_LARGE = "HTTP/1.1 200 OK\nContent-Length: 209715200"
_SICK: dict[str, Behave] = {
    "hangs": _hang,
    "hangs after its headers": _say("HTTP/1.1 200 OK\nContent-Length: 9", then=_hang),
    "sends a byte a second": _say("HTTP/1.1 200 OK\nContent-Length: 9000", then=_drip),
    "answers 500": _say("HTTP/1.1 500 x\nContent-Length: 0"),
    "answers 429": _say("HTTP/1.1 429 x\nContent-Length: 0\nRetry-After: 3600"),
    "redirects": _say("HTTP/1.1 302 x\nContent-Length: 0\nLocation: http://169.254.169.254/"),
    "answers 200 MiB": _say(_LARGE, then=_pour),
    "answers 200 MiB, packed": _say(f"{_LARGE}\nContent-Encoding: gzip", then=_pour),
    "hangs up": _hang_up,
    "is gone": _say("HTTP/1.1 410 x\nContent-Length: 0"),
}


def measure_webhooks(
    kind: str, *, server: PostgresServer | None, seconds: float, say: Callable[[str], None]
) -> Part:
    """Return how soon a healthy webhook endpoint hears of 100 events a second for *seconds*."""
    alone = _measure(kind, server, seconds, sick=False)
    say(f"{kind}, alone: {alone}")
    beside = _measure(kind, server, seconds, sick=True)
    say(f"{kind}, beside the sick: {beside}")
    return Part(
        key=f"webhooks {kind}",
        title=f"Webhooks, {kind}",
        command=f"python -m benchmarks webhooks --database {kind} --seconds {seconds:g}",
        figures=[
            Figure("first attempt, alone: p50, p99", alone.times),
            Figure(
                "first attempt, beside the sick: p50, p99",
                beside.times,
                f"p99 ≤ {_MOST_SECONDS:g} s",
                beside.p99 <= _MOST_SECONDS,
            ),
            Figure("events heard of", f"{beside.heard} of {beside.sent}", "all", beside.is_whole),
            Figure(
                "memory, beside the sick",
                f"{beside.growth_mb:,.0f} MB more",
                f"≤ {_MOST_MB:.0f} MB",
                beside.growth_mb <= _MOST_MB,
            ),
        ],
        notes=[
            f"{_PER_SECOND} messages a second are submitted for {seconds:g} s; every endpoint asks "
            f"for their events. From the event's own time to the request's arrival. The sick: one "
            f"each that {', '.join(_SICK)}, has bad TLS, has no name."
        ],
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    p50: float
    p99: float
    sent: int
    heard: int
    growth_mb: float

    @property
    def times(self) -> str:
        return f"{self.p50 * 1000:,.0f} ms, {self.p99 * 1000:,.0f} ms"

    @property
    def is_whole(self) -> bool:
        return self.heard == self.sent


def _measure(kind: str, server: PostgresServer | None, seconds: float, *, sick: bool) -> _Measured:
    with ExitStack() as stack:
        database = stack.enter_context(prepared(kind, server, Phones(medic=0, envaya=0)))
        hub = stack.enter_context(running(HUB, database, settings=_SETTINGS))
        return asyncio.run(_drive(hub, seconds, sick=sick))


async def _drive(hub: Program, seconds: float, *, sick: bool) -> _Measured:
    heard = _Heard()
    headers = {"Authorization": f"Bearer {hub.prepared.known.api_key}"}
    base_url = f"http://127.0.0.1:{hub.port}"
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=base_url, headers=headers, trust_env=False, timeout=60)
        )
        urls = [await stack.enter_async_context(_listening(_hear(heard)))]
        if sick:
            servers = [_listening(_misbehave(behave)) for behave in _SICK.values()]
            urls += [await stack.enter_async_context(server) for server in servers]
            plain = urls[-1].removeprefix("http")
            urls += [f"https{plain}", "http://nowhere.invalid/"]
        for url in urls:
            body = {"url": url, "events": ["message.queued"]}
            (await http.post("/v1/webhook-endpoints", json=body)).raise_for_status()
        await asyncio.sleep(2)
        before = memory_mb(hub.pid)
        sent = await _submit(http, round(seconds * _PER_SECOND))
        deadline = time.monotonic() + _LAST_SECONDS
        while len(heard.first) < sent and time.monotonic() < deadline:  # noqa: ASYNC110 - seldom
            await asyncio.sleep(0.1)
        growth = memory_mb(hub.pid) - before
    waits = sorted(heard.first.values())
    return _Measured(_share(waits, 0.5), _share(waits, 0.99), sent, len(waits), growth)


def _share(waits: Sequence[float], share: float) -> float:
    return waits[min(len(waits) - 1, int(len(waits) * share))] if waits else float("inf")


async def _submit(http: httpx.AsyncClient, count: int) -> int:
    """Submit *count* messages, each at its time, however long the hub takes for one."""
    began = time.monotonic()
    under_way: set[asyncio.Task[Any]] = set()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / _PER_SECOND - time.monotonic()))
        body = {"to": "+255710009999", "text": f"event {number}"}
        task = asyncio.create_task(http.post("/v1/messages", json=body))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    for task in list(under_way):
        (await task).raise_for_status()
    return count


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _listening(serve: Serve) -> AsyncIterator[str]:
    """Yield the URL of a server that does that for each connection."""
    tasks: set[asyncio.Task[Any]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].split("\r\n")[0])
    return await reader.readexactly(length)


def _hear(heard: _Heard) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            event = json.loads(await _read(reader))
            happened = _moment(event["timestamp"])
            heard.first.setdefault(event["id"], time.time() - happened)
            heard.times += 1
            writer.write(_OK)
            await writer.drain()

    return serve


def _misbehave(behave: Behave) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _read(reader)
            await behave(writer)

    return serve


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
