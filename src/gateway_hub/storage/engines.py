"""Engines for both databases, set up so that a commit is on disk before anyone is told."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from gateway_hub.storage.postgres_urls import PostgresAddress, read_address
from gateway_hub.storage.sqlite_connections import open_connection

POOLER_FOUND = "a connection pooler stands before PostgreSQL"
POOLER_ADVICE = f"{POOLER_FOUND}: add ?pgbouncer=true to GATEWAY_HUB_DATABASE_URL"

READERS = 4
POSTGRES_WRITERS = 4

# Parameters are texts, numbers and hashes: an error that shows them would put them into the log.
_OPTIONS: dict[str, Any] = {"max_overflow": 0, "hide_parameters": True}

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=5000",
    "PRAGMA foreign_keys=ON",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA cache_size=-20000",
)

_SQLITE_FULL = 2
"""How `PRAGMA synchronous` tells FULL."""

_CONNECT_SECONDS = 5
_LONGEST_MS = 30_000
_NAMING = {"application_name": "gateway-hub", "timezone": "UTC"}
_PROMISES = {
    "synchronous_commit": "on",
    "statement_timeout": str(_LONGEST_MS),
    "idle_in_transaction_session_timeout": str(_LONGEST_MS),
}
_PROMISE_ONCE = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in _PROMISES.items()
)


def normalise_url(url: str) -> URL:
    """Return *url* with the driver the hub uses for its database named outright.

    Raises ValueError for any other database and for what is no URL, ParameterError for what it
    cannot say; neither ever shows the URL, which may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("the database URL cannot be read") from None
    if parsed.drivername in {"sqlite", "sqlite+aiosqlite"}:
        if parsed.database in {None, "", ":memory:"}:
            raise ValueError("the SQLite database must be a file")
        return parsed.set(drivername="sqlite+aiosqlite")
    if parsed.drivername in {"postgresql", "postgres", "postgresql+asyncpg"}:
        read_address(parsed)
        return parsed.set(drivername="postgresql+asyncpg")
    raise ValueError("the database must be sqlite+aiosqlite:// or postgresql+asyncpg://")


def is_sqlite(url: URL) -> bool:
    """Say whether *url* is a SQLite file: one process only, one writer."""
    return url.get_backend_name() == "sqlite"


def create_writer_engine(url: URL) -> AsyncEngine:
    """Return the engine whose transactions may write; on SQLite it holds one connection."""
    if is_sqlite(url):
        engine = _create_sqlite_engine(url, pool_size=1)
        _configure_sqlite(engine, begin="BEGIN IMMEDIATE", read_only=False)
        return engine
    address = read_address(url)
    engine = _create_postgres_engine(address, pool_size=POSTGRES_WRITERS)
    if address.pooled:
        _promise_in_each_transaction(engine)
    return engine


def create_reader_engine(url: URL) -> AsyncEngine:
    """Return the engine for queries outside of write transactions."""
    if is_sqlite(url):
        engine = _create_sqlite_engine(url, pool_size=READERS)
        _configure_sqlite(engine, begin="BEGIN", read_only=True)
        return engine
    return _create_postgres_engine(read_address(url), pool_size=READERS, command_seconds=30)


def connect_arguments(url: URL) -> dict[str, Any]:
    """Return what asyncpg's ``connect`` takes to reach *url* by itself, without our settings."""
    address = read_address(url)
    _, arguments = address.url.get_dialect()().create_connect_args(address.url)
    arguments.pop("prepared_statement_cache_size", None)
    return {"timeout": _CONNECT_SECONDS, **arguments, **address.options}


def _create_sqlite_engine(url: URL, pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool_size,
        pool_timeout=30,
        connect_args={"async_creator_fn": open_connection},
        **_OPTIONS,
    )


def _create_postgres_engine(
    address: PostgresAddress, *, pool_size: int, command_seconds: float | None = None
) -> AsyncEngine:
    """Return an engine; *command_seconds* limits what has no limit of the server's."""
    settings = _NAMING if address.pooled else _NAMING | _PROMISES
    arguments = {"server_settings": settings, "timeout": _CONNECT_SECONDS, **address.options}
    if address.pooled:
        # Without the driver's cache a statement has no name and is prepared anew for each use; one
        # that SQLAlchemy kept would be read as it was described by another server, another time.
        arguments |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "command_timeout": command_seconds,
        }
    return create_async_engine(
        address.url,
        pool_size=pool_size,
        pool_timeout=5,
        pool_recycle=1800,
        connect_args=arguments,
        **_OPTIONS,
    )


def _promise_in_each_transaction(engine: AsyncEngine) -> None:
    """Set for each transaction what a pooler would not keep for the connection."""

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql(_PROMISE_ONCE)


def _configure_sqlite(engine: AsyncEngine, *, begin: str, read_only: bool) -> None:
    """Take transactions into our own hands and set what a new connection needs.

    Python's own transaction handling runs SELECTs outside of the transaction, so that reading and
    then writing would not be atomic; a deferred BEGIN that turns into a write fails at once when
    another connection writes. Hence an explicit BEGIN, immediate for the writer. Only the writer
    checkpoints: SQLite before 3.51.3 can corrupt the log when two connections do.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in _SQLITE_PRAGMAS:
            cursor.execute(pragma)
        if read_only:
            cursor.execute("PRAGMA wal_autocheckpoint=0")
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)


async def check_way(connection: AsyncConnection, url: URL) -> None:
    """Raise RuntimeError if a pooler of which *url* says nothing passes *connection* on.

    It names another server process at the connect than the one that answers.
    """
    if is_sqlite(url) or read_address(url).pooled:
        return
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    answering = (await connection.exec_driver_sql("SELECT pg_backend_pid()")).scalar_one()
    if driver.get_server_pid() != answering:
        raise RuntimeError(POOLER_ADVICE)


async def check_durability(connection: AsyncConnection) -> None:
    """Raise RuntimeError if a commit on *connection* may be lost when the machine loses power."""
    if connection.dialect.name == "sqlite":
        level = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one()
        if level < _SQLITE_FULL:
            raise RuntimeError("SQLite must run with synchronous=FULL")
        return
    for setting in ("fsync", "synchronous_commit"):
        value = (await connection.exec_driver_sql(f"SHOW {setting}")).scalar_one()
        if value == "off":
            raise RuntimeError(f"PostgreSQL runs with {setting}=off: a commit could be lost")
