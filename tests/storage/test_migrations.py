"""The schema that migrations make is the one the tables describe, and queries find its indexes."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.domain.messages import MessageFilter
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import migrations
from gateway_hub.storage import offers as offer_rows
from gateway_hub.storage import queues as queue_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.engines import create_writer_engine, is_sqlite, normalise_url
from gateway_hub.storage.tables import metadata
from gateway_hub.storage.transactions import Transaction
from tests import postgres

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLY = datetime(1970, 1, 1, tzinfo=UTC)


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_writer_engine(normalise_url(url))
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database with nothing in it, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.sqlite3'}"
        return
    with postgres.empty_database(request.getfixturevalue("postgres_server")) as url:
        yield url


_POSTGRES_CATALOG = """
    SELECT table_name || '.' || column_name, concat_ws(' ', data_type, character_maximum_length,
           is_nullable, column_default) FROM information_schema.columns
     WHERE table_schema = 'public'
    UNION ALL SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT conname, conrelid::regclass || ' ' || pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""


async def _catalog(connection: AsyncConnection) -> dict[str, Any]:
    """Return each part of the schema by name, as the database itself describes it."""
    if connection.dialect.name == "postgresql":
        found = await connection.execute(text(_POSTGRES_CATALOG))
        rows = [(name, described) for name, described in found]
    else:
        found = await connection.execute(text("SELECT name, sql FROM sqlite_master"))
        rows = [(name, sorted(_clauses(sql or ""))) for name, sql in found]
    ours = (row for row in rows if "alembic" not in row[0] and not row[0].startswith("sqlite_"))
    return dict(ours)


def _clauses(sql: str) -> list[str]:
    """Return what *sql* says of a table, clause by clause: SQLite adds a column to a line of it."""
    one_line = " ".join(sql.replace('"', "").split()).replace("( ", "(").replace(" )", ")")
    return re.split(r" ?, (?![^(]*\))", one_line.replace(" (", ", ", 1).removesuffix(")"))


async def test_migrations_make_the_schema_the_tables_describe(empty_url: str) -> None:
    async with _connected(empty_url) as connection:
        await connection.run_sync(metadata.create_all)
        described = await _catalog(connection)
        await connection.run_sync(metadata.drop_all)
        await connection.commit()
        await connection.run_sync(migrations.upgrade)
        made = await _catalog(connection)
    assert "ix_messages_queue" in made
    assert made == described


async def test_alembic_finds_nothing_to_migrate(database_url: str) -> None:
    def differences(connection: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        )

    async with _connected(database_url) as connection:
        found = await connection.run_sync(differences)
    if is_sqlite(normalise_url(database_url)):
        # Alembic cannot compare an index with an expression there; the test above does.
        found = [item for item in found if item[1].name != "ix_messages_queue"]
    assert found == []


async def test_migrations_go_up_and_down_and_up_again(empty_url: str) -> None:
    async with _connected(empty_url) as connection:
        assert await connection.run_sync(migrations.current_revision) is None
        await connection.run_sync(migrations.upgrade)
        made = await _catalog(connection)
        assert await connection.run_sync(migrations.is_at_head)
        await connection.rollback()
        await connection.run_sync(migrations.downgrade, "base")
        assert await _catalog(connection) == {}
        assert not await connection.run_sync(migrations.is_at_head)
        await connection.rollback()
        await connection.run_sync(migrations.upgrade)
        assert await _catalog(connection) == made


async def test_a_hub_is_ready_only_with_its_schema_at_head(empty_url: str) -> None:
    database = Database(empty_url)
    await database.start(migrate=False)
    with pytest.raises(UnavailableError, match="schema"):
        await database.check()
    await database.migrate()
    await database.check()
    await database.stop()


@pytest.mark.postgres
async def test_processes_that_migrate_at_once_wait_for_one_another(postgres_server: str) -> None:
    with postgres.empty_database(postgres_server) as url:
        databases = [Database(url) for _ in range(4)]
        await asyncio.gather(*(database.start(migrate=True) for database in databases))
        for database in databases:
            await database.check()
            await database.stop()


