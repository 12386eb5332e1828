"""SQLite for SQLAlchemy's asyncio engines, in the loop's own thread, with a fault at any await.

It takes the place of aiosqlite alone: engines, connections, savepoints and errors above it are
those the hub always has.
"""

import asyncio
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Pool
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_only

from tests.simulation.virtual_time import VirtualLoop

_MARK_SECONDS = 0.1

_PRAGMAS = (
    # What a power cut does to a file is another test's matter.
    "PRAGMA synchronous=OFF",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=0",
)


@dataclass(frozen=True, slots=True)
class DiskWeather:
    """How ill the database is: shares of all awaits, from 0 to 1.

    At *pauses* other tasks run; *slow* of them last up to *slow_seconds*. At *faults* the
    connection is lost before or after the statement, or the disk is full, or a lock is not got.
    """

    pauses: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 3.0
    faults: float = 0.0


CALM = DiskWeather()


class ConnectionLostError(sqlite3.OperationalError):
    """The connection is gone, and with it what was not committed."""


def _failed(message: str, code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return error


class Disk:
    """The database file of one world; connections are lost when the machine dies."""

    def __init__(self, path: Path, loop: VirtualLoop, rng: random.Random) -> None:
        self.weather = CALM
        self.statements = 0
        self.faults = 0
        self.is_powered = True
        self.out_of_reach_until = 0.0
        self._path = path
        self._loop = loop
        self._rng = rng
        self._mark: asyncio.Event | None = None
        self._awaits_to_mark = 0
        self._open: dict[int, Connection] = {}
        self._opened = 0

    @property
    def is_in_reach(self) -> bool:
        """Whether the database can be reached now."""
        return self.is_powered and self._loop.time() >= self.out_of_reach_until

    def connect(self, *, read_only: bool) -> "Connection":
        """Return a new connection, set up."""
        if not self.is_in_reach:
            raise _failed("unable to open database file", sqlite3.SQLITE_CANTOPEN)
        raw = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        for pragma in (*_PRAGMAS, *(["PRAGMA query_only=ON"] if read_only else [])):
            raw.execute(pragma)
        raw.create_function("virtual_ms", 0, lambda: round(self._loop.time() * 1000))
        self._opened += 1
        connection = self._open[self._opened] = Connection(self, self._opened, raw)
        return connection

    def cut_all(self) -> None:
        """Lose every connection, as when the process dies: nothing uncommitted is left."""
        for connection in tuple(self._open.values()):
            connection.lose()

    def forget(self, number: int) -> None:
        """Take note that a connection is closed."""
        self._open.pop(number, None)

    def mark(self, awaits: int) -> asyncio.Event:
        """Return what is set in the middle of the work, so many awaits from now.

        That one lasts for a while then: whoever waits for the mark can kill the process there.
        """
        self._mark, self._awaits_to_mark = asyncio.Event(), awaits
        return self._mark

    async def count_to_mark(self) -> None:
        """Stand at an await, before or after a statement."""
        self._awaits_to_mark -= 1
        if self._mark is not None and self._awaits_to_mark <= 0:
            self._mark.set()
            self._mark = None
            await asyncio.sleep(_MARK_SECONDS)

    async def pass_by(self, connection: "Connection") -> str | None:
        """Stand at an await: perhaps let others run, and say which fault is to happen, if any."""
        self.statements += 1
        weather, drawn = self.weather, self._rng.random()
        await self.count_to_mark()
        if drawn < weather.pauses and not connection.is_lost:
            await self._pause()
        if connection.is_lost or not self.is_in_reach:
            connection.lose()
            raise ConnectionLostError("connection closed")
        if drawn < 1 - weather.faults:
            return None
        self.faults += 1
        return self._rng.choice(("before", "after", "full", "locked"))

    async def _pause(self) -> None:
        if self._rng.random() < self.weather.slow:
            await asyncio.sleep(self._rng.random() * self.weather.slow_seconds)
        else:
            await asyncio.sleep(self._rng.choice((0, 0, 0, 0.001, 0.01)))


class Connection:
    """What SQLAlchemy takes for a driver's connection."""

    def __init__(self, disk: Disk, number: int, raw: sqlite3.Connection) -> None:
        self.is_lost = False
        self._disk = disk
        self._number = number
        self._raw = raw

    @property
    def isolation_level(self) -> str | None:
        """None: transactions are begun by hand."""
        return self._raw.isolation_level

    def cursor(self) -> "Cursor":
        """Return a new cursor."""
        return Cursor(self, self._raw)

    def create_function(self, *arguments: Any, **options: Any) -> None:
        """Pass on what the dialect sets up."""
        self._raw.create_function(*arguments, **options)

    def commit(self) -> None:
        """Commit, or fail; after a loss nobody knows which."""
        await_only(self.run(self._raw.commit))

    def rollback(self) -> None:
        """Undo what is not committed."""
        if not self.is_lost:
            await_only(self.run(self._raw.rollback))

    def close(self) -> None:
        """End it, as politely as a loss."""
        self.lose()

    def lose(self) -> None:
        """Undo what is not committed and end it."""
        if not self.is_lost:
            self.is_lost = True
            self._raw.rollback()
            self._raw.close()
            self._disk.forget(self._number)

    async def run(self, work: Callable[[], object], *, begins: bool = False) -> None:
        """Do *work* at an await, with the fault that happens there."""
        fault = await self._disk.pass_by(self)
        if fault == "before":
            self._fail()
        if fault == "locked" and begins:
            raise _failed("database is locked", sqlite3.SQLITE_BUSY)
        if fault == "full" and self._raw.in_transaction and not begins:
            # SQLite ends the transaction by itself.
            self._raw.rollback()
            raise _failed("database or disk is full", sqlite3.SQLITE_FULL)
        work()
        await self._disk.count_to_mark()
        if fault == "after":
            self._fail()

    def _fail(self) -> None:
        self.lose()
        raise ConnectionLostError("connection closed")


class Cursor:
    """What SQLAlchemy takes for a driver's cursor; all rows are fetched at once."""

    server_side = False

    def __init__(self, connection: Connection, raw: sqlite3.Connection) -> None:
        if connection.is_lost:
            raise ConnectionLostError("connection closed")
        self.arraysize = 1
        self._connection = connection
        self._raw = raw.cursor()
        self._rows: deque[Any] = deque()

    @property
    def description(self) -> Any:
        """The columns of the last statement's result, None if it has none."""
        return self._raw.description

    @property
    def rowcount(self) -> int:
        """How many rows the last statement changed."""
        return self._raw.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The number of the row inserted last."""
        return self._raw.lastrowid

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """Run *statement*."""

        def work() -> None:
            self._raw.execute(statement, parameters)
            if self._raw.description:
                self._rows.extend(self._raw.fetchall())

        await_only(self._connection.run(work, begins=statement.startswith("BEGIN")))

    def executemany(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run *statement* once for each of *rows*."""
        await_only(self._connection.run(lambda: self._raw.executemany(statement, rows)))

    def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        """Return up to *size* rows."""
        return [self._rows.popleft() for _ in range(min(size or 1, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        rows = list(self._rows)
        self._rows.clear()
        return rows

    def close(self) -> None:
        """Forget the result."""
        self._rows.clear()

    async def _async_soft_close(self) -> None:
        """Keep the rows: they are here already."""


class FaultyDialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's SQLite, taken for a dialect whose driver is asynchronous."""

    driver = "faulty"
    is_async = True
    supports_statement_cache = True

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003
        """Return the pool of asyncio engines."""
        return AsyncAdaptedQueuePool

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:  # noqa: ARG002
        """Say whether *e* means that the connection is gone."""
        return isinstance(e, ConnectionLostError)


registry.register("sqlite.faulty", __name__, "FaultyDialect")
