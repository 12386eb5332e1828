from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.cli.local_hub import find_running_hub
from gateway_hub.cli.running_file import RunningFile, write_running_file
from gateway_hub.ops.health import create_health_routes
from gateway_hub.services.hub import Hub
from gateway_hub.settings import Settings
from gateway_hub.storage.process_lock import ProcessLock
from tests.cli.conftest import Run
from tests.serving import serving

NOBODY = RunningFile("http://127.0.0.1:1", 42, "token")


@pytest.fixture
def embedded(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


@pytest.fixture
def locked(embedded: Settings) -> Iterator[None]:
    """Something has the database open."""
    lock = ProcessLock(embedded.data_dir / "gateway-hub.sqlite3")
    lock.acquire()
    yield
    lock.release()


async def test_nothing_runs_on_a_free_file(embedded: Settings) -> None:
    assert await find_running_hub(embedded) is None


async def test_nothing_runs_where_there_is_no_folder(tmp_path: Path) -> None:
    assert await find_running_hub(Settings(data_dir=tmp_path / "nothing")) is None
    assert not (tmp_path / "nothing").exists()


async def test_what_a_killed_hub_left_behind_is_passed_over(embedded: Settings) -> None:
    write_running_file(embedded.data_dir, NOBODY)
    assert await find_running_hub(embedded) is None


@pytest.mark.usefixtures("locked")
async def test_a_hub_that_answers_is_found(hub: Hub, embedded: Settings) -> None:
    async with serving(Starlette(routes=create_health_routes(hub))) as port:
        running = RunningFile(f"http://127.0.0.1:{port}", 42, "token")
        write_running_file(embedded.data_dir, running)
        assert await find_running_hub(embedded) == running


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize("left_behind", [True, False])
async def test_a_file_that_is_kept_without_an_answer_is_told(
    embedded: Settings, left_behind: bool
) -> None:
    if left_behind:
        write_running_file(embedded.data_dir, NOBODY)
    with pytest.raises(CommandError, match=r"is in use by .* does not answer") as info:
        await find_running_hub(embedded, patience_seconds=0)
    assert info.value.exit_code is ExitCode.UNREACHABLE


def test_commands_work_after_a_hub_was_killed(run: Run, folder: Path) -> None:
    run("init")
    write_running_file(folder / "data", NOBODY)
    assert run("key", "list").exit_code == 0
