"""One process to a SQLite file."""

import subprocess
import sys
from pathlib import Path

import pytest

from gateway_hub.storage.database import Database
from gateway_hub.storage.process_lock import DatabaseInUseError, ProcessLock

_HOLD = """
import sys
from pathlib import Path
from gateway_hub.storage.process_lock import ProcessLock

ProcessLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def _start_holder(database_file: Path) -> subprocess.Popen[str]:
    """Return a process that holds the lock on *database_file*."""
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(database_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_another_process_is_refused_until_the_first_has_died(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite3"
    with _start_holder(path) as holder:
        lock = ProcessLock(path)
        with pytest.raises(DatabaseInUseError, match=r"hub\.sqlite3 is in use"):
            lock.acquire()
        holder.kill()
    lock.acquire()
    lock.release()


def test_a_lock_that_was_given_back_can_be_taken_again(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path / "hub.sqlite3"), ProcessLock(tmp_path / "hub.sqlite3")
    first.acquire()
    with pytest.raises(DatabaseInUseError):
        second.acquire()
    first.release()
    second.acquire()
    first.release()
    with pytest.raises(DatabaseInUseError):
        first.acquire()
    second.release()


def test_two_names_of_one_file_are_one_database(tmp_path: Path) -> None:
    (tmp_path / "alias.sqlite3").symlink_to(tmp_path / "hub.sqlite3")
    lock = ProcessLock(tmp_path / "hub.sqlite3")
    lock.acquire()
    with pytest.raises(DatabaseInUseError):
        ProcessLock(tmp_path / "alias.sqlite3").acquire()
    lock.release()


async def test_a_database_in_use_is_not_opened_and_one_that_was_stopped_is(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'new folder' / 'hub.sqlite3'}"
    first, second = Database(url), Database(url)
    await first.start(migrate=True)
    with pytest.raises(DatabaseInUseError):
        await second.start(migrate=True)
    await second.stop()
    await first.check()
    await first.stop()
    third = Database(url)
    await third.start(migrate=False)
    await third.stop()