@pytest.mark.postgres
async def test_a_migration_may_take_longer_than_any_request(postgres_server: str) -> None:
    """One that waits for another's must not be cut off like a statement of a request."""

    def migrate_hastily(connection: Connection) -> str:
        connection.execute(text("SET statement_timeout = 20"))
        connection.commit()
        migrations.upgrade(connection)
        return str(connection.execute(text("SHOW statement_timeout")).scalar_one())

    with postgres.empty_database(postgres_server) as url:
        async with _connected(url) as holder, _connected(url) as waiting:
            key = {"key": migrations._MIGRATION_LOCK}
            await holder.execute(text("SELECT pg_advisory_lock(:key)"), key)
            migrating = asyncio.create_task(waiting.run_sync(migrate_hastily))
            await holder.execute(text("SELECT pg_sleep(0.3)"))
            assert not migrating.done()
            await holder.execute(text("SELECT pg_advisory_unlock(:key)"), key)
            assert await migrating == "20ms"


def test_a_migration_that_fails_leaves_a_sqlite_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE reports (not_ours TEXT)")

    async def migrate() -> None:
        database = Database(f"sqlite+aiosqlite:///{path}")
        try:
            await database.migrate()
        finally:
            await database.stop()

    with pytest.raises(Exception, match="reports already exists"):
        asyncio.run(migrate())
    with closing(sqlite3.connect(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert tables <= {"reports", "alembic_version", "sqlite_autoindex_alembic_version_1"}


_SOME_MESSAGES = """
    INSERT INTO messages (id, project_id, direction, type, status, text, contact_key, queue,
                          priority, max_attempts, attempt_count, if_uncertain, metadata, segments,
                          reached, created_at, updated_at)
    VALUES ('m1', 'project', 'outbound', 'sms', 'queued', '', '', 'any:project', 0, 1, 0, 'wait',
            '{}', 2, '{"scheduled": "2026-03-01T11:59:59.999Z",
              "queued": "2026-03-01T12:00:00.000Z"}',
            0, 0),
           ('m2', 'project', 'outbound', 'sms', 'queued', '', '', 'any:project', 0, 1, 0, 'wait',
            '{}', 1, '{"queued": "2026-03-01T12:59:59.999Z"}', 0, 0),
           ('m3', 'project', 'outbound', 'sms', 'scheduled', '', '', 'any:project', 0, 1, 0, 'wait',
            '{}', 1, '{"scheduled": "1970-01-01T00:00:00.000Z"}', 0, 0),
           ('m4', 'project', 'inbound', 'call', 'received', '', '', NULL, 0, 1, 0, 'wait',
            '{}', NULL, '{}', 7199999, 0)
"""


async def test_messages_that_are_there_are_counted_when_counts_begin(empty_url: str) -> None:
    hour = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) // 3600
    async with _connected(empty_url) as connection:
        await connection.run_sync(migrations.upgrade, "0002")
        for statement in (_FILL[0], _SOME_MESSAGES):
            await connection.exec_driver_sql(statement)
        await connection.commit()
        await connection.run_sync(migrations.upgrade)
        backlogs = await connection.execute(text("SELECT * FROM queue_backlogs"))
        counts = await connection.execute(
            text("SELECT hour, direction, status, messages, segments FROM message_counts")
        )
        assert [tuple(row) for row in backlogs] == [("project", "any:project", 0, 2)]
        assert {tuple(row) for row in counts} == {
            (hour - 1, "outbound", "scheduled", 1, 2),
            (hour, "outbound", "queued", 2, 3),
            (0, "outbound", "scheduled", 1, 1),
            (1, "inbound", "received", 1, 0),
        }


_MANY_MESSAGES = """
    INSERT INTO messages (id, project_id, direction, type, status, text, to_number, contact_key,
                          queue, device_id, priority, due_at, expires_at, max_attempts,
                          attempt_count, if_uncertain, reference, metadata, reached, created_at,
                          updated_at)
    SELECT 'm' || n, CASE WHEN n % 4 = 3 THEN 'project' ELSE 'another' END, 'outbound', 'sms',
           CASE WHEN n % 50 = 0 THEN 'queued'
           WHEN n % 50 = 1 THEN 'scheduled' WHEN n % 50 = 2 THEN 'dispatched' ELSE 'delivered' END,
           'text', '+255710000001', 'c' || n, 'q' || n % 100, 'device', 0, n,
           CASE WHEN n % 50 = 0 THEN n END, 1, 0, 'wait',
           CASE WHEN n % 10 = 0 THEN 'r' || n END, '{}', '{}', n, n
      FROM numbers
"""
_MANY_ATTEMPTS = """
    INSERT INTO attempts (wire_id, message_id, device_id, number, status, offers, first_offered_at,
                          last_offered_at, lease_until, last_sign_at, soft_failures, request_key,
                          inbound_message_id)
    SELECT 'm' || n, 'm' || n, 'device', 1, CASE WHEN n % 50 = 2 THEN 'dispatched' ELSE 'sent' END,
           1, n, n, n, n, 0, 'k' || n, CASE WHEN n % 10 = 2 THEN 'm' || n END
      FROM numbers
"""
_NUMBERS = (
    "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 4999)"
)
_FILL = (
    "INSERT INTO projects VALUES ('project', 'project', NULL, 'wait', 0, 0),"
    " ('another', 'another', NULL, 'wait', 0, 0)",
    "INSERT INTO devices (id, project_id, name, protocol, tags, paused, created_at, updated_at)"
    " VALUES ('device', 'project', 'phone', 'medic', '[]', false, 0, 0)",
    _MANY_MESSAGES.replace("SELECT", f"{_NUMBERS} SELECT", 1),
    _MANY_ATTEMPTS.replace("SELECT", f"{_NUMBERS} SELECT", 1),
    "ANALYZE",
)

Query = Callable[[Transaction], Awaitable[object]]

_QUERIES: dict[str, tuple[str, Query]] = {
    "the head of a queue": (
        "ix_messages_queue",
        lambda tx: queue_rows.lock_queue_heads(tx, ["q0"], now=NOW, limit=10),
    ),
    "whether there is anything queued": (
        "ix_messages_queue",
        lambda tx: queue_rows.has_queued(tx, ["q0"], now=NOW),
    ),
    "what has to be queued now": (
        "ix_messages_due",
        lambda tx: queue_rows.lock_due_scheduled(tx, now=NOW, limit=10),
    ),
    "what has expired": (
        "ix_messages_expiring",
        lambda tx: queue_rows.lock_expired(tx, now=NOW, limit=10),
    ),
    "what a device holds past its lease": (
        "ix_attempts_lease",
        lambda tx: offer_rows.lock_due_offers(
            tx, device_id="device", now=NOW, offers_below=2, limit=10
        ),
    ),
    "what is overdue with any device": (
        "ix_attempts_overdue",
        lambda tx: attempt_rows.find_overdue(tx, now=EARLY, after=None, limit=10),
    ),
    "what phones work on without a word": (
        "ix_attempts_working",
        lambda tx: attempt_rows.lock_working_silently(
            tx, since=datetime(1970, 1, 1, tzinfo=UTC), limit=10
        ),
    ),
    "what waited for its device long enough": (
        "ix_messages_preferred",
        lambda tx: queue_rows.lock_preferred_past(tx, now=NOW, limit=10),
    ),
    "what a request was answered with": (
        "ix_attempts_request",
        lambda tx: offer_rows.find_offers_of_request(tx, "device", "k2", now=EARLY),
    ),
    "what an inbound message was answered with": (
        "ix_attempts_inbound",
        lambda tx: offer_rows.find_offers_with_inbound(
            tx, "device", ["m2"], now=datetime(1970, 1, 1, tzinfo=UTC)
        ),
    ),
    "messages with a contact": (
        "ix_messages_project_id_contact_key_id",
        lambda tx: message_rows.list_messages(
            tx, "project", MessageFilter(contact_keys=("c7",)), before="~", limit=10
        ),
    ),
    "messages with a reference": (
        "ix_messages_reference",
        lambda tx: message_rows.list_messages(
            tx, "project", MessageFilter(reference="r10"), before="~", limit=10
        ),
    ),
    "the newest messages": (
        "ix_messages_project_id_id",
        lambda tx: message_rows.list_messages(tx, "project", MessageFilter(), before="~", limit=10),
    ),
}


async def _plan(connection: AsyncConnection, query: Query) -> str:
    """Return how the database carries out what *query* asks it last."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(connection.sync_engine, "before_cursor_execute", note)
    await query(Transaction(connection))
    event.remove(connection.sync_engine, "before_cursor_execute", note)
    statement, parameters = asked[0]
    explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
    return "\n".join(str(tuple(row)) for row in rows)


async def test_every_frequent_query_finds_its_index(database_url: str) -> None:
    async with _connected(database_url) as connection:
        for statement in _FILL:
            await connection.execute(text(statement))
        plans = {
            name: (index, await _plan(connection, query))
            for name, (index, query) in _QUERIES.items()
        }
    missed = {name: plan for name, (index, plan) in plans.items() if index not in plan}
    assert missed == {}
    sorting = plans["the head of a queue"][1]
    assert "TEMP B-TREE" not in sorting
    assert "Sort" not in sorting
