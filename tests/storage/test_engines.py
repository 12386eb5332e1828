"""How connections are set up: what a commit promises depends on it."""

import asyncio
import sqlite3
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway_hub.storage.engines import (
    check_durability,
    connect_arguments,
    create_reader_engine,
    create_writer_engine,
    is_sqlite,
    normalise_url,
)
from gateway_hub.storage.postgres_urls import ParameterError

CreateEngine = Callable[[URL], AsyncEngine]

_ADD_KEY = text(
    "INSERT INTO api_keys (id, project_id, name, key_hash, key_hint, scopes, created_at)"
    " VALUES ('key', :project, 'name', :hash, 'hint', '[]', 0)"
)

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@asynccontextmanager
async def _connected(create: CreateEngine, url: str) -> AsyncIterator[AsyncConnection]:
    engine = create(normalise_url(url))
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


async def _ask(connection: AsyncConnection, question: str) -> object:
    return (await connection.exec_driver_sql(question)).scalar_one()


@on_sqlite
@pytest.mark.parametrize("create", [create_writer_engine, create_reader_engine])
@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        pytest.param("synchronous", 2, id="a commit is flushed to disk: FULL"),
        pytest.param("journal_mode", "wal", id="readers do not block the writer"),
        pytest.param("foreign_keys", 1, id="foreign keys hold"),
        pytest.param("busy_timeout", 5000, id="another program is waited for"),
    ],
)
async def test_every_sqlite_connection_is_safe(
    database_url: str, create: CreateEngine, pragma: str, value: object
) -> None:
    async with _connected(create, database_url) as connection:
        assert await _ask(connection, f"PRAGMA {pragma}") == value


@on_sqlite
async def test_only_the_writer_of_sqlite_writes_and_checkpoints(database_url: str) -> None:
    async with _connected(create_reader_engine, database_url) as reader:
        assert await _ask(reader, "PRAGMA wal_autocheckpoint") == 0
        with pytest.raises(OperationalError, match="readonly"):
            await reader.execute(text("DELETE FROM projects"))
    async with _connected(create_writer_engine, database_url) as writer:
        assert await _ask(writer, "PRAGMA wal_autocheckpoint") == 1000
        await writer.execute(text("DELETE FROM projects"))


@on_sqlite
async def test_a_write_transaction_of_sqlite_holds_the_write_lock_from_its_start(
    database_url: str,
) -> None:
    path = str(normalise_url(database_url).database)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        async with _connected(create_reader_engine, database_url) as reader:
            await reader.execute(text("SELECT count(*) FROM projects"))
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        async with _connected(create_writer_engine, database_url) as writer:
            await writer.execute(text("SELECT count(*) FROM projects"))
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")


@on_sqlite
async def test_a_reading_transaction_of_sqlite_sees_one_moment(database_url: str) -> None:
    path = str(normalise_url(database_url).database)
    count = "SELECT count(*) FROM projects"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        async with _connected(create_reader_engine, database_url) as reader:
            assert await _ask(reader, count) == 0
            other.execute("INSERT INTO projects VALUES ('id', 'name', NULL, 'wait', 0, 0)")
            assert await _ask(reader, count) == 0
            await reader.rollback()
            assert await _ask(reader, count) == 1


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.postgres
@pytest.mark.parametrize("create", [create_writer_engine, create_reader_engine])
async def test_every_postgres_connection_waits_for_the_disk_whatever_the_server_says(
    database_url: str, create: CreateEngine
) -> None:
    name = normalise_url(database_url).database
    async with _connected(create, database_url) as connection:
        await connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
        await connection.commit()
    try:
        async with _connected(create, database_url) as connection:
            assert await _ask(connection, "SHOW synchronous_commit") == "on"
            assert await _ask(connection, "SHOW statement_timeout") == "30s"
            assert await _ask(connection, "SHOW TimeZone") == "UTC"
            await check_durability(connection)
    finally:
        async with _connected(create, database_url) as connection:
            await connection.execute(text(f'ALTER DATABASE "{name}" RESET synchronous_commit'))
            await connection.commit()


async def test_a_connection_that_does_not_wait_for_the_disk_is_refused(database_url: str) -> None:
    sqlite = is_sqlite(normalise_url(database_url))
    unsafe = "PRAGMA synchronous=NORMAL" if sqlite else "SET synchronous_commit = off"
    async with _connected(create_writer_engine, database_url) as connection:
        await check_durability(connection)
        await connection.rollback()
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.execute(unsafe)
        with pytest.raises(RuntimeError, match="synchronous"):
            await check_durability(connection)


