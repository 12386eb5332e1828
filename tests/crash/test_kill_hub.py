"""A short run of the program that kills the hub; `make crash` is the long one."""

from pathlib import Path

import pytest

from tests.crash.kill_hub import report, run


@pytest.mark.timeout(180)
async def test_a_killed_hub_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> None:
    on_sqlite = database_url.startswith("sqlite")
    ledger, verdict = await run(
        kills=4,
        data_dir=tmp_path,
        database_url=None if on_sqlite else database_url,
        broken=None,
        seed=7,
    )
    assert verdict.is_clean, report(request.node.name, 7, ledger, verdict)
    assert len(ledger.submitted) > 20
    assert len(ledger.forwarded) > 20


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        ("answer-before-commit", "submitted, answered 201, lost"),
        ("forget-receipts", "forwarded, stored twice"),
    ],
)
async def test_a_planted_fault_is_found(tmp_path: Path, broken: str, fault: str) -> None:
    """Whether a kill meets the fault is chance; several runs are enough to find it."""
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        _, verdict = await run(
            kills=4, data_dir=folder, database_url=None, broken=broken, seed=seed
        )
        if verdict.faults[fault]:
            return
    pytest.fail(f"{broken} was not found")
