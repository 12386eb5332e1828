"""Two processes that write events on PostgreSQL, and whether a reader of the log misses any."""

import asyncio
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from sqlalchemy import event, text
from sqlalchemy.util import await_only

from benchmarks.databases import PostgresServer, fresh_database
from benchmarks.in_process import open_services
from benchmarks.results import Figure, Part
from gateway_hub.domain.clock import system_clock
from gateway_hub.domain.events import EventFilter, EventType, NewEvent
from gateway_hub.services.hub import Hub
from gateway_hub.storage.transactions import Transaction

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

EVENTS = 1_000_000

_PROCESSES = 2
_WRITERS = 32
"""In each process, each of which waits for its commit before it goes on."""

_MOST_AT_ONCE = 20
_PAGE = 200
_HELD_SHARE = 0.05
_HELD_SECONDS = 0.02

# As one would follow a table by its numbers.
_INBOX = text("SELECT seq, data FROM event_inbox WHERE seq > :after ORDER BY seq LIMIT :limit")

Next = Callable[[int], Coroutine[Any, Any, tuple[list[str], int]]]
"""Returns what follows a place, and the place after that."""


@dataclass(slots=True)
class Heard:
    """What the reader has heard: by writer, which number comes next."""

    next_number: dict[str, int] = field(default_factory=dict)
    events: int = 0
    doubles: int = 0
    skipped: int = 0

    def take(self, data: str) -> None:
        """Take in one event."""
        told = json.loads(data)
        writer, number = told["writer"], told["number"]
        expected = self.next_number.get(writer, 0)
        self.events += 1
        self.doubles += number < expected
        self.skipped += max(0, number - expected)
        self.next_number[writer] = max(expected, number + 1)


def _write_apart(url: str, number: int, events: int, publishes: bool, told: "Queue[float]") -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_write_all(url, number, events, publishes))
    told.put(time.monotonic())


async def _write_all(url: str, process: int, events: int, publishes: bool) -> None:
    hub = await open_services(url, Path())
    chance = random.Random(process)  # noqa: S311 - only spreads the load
    _hold_some_open(hub, chance)
    project = await hub.access.ensure_default_project()
    shares = [events // _WRITERS + (item < events % _WRITERS) for item in range(_WRITERS)]
    publishing = asyncio.create_task(_keep_publishing(hub)) if publishes else None
    await asyncio.gather(
        *(
            _write(hub, project.id, f"{process}/{item}", share, chance)
            for item, share in enumerate(shares)
        )
    )
    if publishing is not None:
        publishing.cancel()
        with suppress(asyncio.CancelledError):
            await publishing
        await hub.publisher.publish_all()
    await hub.database.stop()


def _hold_some_open(hub: Hub, chance: random.Random) -> None:
    """Let some commits come long after what they commit was written."""

    def hold(_connection: object) -> None:
        if chance.random() < _HELD_SHARE:
            await_only(asyncio.sleep(chance.uniform(0, _HELD_SECONDS)))

    event.listen(hub.database._writer.sync_engine, "commit", hold)  # noqa: SLF001 - no other way


async def _keep_publishing(hub: Hub) -> None:
    while True:
        await hub.publisher.publish_due()
        await asyncio.sleep(hub.publisher.PAUSE_SECONDS)


async def _write(
    hub: Hub, project_id: str, writer: str, events: int, chance: random.Random
) -> None:
    number = 0
    while number < events:
        size = min(chance.randint(1, _MOST_AT_ONCE), events - number)
        now = system_clock()
        noted = [
            NewEvent(EventType.DEVICE_STATUS, now, project_id, {"writer": writer, "number": item})
            for item in range(number, number + size)
        ]

        async def use_case(tx: Transaction, noted: list[NewEvent] = noted) -> None:
            for item in noted:
                tx.journal.note_event(item)

        await hub.database.write(use_case, patience_seconds=60)
        number += size


async def _read_all(url: str, processes: list[Any], *, broken: bool) -> tuple[Heard, float]:
    """Follow the log until nothing more can come; return what was heard, and when it ended."""
    hub = await open_services(url, Path())
    project = await hub.access.ensure_default_project()

    async def follow_log(place: int) -> tuple[list[str], int]:
        page = await hub.events.read(project.id, EventFilter(), after=place, limit=_PAGE)
        return [item.data for item in page.events], page.reached

    async def follow_numbers(place: int) -> tuple[list[str], int]:
        async def query(tx: Transaction) -> list[Any]:
            return list(await tx.execute(_INBOX, {"after": place, "limit": _PAGE}))

        rows = await hub.database.read(query)
        return [row.data for row in rows], rows[-1].seq if rows else place

    heard = await _follow(follow_numbers if broken else follow_log, processes)
    ended = time.monotonic()
    await hub.database.stop()
    return heard, ended


async def _follow(read_on: Next, processes: list[Any]) -> Heard:
    heard, place = Heard(), 0
    while True:
        # Before the read: what is written by then is found by it.
        writing = any(process.is_alive() for process in processes)
        found, place = await read_on(place)
        for data in found:
            heard.take(data)
        if not found:
            if not writing:
                return heard
            await asyncio.sleep(0.001)


def measure_events(server: PostgresServer, folder: Path, *, events: int, broken: bool) -> Part:
    """Return what a reader heard of *events* that two processes wrote."""
    context = multiprocessing.get_context("spawn")
    with fresh_database("postgres", folder, server) as url:
        told: Queue[float] = context.Queue()
        shares = [events // 2, events - events // 2]
        processes = [
            context.Process(target=_write_apart, args=(url, number, share, not broken, told))
            for number, share in enumerate(shares)
        ]
        began = time.monotonic()
        for process in processes:
            process.start()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            heard, ended = runner.run(_read_all(url, processes, broken=broken))
        written_at = max(told.get(timeout=60) for _ in processes)
        for process in processes:
            process.join()
    missing = events - heard.events + heard.doubles
    flag = " --broken" if broken else ""
    return Part(
        key=f"events{flag}",
        title="Two processes writing events, a reader following"
        + (": by the numbers of the rows" if broken else ""),
        command=f"python -m benchmarks events --events {events}{flag}",
        figures=[
            Figure("events written", f"{events:,}"),
            Figure(
                "never read",
                f"{missing:,}",
                "more than 0: the fault must be seen" if broken else "0",
                met=missing > 0 if broken else missing == 0,
            ),
            Figure("read twice", f"{heard.doubles:,}", "0", met=heard.doubles == 0),
            Figure(
                "read before an earlier one of their writer",
                f"{heard.skipped:,}",
                "" if broken else "0",
                met=None if broken else heard.skipped == 0,
            ),
            Figure("events written in a second", f"{events / (written_at - began):,.0f}"),
            Figure("the reader was done after the writers by", f"{ended - written_at:.1f} s"),
        ],
        notes=[
            f"{_PROCESSES} processes with {_WRITERS} writers each, 1 to {_MOST_AT_ONCE} events in "
            f"a use case; {_HELD_SHARE:.0%} of commits are held open for up to "
            f"{_HELD_SECONDS * 1000:.0f} ms. Both processes publish; a third reads pages of "
            f"{_PAGE}."
        ],
    )
