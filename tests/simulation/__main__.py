"""Run seeds of the simulation: ``python -m tests.simulation --seeds 10000``."""

import argparse
import os
import sys
import time
from collections.abc import Iterable

from tests.simulation.campaign import Summary, run_all, workplace
from tests.simulation.planted import PLANTS
from tests.simulation.seeds import Outcome, run_one

_SHOWN = 10
_PROGRESS_SECONDS = 2.0


def main() -> int:
    """Run what is asked for; return 0 if nothing went wrong, or a planted fault was found."""
    given = _parser().parse_args()
    if given.seed is not None:
        return _replay(given.seed, given.broken, traced=given.trace)
    seeds = range(given.start, given.start + given.seeds)
    if given.broken is not None:
        return _search(seeds, given.broken, given.processes)
    return _run(seeds, given.processes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many (500)")
    parser.add_argument("--start", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--trace", action="store_true", help="with --seed: tell all that happens")
    parser.add_argument("--broken", choices=sorted(PLANTS), help="plant a fault and look for it")
    return parser


def _replay(seed: int, broken: str | None, *, traced: bool) -> int:
    with workplace() as folder:
        outcome = run_one(seed, folder, broken)
    if traced:
        _say("\n".join(outcome.trace))
    _say(_describe(outcome, broken))
    return int(bool(outcome.faults))


def _run(seeds: range, processes: int) -> int:
    summary, began = Summary(), time.monotonic()
    with workplace() as folder:
        for outcome in _with_progress(run_all(seeds, folder, processes=processes), len(seeds)):
            summary.add(outcome)
            if outcome.faults and len(summary.failed) <= _SHOWN:
                _say(_describe(outcome, None))
    _say("\n".join(summary.lines()))
    _say(f"\n{time.monotonic() - began:.0f} s on {processes} processes")
    return int(not summary.is_clean)


def _search(seeds: range, broken: str, processes: int) -> int:
    """Look for a planted fault, in the order of the seeds."""
    with workplace() as folder:
        for outcome in run_all(seeds, folder, processes=processes, broken=broken):
            if outcome.faults:
                _say(f"{broken} ({PLANTS[broken].does}) is found:")
                _say(_describe(outcome, broken))
                return 0
    _say(f"{broken} is not found in {len(seeds)} seeds")
    return 1


def _describe(outcome: Outcome, broken: str | None) -> str:
    if not outcome.faults:
        return f"seed {outcome.seed}: nothing wrong"
    lines = [f"seed {outcome.seed}: {fault.kind}: {fault.detail}" for fault in outcome.faults[:5]]
    option = f" --broken {broken}" if broken else ""
    replay = f"python -m tests.simulation --seed {outcome.seed}{option} --trace"
    return "\n".join([*lines, f"    replay: {replay}"])


def _with_progress(outcomes: Iterable[Outcome], total: int) -> Iterable[Outcome]:
    began = shown_at = time.monotonic()
    for done, outcome in enumerate(outcomes, start=1):
        yield outcome
        now = time.monotonic()
        if now - shown_at > _PROGRESS_SECONDS or done == total:
            shown_at = now
            left = (now - began) / done * (total - done)
            sys.stderr.write(f"\r{done:>7,} of {total:,} seeds, {left:,.0f} s left   ")
            sys.stderr.flush()
    sys.stderr.write("\n")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
