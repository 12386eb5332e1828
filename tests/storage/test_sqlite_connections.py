"""A statement goes to the connection's thread once, and means what it means to sqlite3."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway_hub.storage.sqlite_connections import OneTripConnection, open_connection


class _Counting(OneTripConnection):
    trips = 0

    async def _execute(self, fn: Any, *given: Any, **named: Any) -> Any:
        self.trips += 1
        return await super()._execute(fn, *given, **named)  # type: ignore[no-untyped-call]


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[_Counting]:
    """A connection to a table of numbers, that counts how often it goes to its thread."""
    opened = open_connection(str(tmp_path / "numbers.sqlite3"), isolation_level=None)
    opened.__class__ = _Counting
    connection: Any = await opened
    await connection.cursor().execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY)")
    connection.trips = 0
    yield connection
    await connection.close()


async def test_a_statement_and_its_rows_are_one_trip(connection: _Counting) -> None:
    cursor = connection.cursor()
    await cursor.executemany("INSERT INTO numbers VALUES (?)", [(1,), (2,), (3,)])
    assert (cursor.rowcount, connection.trips) == (3, 1)
    with_rows = connection.cursor()
    await with_rows.execute("SELECT n, n * n FROM numbers WHERE n > ?", (1,))
    assert await with_rows.fetchall() == [(2, 4), (3, 9)]
    assert [item[0] for item in with_rows.description] == ["n", "n * n"]
    await with_rows.close()
    assert connection.trips == 2


async def test_what_fails_raises_what_sqlite_says_and_leaves_nothing_open(
    connection: _Counting,
) -> None:
    await connection.cursor().execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        await connection.cursor().execute("INSERT INTO numbers VALUES (1)")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await connection.cursor().executemany("INSERT INTO letters VALUES (?)", [("a",)])
    await connection.cursor().execute("DROP TABLE numbers")


async def test_a_rollback_of_nothing_is_no_trip(connection: _Counting) -> None:
    await connection.rollback()
    assert connection.trips == 0
    await connection.cursor().execute("BEGIN")
    await connection.cursor().execute("INSERT INTO numbers VALUES (1)")
    await connection.rollback()
    count = connection.cursor()
    await count.execute("SELECT count(*) FROM numbers")
    assert await count.fetchall() == [(0,)]
