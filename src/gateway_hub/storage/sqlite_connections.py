"""Connections to SQLite that pass to their thread and back once for each statement.

aiosqlite passes for each step: to make a cursor, to execute, to fetch, to close it again. A commit
of a few statements would wait for its thread two dozen times, which costs more than the statements.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import aiosqlite

_CHUNK_ROWS = 64


class OneTripCursor:
    """A cursor that has executed, fetched and closed when `execute` returns."""

    arraysize = 1

    def __init__(self, connection: "OneTripConnection") -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "OneTripCursor":
        """Return itself: there is nothing to open."""
        return self

    async def execute(self, sql: str, parameters: Sequence[Any] = ()) -> "OneTripCursor":
        """Run *sql* and keep what it returns."""
        await self._connection.do(self._run, sql, parameters)
        return self

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> "OneTripCursor":
        """Run *sql* once for each of *rows*."""
        await self._connection.do(self._run_many, sql, rows)
        return self

    async def fetchall(self) -> list[Any]:
        """Return the rows, once."""
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        """Do nothing: it is closed."""

    def _run(self, raw: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> None:
        cursor = raw.cursor()
        try:
            cursor.execute(sql, parameters)
            self._take(cursor)
        finally:
            cursor.close()

    def _run_many(self, raw: sqlite3.Connection, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        cursor = raw.cursor()
        try:
            cursor.executemany(sql, rows)
            self._take(cursor)
        finally:
            cursor.close()

    def _take(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else []
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid


class OneTripConnection(aiosqlite.Connection):
    """A connection of aiosqlite, its thread included, whose cursors make one trip each."""

    # SQLAlchemy enters what it gets, as aiosqlite's own callers do.
    def cursor(self) -> OneTripCursor:  # type: ignore[override]
        """Return a cursor; that alone costs no trip."""
        return OneTripCursor(self)

    async def do(self, work: Any, *given: Any) -> None:
        """Call *work* with the connection and what is *given*, in the connection's thread."""
        await self._execute(work, self._conn, *given)  # type: ignore[no-untyped-call]

    async def rollback(self) -> None:
        """Take back what was not committed; there is often nothing."""
        if self.in_transaction:
            await super().rollback()


def open_connection(database: str, **options: Any) -> OneTripConnection:
    """Return a connection to be awaited, for SQLAlchemy's ``async_creator_fn``."""

    def connect() -> sqlite3.Connection:
        raw: sqlite3.Connection = sqlite3.connect(database, **options)
        return raw

    connection = OneTripConnection(connect, _CHUNK_ROWS)
    connection._thread.daemon = True  # noqa: SLF001 - as SQLAlchemy does with those it makes
    return connection
