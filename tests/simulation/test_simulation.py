"""Five hundred seeds; the planted faults, which the simulation has to find; and its own footing."""

import asyncio
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_hub.domain.ids import new_id
from tests.simulation.campaign import workplace
from tests.simulation.planted import PLANTS
from tests.simulation.seeds import TEMPLATE, Outcome, run_one
from tests.simulation.template import make_template
from tests.simulation.virtual_time import NothingLeftToHappenError, VirtualLoop

SEEDS, AT_ONCE = 500, 50
MOST_SEEDS_TO_FIND_A_PLANTED_FAULT = 1000


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A folder with the database that every seed begins with."""
    with workplace() as folder:
        yield folder


def _describe(outcome: Outcome) -> str:
    faults = "\n".join(f"{fault.kind}: {fault.detail}" for fault in outcome.faults)
    return f"{faults}\nreplay: python -m tests.simulation --seed {outcome.seed} --trace"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_nothing_goes_wrong(place: Path, first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        outcome = run_one(seed, place)
        assert not outcome.faults, _describe(outcome)
        assert outcome.counts["answers to phones"] > 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(place: Path, name: str) -> None:
    for seed in range(MOST_SEEDS_TO_FIND_A_PLANTED_FAULT):
        outcome = run_one(seed, place, name)
        if PLANTS[name].shows_as in {fault.kind for fault in outcome.faults}:
            return
    pytest.fail(f"{name} was not found")


def test_a_planted_fault_is_gone_afterwards(place: Path) -> None:
    assert run_one(0, place, "forgotten-receipts").trace
    assert not run_one(0, place).faults


def test_a_seed_goes_the_same_way_each_time(place: Path) -> None:
    seed = 3
    here = run_one(seed, place).trace
    run_one(seed + 1, place)
    assert run_one(seed, place).trace == here
    for hash_seed in ("0", "1"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--trace"]
        environment = os.environ | {"PYTHONHASHSEED": hash_seed}
        done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        assert done.stdout.splitlines()[:-1] == here


def test_ids_are_made_by_the_real_clock_again_afterwards(tmp_path: Path) -> None:
    make_template(tmp_path / TEMPLATE)
    run_one(0, tmp_path)
    made_ms = uuid.UUID(new_id()).int >> 80
    assert abs(made_ms - time.time_ns() // 1_000_000) < 60_000


def test_virtual_time_passes_at_once_and_in_order() -> None:
    loop, seen = VirtualLoop(), []

    async def note_after(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(loop.time())

    async def note_all() -> None:
        await asyncio.gather(note_after(86_400), note_after(0.5), note_after(60))

    loop.run_until_complete(note_all())
    loop.close()
    assert seen == pytest.approx([0.5, 60, 86_400])


def test_a_world_in_which_all_wait_for_ever_is_noticed() -> None:
    loop = VirtualLoop()
    with pytest.raises(NothingLeftToHappenError):
        loop.run_until_complete(loop.create_future())
    loop.close()
