"""How fast messages are taken in, durably, beside programs that do less, or do it the plain way."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median

from benchmarks.databases import PostgresServer
from benchmarks.load import Job, Load, Loader, loader, send
from benchmarks.pairs import Spread, ratios, spread
from benchmarks.prepared import Phones, prepared
from benchmarks.programs import HUB, Program, running
from benchmarks.requests import Kind
from benchmarks.results import Figure, Part

_PHONES = Phones(medic=100, envaya=100)
_FIRST = 200
"""Requests before anything is measured: each phone is looked up at its first."""
_CROWD = 64
_OTHER_CROWDS = (16, 256)
_OTHER_ROUNDS = 2

# What the hub is measured beside: for a phone's SMS FastAPI that does nothing, for a message to be
# sent the same route without the storing.
_DOING_LESS = {Kind.MEDIC: "constant", Kind.ENVAYA: "constant", Kind.REST: "no_storage"}
_LEAST_OF_CONSTANT = 0.6
_LEAST_OF_NO_STORAGE = {"sqlite": 0.5, "postgres": 0.55}
_LEAST_OF_PLAIN = {"sqlite": 7.0, "postgres": 5.0}
_LEAST_OF_PLAIN_ALONE = 1.0
_MOST_TAIL = 2.5

_WHAT = {
    Kind.MEDIC: "an SMS from a CHT phone",
    Kind.ENVAYA: "an SMS from an EnvayaSMS phone",
    Kind.REST: "`POST /v1/messages`",
}
_BESIDE = {
    "constant": "FastAPI that answers a constant",
    "no_storage": "the same route that stores nothing",
    "plain": "a commit per request",
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """So many rounds of so many *clients*, of the hub and *beside* it."""

    clients: int
    rounds: int
    seconds: float
    beside: Callable[[Kind], Sequence[str]]


Found = Mapping[str, Sequence[Load]]
"""The loads of each program, one a round."""


def measure_intake(
    kind: str,
    *,
    rounds: int,
    seconds: float,
    server: PostgresServer | None,
    say: Callable[[str], None],
) -> Part:
    """Return how the hub on a database of *kind* takes messages in, beside the others."""
    with ExitStack() as stack:
        load = stack.enter_context(loader())
        programs = {
            name: stack.enter_context(
                running(name, stack.enter_context(prepared(kind, server, _PHONES)))
            )
            for name in (HUB, *_BESIDE)
        }
        for program in programs.values():
            for request in _WHAT:
                load.call(send, program.port, request, program.prepared.known, _FIRST)
        figures: list[Figure] = []
        for plan in _plans(rounds, seconds):
            found = _measure(plan, programs, load)
            for request, loads in found.items():
                say(f"{kind}, {plan.clients} clients, {request}: {_rates(loads)}")
                figures += _figures(kind, plan.clients, request, loads)
    return Part(
        key=f"intake {kind}",
        title=f"Taking messages in, {kind}",
        command=f"python -m benchmarks intake --database {kind} --rounds {rounds} "
        f"--seconds {seconds:g}",
        figures=figures,
        notes=[
            "Each client has one request under way, on a connection it keeps; no two requests are "
            f"alike. Windows of {seconds:g} s for {_CROWD} clients, two thirds of it for others; "
            f"{_OTHER_ROUNDS} rounds where nothing is wanted. The load, the servers and the "
            "database share the cores.",
        ],
    )


def _plans(rounds: int, seconds: float) -> list[_Plan]:
    def both(request: Kind) -> Sequence[str]:
        return (_DOING_LESS[request], "plain")

    few = min(rounds, _OTHER_ROUNDS)
    shorter = seconds * 2 / 3
    return [
        _Plan(_CROWD, rounds, seconds, both),
        _Plan(1, rounds, shorter, lambda _: ("plain",)),
        *(_Plan(clients, few, shorter, both) for clients in _OTHER_CROWDS),
    ]


def _measure(plan: _Plan, programs: Mapping[str, Program], load: Loader) -> dict[Kind, Found]:
    found: dict[Kind, defaultdict[str, list[Load]]] = {
        request: defaultdict(list) for request in _WHAT
    }
    for number in range(plan.rounds):
        for request, loads in found.items():
            names = [HUB, *plan.beside(request)]
            for name in names if number % 2 == 0 else reversed(names):
                program = programs[name]
                job = Job(
                    (program.port,), request, program.prepared.known, plan.clients, plan.seconds
                )
                loads[name].append(load.run(job))
    return dict(found)


def _figures(kind: str, clients: int, request: Kind, found: Found) -> list[Figure]:
    what = f"{_WHAT[request]}, {'one client' if clients == 1 else f'{clients} clients'}"
    figures = [
        _ratio_figure(f"{what}: of {_BESIDE[name]}", name, found, _wanted(kind, clients, name))
        for name in found
        if name != HUB
    ]
    if clients == _CROWD:
        tail = spread([load.p99_ms / load.p50_ms for load in found[HUB]])
        figures.append(
            Figure(
                f"{what}: p99 / p50",
                f"{tail.text()}; p50 {_middle(found[HUB], 'p50_ms')} ms",
                f"≤ {_MOST_TAIL:g}",
                tail.median <= _MOST_TAIL,
            )
        )
    return figures


def _ratio_figure(what: str, name: str, found: Found, wanted: float | None) -> Figure:
    ratio = _ratio(found, name)
    rates = f"{_middle(found[HUB], 'per_second')} / s beside {_middle(found[name], 'per_second')}"
    return Figure(
        what,
        f"{ratio.text()}; {rates}",
        "" if wanted is None else f"≥ {wanted:g}",
        None if wanted is None else ratio.median >= wanted,
    )


def _wanted(kind: str, clients: int, name: str) -> float | None:
    if clients == 1:
        return _LEAST_OF_PLAIN_ALONE
    if clients != _CROWD:
        return None
    return {
        "constant": _LEAST_OF_CONSTANT,
        "no_storage": _LEAST_OF_NO_STORAGE[kind],
        "plain": _LEAST_OF_PLAIN[kind],
    }[name]


def _ratio(found: Found, name: str) -> Spread:
    ours, theirs = ([load.per_second for load in found[item]] for item in (HUB, name))
    return ratios(ours, theirs)


def _middle(loads: Sequence[Load], field: str) -> str:
    value = median(getattr(load, field) for load in loads)
    return f"{value:,.1f}" if field.endswith("_ms") else f"{value:,.0f}"


def _rates(found: Found) -> str:
    return ", ".join(
        f"{name} {_middle(loads, 'per_second')} / s (p50 {_middle(loads, 'p50_ms')}, "
        f"p99 {_middle(loads, 'p99_ms')} ms)"
        for name, loads in found.items()
    )
