"""Thousands of held EnvayaSMS polls: what they take of memory, and how soon they are answered."""

import asyncio
import resource
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from benchmarks.databases import PostgresServer, UnfitPlaceError
from benchmarks.load import Answers, UnexpectedAnswerError, loader, send
from benchmarks.pairs import percentile
from benchmarks.prepared import Phones, prepared
from benchmarks.programs import HUB, running
from benchmarks.requests import EnvayaPhone, Kind, Known, envaya_post, submission
from benchmarks.results import Figure, Part
from benchmarks.usage import memory_mb
from gateway_hub.domain.access import DEFAULT_PROJECT

_POLLS = 5000
_MOST_MB = 150.0
_LONG_POLL_SECONDS = 50
_OPENED_AT_ONCE = 100
_MESSAGES = 200
_FIRST = 100
_SETTLED_SECONDS = 7.0
"""Longer than the hub takes to write what the phones told."""
_ANSWER_SECONDS = 10.0
_FILES_NEEDED = _POLLS + 500


@dataclass(frozen=True, slots=True)
class Held:
    """Memory of the hub without the polls and with them, and how long answers took."""

    before_mb: float
    after_mb: float
    milliseconds: tuple[tuple[float, ...], ...]
    """For each of the ports that messages were submitted to."""


class _HeldPoll:
    """A phone that polls, and polls again when it is answered."""

    def __init__(self, phone: EnvayaPhone) -> None:
        self.phone = phone
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def open(self, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(
            lambda: Answers(self._hear, self._fail), "127.0.0.1", port
        )
        self._poll()

    async def wait_for_message(self) -> None:
        async with asyncio.timeout(_ANSWER_SECONDS):
            body = await self._answer
        if b'"send"' not in body:
            raise UnexpectedAnswerError("a held poll was answered without a message")

    def poll_again(self) -> None:
        self._answer = asyncio.get_running_loop().create_future()
        self._poll()

    def close(self) -> None:
        self._answer.cancel()
        self._transport.close()

    def _poll(self) -> None:
        self._transport.write(envaya_post(self.phone, "outgoing", {}))

    def _hear(self, body: bytes) -> None:
        if not self._answer.done():
            self._answer.set_result(body)

    def _fail(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


async def hold(pid: int, port: int, submit_to: Sequence[int], known: Known) -> Held:
    """Hold a poll of every phone at *port*, then submit messages, at each of *submit_to*."""
    await send(port, Kind.REST, known, _FIRST)
    before = memory_mb(pid)
    polls = [_HeldPoll(phone) for phone in known.envaya]
    for first in range(0, len(polls), _OPENED_AT_ONCE):
        await asyncio.gather(*(poll.open(port) for poll in polls[first : first + _OPENED_AT_ONCE]))
    await asyncio.sleep(_SETTLED_SECONDS)
    after = memory_mb(pid)
    step = len(polls) // (_MESSAGES * len(submit_to))
    turns = [polls[number::step][:_MESSAGES] for number in range(len(submit_to))]
    milliseconds = [
        await _answer_each(turn, target, known)
        for turn, target in zip(turns, submit_to, strict=True)
    ]
    for poll in polls:
        poll.close()
    return Held(before, after, tuple(milliseconds))


async def _answer_each(polls: Sequence[_HeldPoll], port: int, known: Known) -> tuple[float, ...]:
    """Return for each poll the time from submitting its message to its answer."""
    loop = asyncio.get_running_loop()
    accepted: asyncio.Queue[bytes | Exception] = asyncio.Queue()
    backend, _ = await loop.create_connection(
        lambda: Answers(accepted.put_nowait, accepted.put_nowait), "127.0.0.1", port
    )
    found: list[float] = []
    for poll in polls:
        members = (
            f'"to":"+255700000001","text":"hello","route":{{"device_id":"{poll.phone.device_id}"}}'
        )
        began = time.perf_counter()
        backend.write(submission(known, members, project=DEFAULT_PROJECT))
        await poll.wait_for_message()
        found.append((time.perf_counter() - began) * 1000)
        poll.poll_again()
        answer = await accepted.get()
        if isinstance(answer, Exception):
            raise answer
    backend.close()
    return tuple(found)


def measure_held_polls(kind: str, *, server: PostgresServer | None) -> Part:
    """Return what held polls cost on a database of *kind*; on PostgreSQL with a second process."""
    _allow_many_files()
    with ExitStack() as stack:
        load = stack.enter_context(loader())
        database = stack.enter_context(prepared(kind, server, Phones(medic=0, envaya=_POLLS)))
        start = partial(running, HUB, database, long_poll_seconds=_LONG_POLL_SECONDS)
        hubs = [stack.enter_context(start()) for _ in range(1 if server is None else 2)]
        ports = [hub.port for hub in hubs]
        held = load.call(hold, hubs[0].pid, ports[0], ports, database.known)
    return Part(
        key=f"held-polls {kind}",
        title=f"Held EnvayaSMS polls, {kind}",
        command=f"python -m benchmarks held-polls --database {kind}",
        figures=_figures(held),
        notes=[
            f"One run, {_MESSAGES} messages one after the other; resident memory of the process, "
            "with all it knows of the phones."
        ],
    )


def _figures(held: Held) -> list[Figure]:
    growth = held.after_mb - held.before_mb
    memory = Figure(
        f"{_POLLS:,} held polls",
        f"{growth:,.0f} MB more than {held.before_mb:,.0f} MB",
        f"≤ {_MOST_MB:g} MB",
        growth <= _MOST_MB,
    )
    places = ("to the same process", "to another process")
    return [
        memory,
        *(
            Figure(
                f"from `POST /v1/messages` {place} to the held answer",
                f"p50 {percentile(times, 0.5):.1f} ms, p99 {percentile(times, 0.99):.1f} ms",
            )
            for place, times in zip(places, held.milliseconds, strict=False)
        ),
    ]


def _allow_many_files() -> None:
    """Let this process, and those it starts, hold a connection for each poll."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < _FILES_NEEDED:
        raise UnfitPlaceError(f"{_FILES_NEEDED} open files are needed: ulimit -Hn says {most}.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES_NEEDED, most))
