"""What a use case costs with few messages stored and with many: the hub's services, in process."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.databases import PostgresServer
from benchmarks.filling import Filled, open_filled_postgres, open_filled_sqlite, remove_added
from benchmarks.pairs import Spread, percentile, ratios
from benchmarks.results import Figure, Part
from benchmarks.use_cases import JUDGED_BY_TIME, OPERATIONS, Operation, Workplace, open_workplace

FEW = 10_000
MOST_GROWTH = 2.0

_TIMES_A_ROUND = 60
# Enough for PostgreSQL to settle on a statement's plan, after five runs, and for SQLite's log to
# have its full length: to write over it is quicker than to lengthen it.
_WARM_UP = 60
_READ_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Growth:
    """Median seconds of one operation in each round, with few rows and with many."""

    few: tuple[float, ...]
    many: tuple[float, ...]

    @property
    def ratio(self) -> Spread:
        """How many times as long it takes with many."""
        return ratios(self.many, self.few)


async def compare(few: Workplace, many: Workplace, rounds: int) -> dict[str, Growth]:
    """Return what each operation costs at both places, measured in turns."""
    for operation in OPERATIONS.values():
        for place in (few, many):
            for _ in range(_WARM_UP):
                await operation(place)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in OPERATIONS}
    for _ in range(rounds):
        for name, operation in OPERATIONS.items():
            found[name].append(await _one_round(operation, few, many))
    return {
        name: Growth(tuple(one for one, _ in pairs), tuple(other for _, other in pairs))
        for name, pairs in found.items()
    }


async def _one_round(operation: Operation, few: Workplace, many: Workplace) -> tuple[float, float]:
    """Return the median at each place; the turns alternate, so that both see the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(_TIMES_A_ROUND):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            times[which].append(await operation((few, many)[which]))
    return percentile(times[0], 0.5), percentile(times[1], 0.5)


async def _measure(few: Filled, many: Filled, folder: Path, rounds: int) -> dict[str, Growth]:
    places: list[Workplace] = []
    try:
        for filled in (few, many):
            await remove_added(filled)
            _read_whole(filled)
            places.append(await open_workplace(filled, folder))
        return await compare(places[0], places[1], rounds)
    finally:
        for place in places:
            await place.hub.database.stop()
            await remove_added(place.filled)


@contextmanager
def _one_core() -> Iterator[None]:
    """Keep the threads of this process together: which cores they meet on would be measured."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _read_whole(filled: Filled) -> None:
    """Have the machine keep a SQLite file in memory, where that is: else the disk is measured.

    PostgreSQL keeps what it uses by itself.
    """
    if not filled.is_sqlite:
        return
    with Path(filled.url.partition("///")[2]).open("rb", buffering=0) as file:
        while file.read(_READ_BYTES):
            pass


def measure_growth(
    kind: str,
    rows: int,
    *,
    rounds: int,
    cache: Path,
    server: PostgresServer | None,
    say: Callable[[str], None],
) -> Part:
    """Return what every operation costs on *kind* with few messages stored and with *rows*."""
    few, many = (
        open_filled_sqlite(count, cache, say)
        if server is None
        else open_filled_postgres(count, server, say)
        for count in (FEW, rows)
    )
    with _one_core(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_measure(few, many, cache / "attachments", rounds))
    return Part(
        key=f"growth {kind} {rows}",
        title=f"Growth, {kind}: {FEW:,} and {rows:,} stored messages",
        command=f"python -m benchmarks growth --database {kind} --rows {rows} --rounds {rounds}",
        figures=[_figure(name, growth) for name, growth in found.items()],
    )


def _figure(name: str, growth: Growth) -> Figure:
    few, many = (percentile(item, 0.5) * 1e6 for item in (growth.few, growth.many))
    measured = f"{few:,.0f} µs, then {many:,.0f} µs: {growth.ratio.text()}"
    if name in JUDGED_BY_TIME:
        return Figure(name, measured)
    return Figure(
        name,
        measured,
        wanted=f"≤ {MOST_GROWTH:g} times",
        met=growth.ratio.median <= MOST_GROWTH,
    )
