"""A receiver of webhooks on the loopback address that behaves, or misbehaves, as it is told."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Received:
    """A request as it came off the socket; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came in on a port."""

    port: int
    connections: int = 0
    requests: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        """The URL of this receiver."""
        return f"{scheme}://{host}:{self.port}/hook"


def answering(head: str, body: bytes = b"") -> Behaviour:
    """Answer with the lines of *head* and *body*, as they are."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(head.strip().replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body)
        await writer.drain()

    return behave


def ok(body: bytes = b"", *headers: str) -> Behaviour:
    """Answer 200 with *body*."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return answering("\n".join(lines), body)


def status(code: int, *headers: str) -> Behaviour:
    """Answer with a status and no body."""
    return answering("\n".join([f"HTTP/1.1 {code} x", "Content-Length: 0", *headers]))


@dataclass
class Switching:
    """Behaves as it is told at the moment."""

    behaviour: Behaviour

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        await self.behaviour(writer)


def switching(behaviour: Behaviour) -> Switching:
    """Do that, until told otherwise."""
    return Switching(behaviour)


async def hang(_writer: asyncio.StreamWriter) -> None:
    """Never say a word."""
    await asyncio.Event().wait()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close the connection at once."""
    writer.close()


def then(*behaviours: Behaviour) -> Behaviour:
    """Do one after the other."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        for each in behaviours:
            await each(writer)

    return behave


def pour(piece: bytes, times: int) -> Behaviour:
    """Send *piece* so many times, as fast as it is taken."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        for _ in range(times):
            writer.write(piece)
            await writer.drain()

    return behave


def drip(data: bytes) -> Behaviour:
    """Send *data* byte by byte, slower than anybody waits."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.02)

    return behave


@asynccontextmanager
async def receiving(
    behaviour: Behaviour, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """Yield a receiver on a free port; whatever it is still doing ends with it."""
    listener = socket.create_server(
        (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    )
    receiver = Receiver(listener.getsockname()[1])
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        receiver.connections += 1
        try:
            await _serve(receiver, behaviour, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            receiver.closed.set()
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, sock=listener, ssl=tls)
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(
    receiver: Receiver,
    behaviour: Behaviour,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    while True:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        receiver.requests.append(Received(head[0], headers, body))
        receiver.arrived.set()
        await _behave_while_connected(behaviour, reader, writer)


async def _behave_while_connected(
    behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Let the behaviour run until it ends or the other side hangs up."""
    behaving = asyncio.ensure_future(behaviour(writer))
    hung_up = asyncio.ensure_future(reader.read(1))
    try:
        await asyncio.wait({behaving, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        if behaving.done():
            await behaving
        if hung_up.done():
            raise ConnectionResetError
    finally:
        behaving.cancel()
        hung_up.cancel()
        await asyncio.gather(behaving, hung_up, return_exceptions=True)