async def test_a_row_cannot_name_a_project_that_is_not_there(database_url: str) -> None:
    async with _connected(create_writer_engine, database_url) as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(_ADD_KEY, {"project": "nobody", "hash": b"hash"})


async def test_an_error_does_not_show_what_was_to_be_stored(database_url: str) -> None:
    async with _connected(create_writer_engine, database_url) as connection:
        with pytest.raises(IntegrityError) as raised:
            await connection.execute(_ADD_KEY, {"project": "nobody", "hash": b"a secret thing"})
    assert "secret thing" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///./hub.sqlite3", "sqlite+aiosqlite:///./hub.sqlite3"),
        ("sqlite+aiosqlite:////srv/hub.sqlite3", "sqlite+aiosqlite:////srv/hub.sqlite3"),
        ("postgres://u:p%40ss@db:5433/hub", "postgresql+asyncpg://u:p%40ss@db:5433/hub"),
        ("postgresql://db/hub?host=/run", "postgresql+asyncpg://db/hub?host=%2Frun"),
        ("postgresql+asyncpg://u@db/hub", "postgresql+asyncpg://u@db/hub"),
        ("postgres://db/hub?sslmode=require", "postgresql+asyncpg://db/hub?sslmode=require"),
        (
            "postgresql://a:1/hub?host=b:2&host=c:3&pgbouncer=true",
            "postgresql+asyncpg://a:1/hub?host=b%3A2&host=c%3A3&pgbouncer=true",
        ),
    ],
)
def test_a_database_url_is_given_the_driver_the_hub_has(given: str, used: str) -> None:
    assert normalise_url(given).render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "given",
    [
        "mysql://root:pa55word@db/hub",
        "postgresql+psycopg://u:pa55word@db/hub",
        "sqlite+pysqlcipher://:pa55word@/hub",
        "postgresql://u:pa55word@db:port/hub",
        "pa55word",
        "",
        "sqlite://",
        "sqlite+aiosqlite:///:memory:",
    ],
)
def test_any_other_database_is_refused_without_showing_its_url(given: str) -> None:
    with pytest.raises(ValueError, match="database") as raised:
        normalise_url(given)
    assert "pa55word" not in str(raised.value)


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=s3cret",
        "ssl=true",
        "pgbouncer=yes",
        "pgbouncer=true&pgbouncer=false",
        "application_name=hub",
        "sslpassword=s3cret",
    ],
)
def test_a_parameter_that_means_nothing_is_refused(query: str) -> None:
    with pytest.raises(ParameterError, match=query.partition("=")[0]) as raised:
        normalise_url(f"postgresql://hub:s3cret@db/hub?{query}")
    assert "s3cret" not in str(raised.value)


_SSL_REQUEST = 80877103
_STARTUP = 3 << 16
"""The second number of a connection's first message, from PostgreSQL's protocol."""


@asynccontextmanager
async def _server_without_tls() -> AsyncIterator[tuple[int, list[int]]]:
    """Yield the port of a server that refuses TLS, and the first messages it got."""
    asked: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while _STARTUP not in asked:
                _, code = struct.unpack("!ii", await reader.readexactly(8))
                asked.append(code)
                writer.write(b"N")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("sslmode=disable", {_STARTUP}),
        ("sslmode=require", {_SSL_REQUEST}),
        ("ssl=require", {_SSL_REQUEST}),
        ("sslmode=require&pgbouncer=true", {_SSL_REQUEST}),
        ("sslmode=prefer", {_SSL_REQUEST, _STARTUP}),
    ],
)
async def test_libpqs_word_for_tls_is_heeded(query: str, asked: set[int]) -> None:
    async with _server_without_tls() as (port, messages):
        url = f"postgresql://hub@127.0.0.1:{port}/hub?{query}"
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError)):
            async with _connected(create_reader_engine, url):
                pass
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await asyncpg.connect(**connect_arguments(normalise_url(url)))
    assert set(messages) == asked


@pytest.mark.postgres
async def test_the_certificate_to_trust_is_the_one_that_is_named(tmp_path: Path) -> None:
    named = tmp_path / "trusted.crt"
    with pytest.raises(ParameterError, match="sslrootcert"):
        normalise_url(f"postgresql://hub@db/hub?sslrootcert={named}")
    named.write_text("no certificate")
    async with _server_without_tls() as (port, _):
        query = f"sslmode=verify-full&sslrootcert={named}"
        url = normalise_url(f"postgresql://hub@127.0.0.1:{port}/hub?{query}")
        with pytest.raises(ssl.SSLError):
            await asyncpg.connect(**connect_arguments(url))
