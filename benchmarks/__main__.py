"""The command: ``python -m benchmarks PART``; ``all`` measures every part."""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import machine
from benchmarks.claims import measure_claims
from benchmarks.databases import PostgresServer, UnfitPlaceError, postgres_server
from benchmarks.events import EVENTS, measure_events
from benchmarks.growth import measure_growth
from benchmarks.held_polls import measure_held_polls
from benchmarks.idle_polls import measure_idle_polls
from benchmarks.intake import measure_intake
from benchmarks.memory import measure_memory
from benchmarks.processes import measure_processes
from benchmarks.results import Part, record, render
from benchmarks.webhooks import measure_webhooks

_PARTS = [
    "intake",
    "idle-polls",
    "held-polls",
    "memory",
    "processes",
    "growth",
    "claims",
    "events",
    "webhooks",
]
_LEAST_WEBHOOK_SECONDS = 10.0


def main() -> int:
    """Measure what is asked for; return 0 unless it cannot be measured here."""
    given = _parser().parse_args()
    # So that what was started is stopped, and what was made is removed, after a SIGTERM too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with ExitStack() as stack:
            server = None
            if given.database != "sqlite":
                server = stack.enter_context(postgres_server(given.postgres, given.cache))
            facts = machine.facts(server.version() if server else None)
            for part in _parts(given, server):
                print(render(part, facts), flush=True)
                if given.record:
                    record(part, facts)
    except UnfitPlaceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parts(given: argparse.Namespace, server: PostgresServer | None) -> Iterator[Part]:
    wanted = [given.part] if given.part != "all" else _PARTS
    for kind in _kinds(given):
        yield from _speed(given, wanted, kind, server if kind == "postgres" else None)
    if "processes" in wanted and server is not None:
        yield measure_processes(server, rounds=given.rounds, seconds=given.seconds)
    if "growth" in wanted:
        yield from _growth(given, server)
    if "webhooks" in wanted:
        for kind in _kinds(given):
            used = server if kind == "postgres" else None
            seconds = max(given.seconds, _LEAST_WEBHOOK_SECONDS)
            yield measure_webhooks(kind, server=used, seconds=seconds, say=_say)
    if "claims" in wanted and server is not None:
        with tempfile.TemporaryDirectory() as folder:
            yield measure_claims(server, Path(folder), rounds=given.rounds, broken=given.broken)
    if "events" in wanted and server is not None:
        with tempfile.TemporaryDirectory() as folder:
            yield measure_events(server, Path(folder), events=given.events, broken=given.broken)


def _speed(
    given: argparse.Namespace, wanted: list[str], kind: str, server: PostgresServer | None
) -> Iterator[Part]:
    rounds, seconds = given.rounds, given.seconds
    if "intake" in wanted:
        yield measure_intake(kind, rounds=rounds, seconds=seconds, server=server, say=_say)
    if "idle-polls" in wanted:
        yield measure_idle_polls(kind, rounds=rounds, seconds=seconds, server=server)
    if "held-polls" in wanted:
        yield measure_held_polls(kind, server=server)
    if "memory" in wanted:
        yield measure_memory(kind, server=server)


def _growth(given: argparse.Namespace, server: PostgresServer | None) -> Iterator[Part]:
    for kind in _kinds(given):
        yield measure_growth(
            kind,
            given.rows,
            rounds=given.rounds,
            cache=given.cache,
            server=server if kind == "postgres" else None,
            say=_say,
        )


def _kinds(given: argparse.Namespace) -> list[str]:
    return [kind for kind in ("sqlite", "postgres") if given.database in {kind, "both"}]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", choices=["all", *_PARTS])
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--rounds", type=int, default=5, help="pairs to measure (5)")
    parser.add_argument("--seconds", type=float, default=1.2, help="time of one load (1.2)")
    parser.add_argument("--rows", type=int, default=1_000_000, help="growth: stored messages")
    parser.add_argument("--events", type=int, default=EVENTS, help="events: how many (1,000,000)")
    parser.add_argument("--broken", action="store_true", help="claims and events: as it would fail")
    parser.add_argument("--record", action="store_true", help="write into benchmarks/RESULTS.md")
    parser.add_argument("--postgres", metavar="URL", help="a server to make databases on")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "gateway-hub-benchmarks",
        help="where filled databases are kept",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
