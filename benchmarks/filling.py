"""Databases filled with millions of messages, and kept for the next measurement.

The schema is the hub's own. Its indexes are taken off while rows go in and are made again
afterwards. Every id lies before the moment of filling: what a measurement adds lies behind it, and
is found and removed by that.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template

import asyncpg

from benchmarks.databases import PostgresServer, check_room, migrate
from benchmarks.filled_rows import DEVICES, GROUPS, Plan, filling_statements, first_id
from gateway_hub.domain.access import DEFAULT_PROJECT, Project
from gateway_hub.domain.clock import from_epoch_ms, system_clock, to_epoch_ms
from gateway_hub.domain.devices import Device, Protocol, SendLimit
from gateway_hub.domain.ids import AFTER_ALL_IDS
from gateway_hub.domain.messages import IfUncertain
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage import statistics as statistics_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.tables import metadata
from gateway_hub.storage.transactions import Transaction

_BYTES_PER_MESSAGE = 2500
_RECEIPTS = "inbound_receipts"

# The rows are right by making; to remove an attempt would search all reports for it.
_WITHOUT_FOREIGN_KEYS = "SET session_replication_role = replica"

_Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """A filled database."""

    url: str
    plan: Plan
    devices: tuple[Device, ...]

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a SQLite file."""
        return self.url.startswith("sqlite")


def open_filled_sqlite(rows: int, cache: Path, say: _Say) -> Filled:
    """Return a SQLite file with *rows* messages, filled now or before."""
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"growth-{rows}.sqlite3"
    if not path.exists():
        check_room(cache, rows * _BYTES_PER_MESSAGE)
        unfinished = path.with_suffix(".filling")
        _remove(unfinished)
        say(f"filling {rows:,} messages into {path}")
        plan = Plan(rows, to_epoch_ms(system_clock()))
        asyncio.run(_prepare(f"sqlite+aiosqlite:///{unfinished}", plan))
        _fill_sqlite(unfinished, filling_statements("sqlite", plan), say)
        unfinished.rename(path)
        _remove(unfinished)
    return asyncio.run(_describe(f"sqlite+aiosqlite:///{path}", rows))


def open_filled_postgres(rows: int, server: PostgresServer, say: _Say) -> Filled:
    """Return a PostgreSQL database with *rows* messages, filled now or before."""
    name = f"gateway_hub_growth_{rows}"
    if name not in server.databases():
        folder = Path(server.fetch("SHOW data_directory"))
        if folder.exists():  # a server elsewhere is trusted to have room
            check_room(folder, rows * _BYTES_PER_MESSAGE)
        unfinished = f"{name}_filling"
        server.execute(f'DROP DATABASE IF EXISTS "{unfinished}" WITH (FORCE)')
        server.execute(f'CREATE DATABASE "{unfinished}"')
        say(f"filling {rows:,} messages into the database {name}")
        plan = Plan(rows, to_epoch_ms(system_clock()))
        asyncio.run(_prepare(server.url_of(unfinished), plan))
        statements = filling_statements("postgresql", plan)
        asyncio.run(_fill_postgres(server.plain_url(unfinished), statements, say))
        server.execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{name}"')
    return asyncio.run(_describe(server.url_of(name), rows))


async def remove_added(filled: Filled) -> None:
    """Remove what was added after the filling, so that the next measurement finds it as it was."""
    statements = _removing_statements(first_id(filled.plan.ended_ms))
    if filled.is_sqlite:
        connection = sqlite3.connect(filled.url.partition("///")[2])
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
        return
    server = await asyncpg.connect(filled.url.replace("+asyncpg", ""))
    for statement in [_WITHOUT_FOREIGN_KEYS, *statements]:
        await server.execute(statement)
    await server.close()


