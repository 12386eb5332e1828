"""PostgreSQL behind a PgBouncer in transaction mode: each transaction may meet another server."""

import asyncio
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from gateway_hub.services.hub import Hub
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction
from tests import postgres
from tests.conftest import MakeHub
from tests.pgbouncer import running_pooler
from tests.services.phones import Phone, register, sms, status_of, submit

pytestmark = pytest.mark.postgres
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture(scope="module")
def pooler(postgres_server: str) -> Iterator[str]:
    """The URL of a pooler before the tests' server."""
    with running_pooler(postgres_server) as url:
        yield url


@pytest.fixture
def pooled_url(pooler: str, database_url: str) -> str:
    """The URL of the test's database through the pooler."""
    return _through(pooler, database_url)


def _through(pooler: str, url: str) -> str:
    return make_url(pooler).set(database=make_url(url).database).render_as_string() + (
        "?pgbouncer=true"
    )


@on_postgres
async def test_every_transaction_waits_for_the_disk_whichever_server_it_meets(
    pooled_url: str, database_url: str
) -> None:
    async def ask(tx: Transaction) -> tuple[Any, ...]:
        settings = "current_setting('synchronous_commit'), current_setting('statement_timeout')"
        row: Any = (await tx.execute(text(f"SELECT {settings}, pg_backend_pid()"))).one()
        return tuple(row)

    name = make_url(database_url).database
    await _execute(database_url, f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    database = Database(pooled_url)
    try:
        await database.start(migrate=False)
        found = await asyncio.gather(*(database.write(ask) for _ in range(300)))
    finally:
        await database.stop()
        await _execute(database_url, f'ALTER DATABASE "{name}" RESET synchronous_commit')
    assert {settings[:2] for settings in found} == {("on", "30s")}
    assert len({server for _, _, server in found}) > 1


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


@on_postgres
async def test_two_hubs_behind_a_pooler_do_all_they_do_without_one(
    make_hub: MakeHub, pooled_url: str, database_url: str
) -> None:
    here = await make_hub(url=pooled_url, direct_url=database_url)
    there = await make_hub(url=pooled_url, direct_url=database_url)
    phones = [await register(here) for _ in range(20)]
    held = [
        asyncio.create_task(there.phones.wait_for_work(phone.device, seconds=30))
        for phone in phones[10:]
    ]
    messages = await asyncio.gather(
        *(submit(here, phone.project_id, device=phone.device) for phone in phones)
    )
    async with asyncio.timeout(10):
        assert await asyncio.gather(*held) == [True] * 10
    offered = await asyncio.gather(
        *(phone.poll(messages=[sms("1")], request_key="k", hub=there) for phone in phones)
    )
    assert offered == [[message.id] for message in messages]
    await asyncio.gather(
        *(
            _report(phone, here, phone_offered[0])
            for phone, phone_offered in zip(phones, offered, strict=True)
        )
    )
    assert {await status_of(there, message) for message in messages} == {"delivered"}
    assert await there.check() == {}


async def _report(phone: Phone, hub: Hub, wire_id: str) -> None:
    await phone.report(wire_id, "DELIVERED")


@on_postgres
async def test_without_a_direct_way_a_hub_looks_instead_of_hearing(
    make_hub: MakeHub, pooled_url: str
) -> None:
    here, there = await make_hub(url=pooled_url), await make_hub(url=pooled_url)
    assert here.database.line.is_silent
    phone = await register(here)
    held = asyncio.create_task(there.phones.wait_for_work(phone.device, seconds=30))
    while not there.wakeups.waiting:
        await asyncio.sleep(0.005)
    await submit(here, phone.project_id)
    await there.following.refresh()
    async with asyncio.timeout(10):
        assert await held is True


async def test_processes_that_migrate_through_it_wait_for_one_another(
    pooler: str, postgres_server: str
) -> None:
    with postgres.empty_database(postgres_server) as url:
        # More than the pooler has connections.
        databases = [Database(_through(pooler, url)) for _ in range(5)]
        await asyncio.gather(*(database.migrate() for database in databases))
        for database in databases:
            await database.check()
            await database.stop()


@on_postgres
async def test_a_pooler_nobody_spoke_of_is_refused(pooled_url: str) -> None:
    database = Database(pooled_url.removesuffix("?pgbouncer=true"))
    with pytest.raises(DBAPIError, match="unsupported startup parameter"):
        await database.start(migrate=False)
    await database.stop()


@on_postgres
async def test_so_is_one_that_passes_over_settings_it_does_not_know(
    postgres_server: str, database_url: str
) -> None:
    ignoring = "ignore_startup_parameters = statement_timeout, synchronous_commit, "
    ignoring += "idle_in_transaction_session_timeout"
    with running_pooler(postgres_server, ignoring) as pooler:
        database = Database(_through(pooler, database_url).removesuffix("?pgbouncer=true"))
        with pytest.raises(RuntimeError, match=r"add \?pgbouncer=true"):
            await database.start(migrate=False)
        await database.stop()
