"""Old rows are removed, and numbers put right, from the command line."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway_hub.storage.process_lock import ProcessLock
from tests.cli.conftest import Run


def change_by_hand(folder: Path, sql: str) -> None:
    """Do *sql* on the database file."""
    with closing(sqlite3.connect(folder / "data" / "gateway-hub.sqlite3")) as connection:
        connection.execute(sql)
        connection.commit()


@pytest.fixture
def cancelled_long_ago(run: Run, folder: Path) -> None:
    """One message that is over and old, and one that is waiting."""
    sent = [run("message", "send", "+255710000001", "hi", "--json").json() for _ in range(2)]
    assert run("message", "cancel", sent[0]["id"]).exit_code == 0
    change_by_hand(
        folder,
        "UPDATE messages SET id = '01000000-0000-7000-8000-000000000000', updated_at = 0"
        " WHERE status = 'cancelled'",
    )
    change_by_hand(
        folder,
        "UPDATE events SET id = '01000000-0000-7000-8000-00000000000' || seq, timestamp = 0"
        " WHERE type = 'message.cancelled'",
    )


@pytest.mark.usefixtures("cancelled_long_ago")
def test_what_would_be_removed_is_told_and_what_is_removed_is_asked_for(run: Run) -> None:
    told = run("db", "purge", "--older-than", "30", "--dry-run")
    assert told.out == "1 messages, 0 bad items and 1 events would be removed.\n"
    assert run("db", "purge", "--older-than", "30", stdin="n\n").exit_code == 1
    purge = ("db", "purge", "--older-than", "30", "--yes")
    assert run(*purge).out == "1 messages, 0 bad items and 1 events were removed.\n"
    assert run(*purge, "--json").json() == {"messages": 0, "quarantined": 0, "events": 0}
    (left,) = run("message", "list", "--json").json()["data"]
    assert left["status"] == "queued"


def test_what_phones_may_still_speak_of_is_not_removed(run: Run) -> None:
    ran = run("db", "purge", "--older-than", "6", "--yes")
    assert ran.exit_code == 2
    assert "7" in ran.err


@pytest.mark.usefixtures("cancelled_long_ago")
def test_backlogs_are_right_after_a_recount(run: Run, folder: Path) -> None:
    made = run("device", "create", "--name", "clinic", "--protocol", "medic", "--json")
    device = made.json()["id"]
    change_by_hand(folder, "DELETE FROM messages WHERE status = 'queued'")
    assert run("device", "show", device, "--json").json()["backlog"] == 1
    assert run("db", "recount").out == "Counted 1 messages.\n"
    assert run("device", "show", device, "--json").json()["backlog"] == 0


@pytest.mark.parametrize("command", [["purge", "--older-than", "30", "--yes"], ["recount"]])
def test_a_file_in_use_is_left_alone(run: Run, folder: Path, command: list[str]) -> None:
    assert run("db", "upgrade").exit_code == 0
    lock = ProcessLock(folder / "data" / "gateway-hub.sqlite3")
    lock.acquire()
    ran = run("db", *command)
    lock.release()
    assert ran.exit_code == 3
    assert "is in use by another process" in ran.err


@pytest.mark.parametrize("command", [["purge", "--older-than", "30", "--yes"], ["recount"]])
def test_a_database_without_its_schema_is_refused(run: Run, command: list[str]) -> None:
    ran = run("db", *command)
    assert ran.exit_code == 1
    assert ran.err.endswith("Run: gateway-hub db upgrade\n")
