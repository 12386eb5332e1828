"""The hub's own database object on a disk of the simulation, and the history kept there."""

import sqlite3
from functools import cache
from pathlib import Path

from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway_hub.storage import migrations
from gateway_hub.storage.commits import CommitGroup
from gateway_hub.storage.database import Database
from tests.simulation.faulty_sqlite import Connection, Disk

READERS = 4

# What no single look at the tables can tell: every status a message and an attempt ever had on
# disk, and how the attempt before stood when another began.
_HISTORY = """
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    was TEXT,
    became TEXT NOT NULL,
    number INTEGER NOT NULL,
    attempt_status TEXT
);
CREATE TRIGGER message_added AFTER INSERT ON messages WHEN NEW.direction = 'outbound' BEGIN
    INSERT INTO history (at_ms, kind, id, was, became, number)
    VALUES (virtual_ms(), 'message', NEW.id, NULL, NEW.status, 0);
END;
CREATE TRIGGER message_moved AFTER UPDATE OF status ON messages WHEN OLD.status <> NEW.status BEGIN
    INSERT INTO history (at_ms, kind, id, was, became, number, attempt_status)
    VALUES (
        virtual_ms(), 'message', NEW.id, OLD.status, NEW.status, NEW.attempt_count,
        (SELECT status FROM attempts WHERE message_id = NEW.id AND number = NEW.attempt_count)
    );
END;
CREATE TRIGGER attempt_added AFTER INSERT ON attempts BEGIN
    INSERT INTO history (at_ms, kind, id, was, became, number, attempt_status)
    VALUES (
        virtual_ms(), 'attempt', NEW.wire_id, NULL, NEW.status, NEW.number,
        (SELECT status FROM attempts
         WHERE message_id = NEW.message_id AND number = NEW.number - 1)
    );
END;
CREATE TRIGGER attempt_moved AFTER UPDATE OF status ON attempts WHEN OLD.status <> NEW.status BEGIN
    INSERT INTO history (at_ms, kind, id, was, became, number)
    VALUES (virtual_ms(), 'attempt', NEW.wire_id, OLD.status, NEW.status, NEW.number);
END;
"""


def make_schema(path: Path) -> None:
    """Write a database with the hub's schema at head, and a history of statuses beside it."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        migrations.upgrade(connection)
    engine.dispose()
    with sqlite3.connect(path, isolation_level=None) as raw:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.executescript(_HISTORY)


class _InUse:
    """The disk of the world that runs now: an operating system process has one at a time."""

    disk: Disk | None = None


def _connect(*, read_only: bool) -> Connection:
    if _InUse.disk is None:
        raise RuntimeError("no world is running")
    return _InUse.disk.connect(read_only=read_only)


@cache
def _engines() -> tuple[AsyncEngine, AsyncEngine]:
    """Return the writing and the reading engine; kept, since they remember compiled statements."""
    writer = create_async_engine(
        "sqlite+faulty://", creator=lambda: _connect(read_only=False), pool_size=1, max_overflow=0
    )
    reader = create_async_engine(
        "sqlite+faulty://",
        creator=lambda: _connect(read_only=True),
        pool_size=READERS,
        max_overflow=0,
    )
    event.listen(writer.sync_engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
    event.listen(reader.sync_engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
    return writer, reader


async def greet_engines(disk: Disk) -> None:
    """Let both engines ask what they ask on their first connection only.

    Otherwise the first seed of a process would not go as it goes in the middle.
    """
    _InUse.disk = disk
    for engine in _engines():
        engine.sync_engine.dispose(close=False)
        async with engine.connect():
            pass
        await engine.dispose()


def put_on_disk(database: Database, disk: Disk) -> None:
    """Let *database* work on *disk*, as after its start."""
    _InUse.disk = disk
    writer, reader = _engines()
    for engine in (writer, reader):
        engine.sync_engine.dispose(close=False)
    database._writer, database._reader = writer, reader
    database._commits = CommitGroup(writer, writers=1, on_events=database._note_events)
    database._commits.start()
