"""Running one seed from beginning to end."""

import gc
import shutil
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SAWarning

from gateway_hub.domain.ids import IdSource, use_source
from tests.simulation.ledger import Fault
from tests.simulation.planted import planted
from tests.simulation.process import track_tasks
from tests.simulation.quiet import listen, quiet
from tests.simulation.virtual_time import VirtualLoop
from tests.simulation.world import World

TEMPLATE = "template.sqlite3"


@dataclass(slots=True)
class Outcome:
    """What a seed came to."""

    seed: int
    faults: list[Fault]
    trace: list[str]
    counts: dict[str, int] = field(default_factory=dict)


def run_one(seed: int, folder: Path, broken: str | None = None) -> Outcome:
    """Run *seed* on a copy of the template in *folder*, perhaps with a fault planted.

    A world that fails by itself is a fault of its own kind.
    """
    with warnings.catch_warnings():
        # A killed hub leaves connections behind that nobody gives back, as in a real crash.
        warnings.simplefilter("ignore", SAWarning)
        outcome = _run(seed, folder, broken)
        with quiet():
            gc.collect()
    return outcome


def _run(seed: int, folder: Path, broken: str | None) -> Outcome:
    gc.freeze()  # what was there before is not looked at again when this world is cleared away
    before = use_source(IdSource())
    loop = VirtualLoop()
    loop.set_task_factory(track_tasks)
    world = World(seed, _copy_template(folder), loop)
    listen(world.trace)
    try:
        with quiet(), planted(broken):
            loop.run_until_complete(world.run())
        return Outcome(seed, world.ledger.faults, world.lines, world.counts())
    except Exception as error:  # noqa: BLE001 - the others are to run all the same
        fault = Fault("broken world", f"{type(error).__name__}: {error}")
        return Outcome(seed, [fault], [*world.lines, *traceback.format_exc().splitlines()])
    finally:
        world.close()
        listen(None)
        use_source(before)
        loop.close()


def _copy_template(folder: Path) -> Path:
    path = folder / "hub.sqlite3"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(folder / TEMPLATE, path)
    return path