def _removing_statements(mark: str) -> list[str]:
    """Return what removes everything of messages not older than *mark*, and all usage."""
    template = Template("DELETE FROM $table WHERE $column >= '$mark'")
    statements = ["DELETE FROM device_usage"]
    for table in reversed(metadata.sorted_tables):
        for column in ("message_id", "id"):
            if column in table.c:
                statements.append(template.substitute(table=table, column=column, mark=mark))
                break
    return statements


async def _prepare(url: str, plan: Plan) -> None:
    """Make the schema, the project and the devices."""
    await migrate(url)
    ended = from_epoch_ms(plan.ended_ms)
    project = Project(plan.project_id, DEFAULT_PROJECT, None, IfUncertain.WAIT, ended, ended)
    database = Database(url)
    await database.start(migrate=False)

    async def use_case(tx: Transaction) -> None:
        await project_rows.add_project_if_absent(tx, project)
        for number in range(DEVICES):
            await device_rows.add_device(tx, _device(number, plan))

    await database.write(use_case)
    await database.stop()


def _device(number: int, plan: Plan) -> Device:
    began = from_epoch_ms(plan.began_ms)
    return Device(
        id=plan.device_id(number),
        project_id=plan.project_id,
        name=f"phone {number}",
        protocol=Protocol.ENVAYA if number % 2 else Protocol.MEDIC,
        created_at=began,
        updated_at=began,
        username=f"phone-{number}",
        phone_number=f"+25570{number:07}",
        region="TZ",
        tags=(f"group-{number % GROUPS}",),
        send_limit=SendLimit(1_000_000, 1800),
    )


async def _describe(url: str, rows: int) -> Filled:
    """Return what is at *url*, its schema brought to head, its queues counted anew."""
    await migrate(url)
    database = Database(url)
    await database.start(migrate=False)

    async def query(tx: Transaction) -> Filled:
        project = await project_rows.find_project_by_name(tx, DEFAULT_PROJECT)
        if project is None:
            raise RuntimeError(f"{url} was not filled by this program")
        found = await device_rows.list_devices(tx, project.id, before=AFTER_ALL_IDS, limit=DEVICES)
        return Filled(url, Plan(rows, to_epoch_ms(project.created_at)), tuple(reversed(found)))

    filled = await database.read(query)
    await database.write(statistics_rows.recount_backlogs)
    await database.stop()
    return filled


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _fill_sqlite(path: Path, statements: dict[str, str], say: _Say) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (
        "journal_mode=OFF",
        "synchronous=OFF",
        "cache_size=-2000000",
        "temp_store=FILE",
        "threads=2",
        "foreign_keys=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    for name, statement in [*statements.items(), *indexes]:
        began = time.monotonic()
        connection.execute(statement)
        say(f"  {name}: {time.monotonic() - began:.0f} s")
    connection.close()


async def _fill_postgres(url: str, statements: dict[str, str], say: _Say) -> None:
    connection = await asyncpg.connect(url)
    for setting in (
        "statement_timeout = 0",
        "synchronous_commit = off",
        "maintenance_work_mem = '1GB'",
        "work_mem = '512MB'",
    ):
        await connection.execute(f"SET {setting}")
    await connection.execute(_WITHOUT_FOREIGN_KEYS)
    found = await connection.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' "
        "AND indexname NOT IN (SELECT conname FROM pg_constraint)"
    )
    indexes = [(str(row["indexname"]), str(row["indexdef"])) for row in found]
    for name, _ in indexes:
        await connection.execute(f'DROP INDEX "{name}"')
    await connection.execute(f"ALTER TABLE {_RECEIPTS} DROP CONSTRAINT pk_{_RECEIPTS}")
    key = (
        f"ALTER TABLE {_RECEIPTS} ADD CONSTRAINT pk_{_RECEIPTS} PRIMARY KEY (device_id, dedupe_key)"
    )
    steps = [*statements.items(), ("key", key), *indexes, ("statistics", "VACUUM ANALYZE")]
    for name, statement in steps:
        began = time.monotonic()
        await connection.execute(statement)
        say(f"  {name}: {time.monotonic() - began:.0f} s")
    await connection.close()
