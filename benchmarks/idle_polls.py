"""What a poll costs when nothing waits, beside an endpoint that only finds out who the phone is."""

from collections import Counter, defaultdict
from contextlib import ExitStack
from statistics import median

from benchmarks.databases import PostgresServer
from benchmarks.load import Job, Loader, loader
from benchmarks.pairs import ratios
from benchmarks.prepared import Phones, prepared
from benchmarks.programs import HUB, Program, cpu_of, running
from benchmarks.requests import Kind
from benchmarks.results import Figure, Part

_PHONES = Phones(medic=100, envaya=100)
_CLIENTS = 16
_TURNS = 4
_BESIDE = "authenticate_only"
_MOST_CPU = 1.15

_WHAT = {Kind.MEDIC_POLL: "a CHT phone's poll", Kind.ENVAYA_POLL: "an EnvayaSMS phone's poll"}


def measure_idle_polls(
    kind: str, *, rounds: int, seconds: float, server: PostgresServer | None
) -> Part:
    """Return the processor time of a poll that finds nothing, on a database of *kind*."""
    with ExitStack() as stack:
        load = stack.enter_context(loader())
        programs = [
            stack.enter_context(running(name, stack.enter_context(prepared(kind, server, _PHONES))))
            for name in (HUB, _BESIDE)
        ]
        figures = [_compare(poll, programs, load, rounds, seconds) for poll in _WHAT]
    return Part(
        key=f"idle-polls {kind}",
        title=f"Polls with nothing to send, {kind}",
        command=f"python -m benchmarks idle-polls --database {kind} --rounds {rounds} "
        f"--seconds {seconds:g}",
        figures=figures,
        notes=[
            f"Processor time of the server and of PostgreSQL for it; {_CLIENTS} clients with "
            f"connections they keep; {seconds:g} s for each in a round, in {_TURNS} turns. "
            "Background work is part of it."
        ],
    )


def _compare(
    poll: Kind, programs: list[Program], load: Loader, rounds: int, seconds: float
) -> Figure:
    found: defaultdict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, cost in _cpu_per_poll(poll, programs, load, seconds).items():
            found[name].append(cost)
    ratio = ratios(found[HUB], found[_BESIDE])
    ours, theirs = (median(found[name]) * 1e6 for name in (HUB, _BESIDE))
    return Figure(
        f"{_WHAT[poll]}: processor time, of that of finding out who it is",
        f"{ratio.text()}; {ours:,.0f} µs beside {theirs:,.0f} µs",
        f"≤ {_MOST_CPU:g}",
        ratio.median <= _MOST_CPU,
    )


def _cpu_per_poll(
    poll: Kind, programs: list[Program], load: Loader, seconds: float
) -> dict[str, float]:
    """Return the seconds for each program; they take turns, so that both see the same machine."""
    used: defaultdict[str, float] = defaultdict(float)
    answers: Counter[str] = Counter()
    for number in range(_TURNS):
        for program in programs if number % 2 == 0 else reversed(programs):
            job = Job((program.port,), poll, program.prepared.known, _CLIENTS, seconds / _TURNS)
            before = cpu_of([program])
            answers[program.name] += load.run(job).answers
            used[program.name] += cpu_of([program]) - before
    return {name: used[name] / answers[name] for name in answers}
