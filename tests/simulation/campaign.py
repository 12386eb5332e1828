"""Many seeds, on all cores, and what they came to."""

import gc
import multiprocessing
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tests.simulation.quiet import quiet
from tests.simulation.seeds import TEMPLATE, Outcome, run_one
from tests.simulation.template import make_template, warm_up
from tests.simulation.verdict import KINDS

MEMORY = Path("/dev/shm")
"""A file system in memory, where there is one."""

_SEEDS_AT_ONCE = 4
_COLLECT_EVERY = 20


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield a folder with a template database in it, in memory if possible; gone afterwards."""
    place = MEMORY if MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=place) as name:
        folder = Path(name)
        make_template(folder / TEMPLATE)
        warm_up(folder / TEMPLATE)
        yield folder


@dataclass
class Summary:
    """What the seeds run so far came to."""

    seeds: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    failed: list[Outcome] = field(default_factory=list)

    _MOST_KEPT: ClassVar[int] = 50

    def add(self, outcome: Outcome) -> None:
        """Take in the outcome of one more."""
        self.seeds += 1
        self.counts.update(outcome.counts)
        self.by_kind.update({fault.kind for fault in outcome.faults})
        if outcome.faults and len(self.failed) < self._MOST_KEPT:
            self.failed.append(outcome)

    @property
    def is_clean(self) -> bool:
        """Whether no seed showed a fault."""
        return not self.by_kind

    def lines(self) -> list[str]:
        """Return a line for each kind of fault, then one for each count."""
        kinds = [*KINDS, *(kind for kind in sorted(self.by_kind) if kind not in KINDS)]
        verdict = [f"{kind:<34} {self.by_kind[kind]:>12,}" for kind in kinds]
        counts = [f"{name:<34} {number:>12,}" for name, number in sorted(self.counts.items())]
        return [f"{'seeds':<34} {self.seeds:>12,}", *counts, "", "seeds with a fault:", *verdict]


def run_all(
    seeds: Iterable[int], folder: Path, *, processes: int, broken: str | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each of *seeds* as it comes, from that many processes."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _begin, (folder, broken)) as pool:
        yield from pool.imap_unordered(_run, seeds, chunksize=_SEEDS_AT_ONCE)


class _Worker:
    folder: Path
    broken: str | None = None
    done = 0


def _begin(folder: Path, broken: str | None) -> None:
    own = Path(tempfile.mkdtemp(prefix="worker-", dir=folder))
    shutil.copyfile(folder / TEMPLATE, own / TEMPLATE)
    warm_up(own / TEMPLATE)
    _Worker.folder, _Worker.broken = own, broken
    # Collecting now and then, not all the time, saves a tenth.
    gc.disable()


def _run(seed: int) -> Outcome:
    outcome = run_one(seed, _Worker.folder, _Worker.broken)
    _Worker.done += 1
    if _Worker.done % _COLLECT_EVERY == 0:
        with quiet():
            gc.collect()
    return outcome
