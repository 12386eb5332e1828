"""Clients in a process of their own, each with one request under way: a closed loop."""

import asyncio
import gc
import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

import uvloop

from benchmarks.pairs import percentile
from benchmarks.requests import Kind, Known, make_requests

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")

_WARM_UP_SECONDS = 0.3
_ACCEPTING_SECONDS = 0.2
_LAST_ANSWERS_SECONDS = 30.0
_SEND_SECONDS = 120.0
_CLIENTS_OF_SEND = 16
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


class UnexpectedAnswerError(Exception):
    """A server said something else than a measured request should meet."""


@dataclass(frozen=True, slots=True)
class Job:
    """So many *clients*, spread over *ports*, for so many *seconds*; longer for slow programs."""

    ports: tuple[int, ...]
    kind: Kind
    known: Known
    clients: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """What one job measured. *answers* counts all, those outside of the measured time included."""

    per_second: float
    p50_ms: float
    p99_ms: float
    answers: int


@dataclass(slots=True)
class _Run:
    """What the clients of one job share.

    It is over when *ends* has passed and *fewest* answers have come since *begins*.
    """

    requests: Iterator[bytes]
    fewest: int
    done: asyncio.Future[None]
    clients_left: int
    begins: float = 0.0
    ends: float = math.inf
    last: float = 0.0
    over: bool = False
    answers: int = 0
    latencies: list[float] = field(default_factory=list)


class Answers(asyncio.Protocol):
    """Reads the answers of one keep-alive connection; *heard* gets each body."""

    def __init__(self, heard: Callable[[bytes], None], failed: Callable[[Exception], None]) -> None:
        self._heard = heard
        self._failed = failed
        self._read = b""
        self._wanted = 0

    def data_received(self, data: bytes) -> None:
        """Take in what has come; nothing is told before an answer is whole."""
        self._read = data = self._read + data if self._read else data
        if not self._wanted:
            head = data.find(_HEAD_END)
            if head < 0:
                return
            at = data.find(_LENGTH, 0, head) + len(_LENGTH)
            self._wanted = head + len(_HEAD_END) + int(data[at : data.find(b"\r", at)])
        if len(data) < self._wanted:
            return
        self._read, self._wanted = b"", 0
        if data[9:11] != b"20":
            self._failed(UnexpectedAnswerError(data.decode(errors="replace")))
            return
        self._heard(data[data.find(_HEAD_END) + len(_HEAD_END) :])

    def connection_lost(self, exc: Exception | None) -> None:
        """Say so: a server that is measured keeps its connections."""
        self._failed(exc or UnexpectedAnswerError("the server closed the connection"))


class _Client(Answers):
    def __init__(self, run: _Run) -> None:
        super().__init__(self._note, self._fail)
        self._run = run

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are not derived

    def close(self) -> None:
        """Hang up."""
        self._transport.close()

    def send(self) -> None:
        """Send the next request, unless there is none."""
        request = next(self._run.requests, None)
        if request is None:
            self._finish()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def _note(self, _body: bytes) -> None:
        now, run = time.perf_counter(), self._run
        run.answers += 1
        if now >= run.begins and not run.over:
            run.latencies.append(now - self._sent)
            run.last = now
            run.over = now >= run.ends and len(run.latencies) >= run.fewest
        if run.over:
            self._finish()
        else:
            self.send()

    def _finish(self) -> None:
        self._run.clients_left -= 1
        if not self._run.clients_left and not self._run.done.done():
            self._run.done.set_result(None)

    def _fail(self, error: Exception) -> None:
        if not self._run.done.done():
            self._run.done.set_exception(error)


async def drive(job: Job) -> Load:
    """Do *job*; the clock starts when the first answers have come."""
    run = _make_run(make_requests(job.kind, job.known), job.clients)
    clients = await _connect(run, job.ports)
    run.begins = time.perf_counter() + _WARM_UP_SECONDS
    run.ends = run.begins + job.seconds
    await _carry_out(run, clients, _WARM_UP_SECONDS + job.seconds + _LAST_ANSWERS_SECONDS)
    p50, p99 = (percentile(run.latencies, share) * 1000 for share in (0.5, 0.99))
    return Load(len(run.latencies) / (run.last - run.begins), p50, p99, run.answers)


async def send(port: int, kind: Kind, known: Known, count: int) -> None:
    """Send *count* requests, some at once, and wait for the answers."""
    run = _make_run(itertools.islice(make_requests(kind, known), count), _CLIENTS_OF_SEND)
    await _carry_out(run, await _connect(run, (port,)), _SEND_SECONDS)


def _make_run(requests: Iterator[bytes], clients: int) -> _Run:
    return _Run(requests, clients, asyncio.get_running_loop().create_future(), clients)


async def _connect(run: _Run, ports: Sequence[int]) -> list[_Client]:
    """Open the connections, and leave the servers the time to accept them.

    They accept one each time they have served whoever has sent something: the last would wait long.
    """
    loop = asyncio.get_running_loop()
    clients = []
    for number in range(run.clients_left):
        port = ports[number % len(ports)]
        _, client = await loop.create_connection(lambda: _Client(run), "127.0.0.1", port)
        clients.append(client)
    await asyncio.sleep(_ACCEPTING_SECONDS)
    return clients


async def _carry_out(run: _Run, clients: Sequence[_Client], seconds: float) -> None:
    for client in clients:
        client.send()
    async with asyncio.timeout(seconds):
        await run.done
    for client in clients:
        client.close()


class Loader:
    """The process with the clients, as the one that measures sees it."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def run(self, job: Job) -> Load:
        """Do *job* there."""
        return self.call(drive, job)

    def call(self, work: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> T:
        """Run the coroutine function *work* there; return what it returns, raise what it raises."""
        self._connection.send((work, arguments))
        result: T | Exception = self._connection.recv()
        if isinstance(result, Exception):
            raise result
        return result


@contextmanager
def loader() -> Iterator[Loader]:
    """Yield a process that makes load, and end it after."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_obey, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Loader(ours)
    finally:
        ours.close()
        process.join(5)
        process.kill()


def _obey(orders: "Connection[Any, Any]") -> None:
    gc.freeze()
    gc.disable()  # what it keeps is little, and its pauses would count as the server's
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        while True:
            try:
                work, arguments = orders.recv()
            except EOFError:
                return
            try:
                orders.send(runner.run(work(*arguments)))
            except Exception as error:  # noqa: BLE001 - it is raised where the order came from
                orders.send(error)
            gc.collect()
