"""The log holds each change of each message once and in order, whatever happens to the database."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from gateway_hub.domain.events import Event
from gateway_hub.services.hub import Hub
from gateway_hub.storage import events as event_rows
from gateway_hub.storage.engines import create_writer_engine
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock
from tests.services.conftest import MakeQuietHub
from tests.services.kept_numbers import read
from tests.services.phones import register, sms, submit
from tests.services.storm import Storm, fail_at_times

_SEE = {
    "sqlite": [
        "CREATE TABLE seen (number INTEGER PRIMARY KEY, id TEXT, status TEXT)",
        "CREATE TRIGGER see_new AFTER INSERT ON messages "
        "BEGIN INSERT INTO seen (id, status) VALUES (new.id, new.status); END",
        "CREATE TRIGGER see_moved AFTER UPDATE OF status ON messages "
        "WHEN new.status <> old.status "
        "BEGIN INSERT INTO seen (id, status) VALUES (new.id, new.status); END",
    ],
    "postgresql": [
        "CREATE TABLE seen (number SERIAL PRIMARY KEY, id TEXT, status TEXT)",
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO seen (id, status) VALUES (new.id, new.status); RETURN NULL; END $$",
        "CREATE TRIGGER see_new AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION see()",
        "CREATE TRIGGER see_moved AFTER UPDATE OF status ON messages FOR EACH ROW "
        "WHEN (new.status <> old.status) EXECUTE FUNCTION see()",
    ],
}
_LOOK_AWAY = {
    "sqlite": [],
    "postgresql": ["DROP FUNCTION see CASCADE", "DROP TABLE seen"],
}


@asynccontextmanager
async def _watching(hub: Hub) -> AsyncIterator[None]:
    """Let the database itself note each status that a message comes to."""
    engine = create_writer_engine(hub.database.url)  # one that nothing happens to
    dialect = engine.dialect.name

    async def do(statements: list[str]) -> None:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    await do(_SEE[dialect])
    try:
        yield
    finally:
        await do(_LOOK_AWAY[dialect])
        await engine.dispose()


async def _statuses_seen(hub: Hub) -> dict[str, list[str]]:
    seen = defaultdict(list)
    for message_id, status in await read(hub, "SELECT id, status FROM seen ORDER BY number"):
        seen[message_id].append(status)
    return dict(seen)


async def read_log(hub: Hub) -> list[Event]:
    """Return the whole log, once all that is committed is in it."""
    await hub.publisher.publish_all()

    async def query(tx: Transaction) -> list[Event]:
        return await event_rows.list_after(tx, 0, limit=1_000_000)

    return await hub.database.read(query)


def statuses_told(events: Sequence[Event]) -> dict[str, list[str]]:
    """Return by message the statuses that *events* tell, in order."""
    told = defaultdict(list)
    for event in events:
        if event.message_id is not None:
            told[event.message_id].append(event.type.removeprefix("message."))
    return dict(told)


@pytest.mark.parametrize("seed", range(2))
async def test_the_log_tells_each_status_once_and_in_order_after_any_storm(
    make_quiet_hub: MakeQuietHub, database_url: str, clock: FakeClock, seed: int
) -> None:
    hubs = [await make_quiet_hub() for _ in range(1 if "sqlite" in database_url else 2)]
    project = await hubs[0].access.ensure_default_project()
    storm = Storm(hubs, clock, seed)
    await storm.begin(project.id)
    async with _watching(hubs[0]):
        for hub in hubs:
            fail_at_times(hub, storm.random)
        for _ in range(3):
            await storm.blow(9)
            events = await read_log(storm.hub)
            assert statuses_told(events) == await _statuses_seen(hubs[0])
    assert {len(told) for told in statuses_told(events).values()} >= {1, 2, 3}
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len({event.id for event in events}) == len(events)
    for event in events:
        data = json.loads(event.data)
        assert (event.message_id, event.type) == (data["id"], f"message.{data['status']}")
        assert event.project_id == project.id


async def test_an_event_says_by_what_it_is_chosen(make_quiet_hub: MakeQuietHub) -> None:
    hub = await make_quiet_hub()
    phone = await register(hub, tags=("north",))
    project_id = phone.project_id
    callback = "https://backend.example/told"
    await submit(hub, project_id, tag="north", status_callback=callback)
    await submit(hub, project_id, device=phone.device)
    await phone.post(messages=[sms("1")], takes_work=False)
    assert len(await phone.poll()) == 2
    device_id = phone.device.id
    chosen = {
        (event.type.value, event.device_id, event.route_tag, event.status_callback)
        for event in await read_log(hub)
    }
    assert chosen == {
        ("message.queued", None, "north", callback),
        ("message.queued", device_id, None, None),
        ("message.received", device_id, None, None),
        ("message.dispatched", device_id, "north", callback),
        ("message.dispatched", device_id, None, None),
    }
