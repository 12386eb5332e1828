"""Two hub processes on one PostgreSQL beside one."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.databases import PostgresServer
from benchmarks.load import Job, Loader, loader
from benchmarks.pairs import ratios
from benchmarks.prepared import Phones, prepared
from benchmarks.programs import HUB, Program, cpu_of, running
from benchmarks.requests import Kind
from benchmarks.results import Figure, Part

_PHONES = Phones(medic=100, envaya=0)
_CLIENTS = 64
_LEAST_THROUGHPUT = 1.3
_MOST_CPU = 1.0
_CORES_NEEDED = 4
"""For two hubs, PostgreSQL and the load: with fewer, two hubs share what one has for itself."""

_WHAT = {Kind.MEDIC: "an SMS from a CHT phone", Kind.REST: "`POST /v1/messages`"}


@dataclass(frozen=True, slots=True)
class _Measured:
    per_second: float
    cpu_seconds: float


def measure_processes(server: PostgresServer, *, rounds: int, seconds: float) -> Part:
    """Return what a second process adds, and what it makes a request cost."""
    with ExitStack() as stack:
        load = stack.enter_context(loader())
        alone, shared = (
            stack.enter_context(prepared("postgres", server, _PHONES)) for _ in range(2)
        )
        one = [stack.enter_context(running(HUB, alone))]
        two = [stack.enter_context(running(HUB, shared)) for _ in range(2)]
        figures: list[Figure] = []
        for request in _WHAT:
            figures += _compare(request, one, two, load, rounds=rounds, seconds=seconds)
    cores = len(os.sched_getaffinity(0))
    return Part(
        key="processes",
        title="Two processes on one PostgreSQL",
        command=f"python -m benchmarks processes --rounds {rounds} --seconds {seconds:g}",
        figures=figures,
        notes=[
            f"{_CLIENTS} clients, half of them at each of the two; windows of {seconds:g} s. "
            f"Processor time is that of the hubs and of PostgreSQL. The load, PostgreSQL and the "
            f"hubs share {cores} cores"
            + ("." if cores >= _CORES_NEEDED else ": too few for a second process to gain much.")
        ],
    )


def _compare(
    request: Kind,
    one: Sequence[Program],
    two: Sequence[Program],
    load: Loader,
    *,
    rounds: int,
    seconds: float,
) -> list[Figure]:
    found: dict[int, list[_Measured]] = {1: [], 2: []}
    for number in range(rounds):
        for programs in (one, two) if number % 2 == 0 else (two, one):
            found[len(programs)].append(_measure(request, programs, load, seconds))
    speed, cpu = (
        ratios(
            [getattr(item, name) for item in found[2]], [getattr(item, name) for item in found[1]]
        )
        for name in ("per_second", "cpu_seconds")
    )
    rates = " beside ".join(
        f"{median(item.per_second for item in found[count]):,.0f}" for count in (2, 1)
    )
    costs = " beside ".join(
        f"{median(item.cpu_seconds for item in found[count]) * 1e6:,.0f} µs" for count in (2, 1)
    )
    judged = len(os.sched_getaffinity(0)) >= _CORES_NEEDED
    return [
        Figure(
            f"{_WHAT[request]}: taken in, of what one process takes in",
            f"{speed.text()}; {rates} / s",
            f"≥ {_LEAST_THROUGHPUT:g} where cores are free",
            speed.median >= _LEAST_THROUGHPUT if judged else None,
        ),
        Figure(
            f"{_WHAT[request]}: processor time, of that with one process",
            f"{cpu.text()}; {costs}",
            f"≤ {_MOST_CPU:g}",
            cpu.median <= _MOST_CPU,
        ),
    ]


def _measure(request: Kind, programs: Sequence[Program], load: Loader, seconds: float) -> _Measured:
    ports = tuple(program.port for program in programs)
    before = cpu_of(programs)
    done = load.run(Job(ports, request, programs[0].prepared.known, _CLIENTS, seconds))
    return _Measured(done.per_second, (cpu_of(programs) - before) / done.answers)
