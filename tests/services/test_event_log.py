"""Whoever follows the log misses nothing and hears nothing twice, however many write at once."""

import asyncio
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.util import await_only

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.domain.events import Event, EventFilter, EventType, NewEvent
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageDraft, MessageError
from gateway_hub.services.event_tail import EventTail
from gateway_hub.services.hub import Hub
from gateway_hub.storage import events as event_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage.engines import create_writer_engine
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock
from tests.services.conftest import MakeQuietHub
from tests.services.kept_numbers import change_by_hand
from tests.services.phones import register, submit

_PATIENCE_SECONDS = 60.0
_OTHER = {Status.QUEUED: Status.SCHEDULED, Status.SCHEDULED: Status.QUEUED}


def _hold_commits_open(hub: Hub, chance: random.Random) -> None:
    """Let some commits come long after what they commit was written."""

    def hold(_connection: Connection) -> None:
        if chance.random() < 0.5:
            await_only(asyncio.sleep(chance.uniform(0, 0.04)))

    event.listen(hub.database._writer.sync_engine, "commit", hold)


async def _change(hub: Hub, message: Message) -> None:
    """Give *message* another status, and the number of this change as its error."""

    async def use_case(tx: Transaction) -> None:
        found = (await message_rows.lock_messages(tx, [message.id]))[message.id]
        number = 1 + (int(found.error.message) if found.error else 0)
        error = MessageError("changed", str(number))
        changed = replace(found, status=_OTHER[found.status], error=error)
        await message_rows.save_progress(tx, [changed])

    await hub.database.write(use_case, patience_seconds=_PATIENCE_SECONDS, lock_order=message.id)


def _numbers_told(events: Iterable[Event]) -> dict[str, list[int]]:
    """Return by message the numbers of its changes, in the order in which they were told."""
    told = defaultdict(list)
    for item in events:
        error = json.loads(item.data)["error"]
        told[str(item.message_id)].append(int(error["message"]) if error else 0)
    return dict(told)


@asynccontextmanager
async def _at_work(hubs: list[Hub]) -> AsyncIterator[None]:
    """Let each hub publish and hand out, as it does when it is started."""

    async def keep_doing(hub: Hub) -> None:
        while True:
            await hub.publisher.publish_due()
            await asyncio.sleep(hub.publisher.PAUSE_SECONDS)

    async def keep_following(hub: Hub) -> None:
        while True:
            await hub.tail.follow()

    tasks = [asyncio.create_task(keep_following(hub)) for hub in hubs]
    tasks += [asyncio.create_task(keep_doing(hub)) for hub in hubs if hub.publisher.is_needed]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_on(hub: Hub, project_id: str, expected: int) -> list[Event]:
    """Return *expected* events, read page by page as one does who asks again and again."""
    read: list[Event] = []
    place = 0
    while len(read) < expected:
        page = await hub.events.read(project_id, EventFilter(), after=place, limit=7)
        read += page.events
        place = page.reached
        await asyncio.sleep(0.001)
    return read


async def _listen(hub: Hub, project_id: str, expected: int) -> list[Event]:
    """Return *expected* events as a stream tells them; one that ends is opened again."""
    heard: list[Event] = []
    place = 0
    while len(heard) < expected:
        stream = hub.events.follow(project_id, EventFilter(), after=place, seconds=1)
        async with aclosing(stream):
            async for news in stream:
                heard += news.events
                place = news.place
                if len(heard) >= expected or random.random() < 0.01:
                    break
    return heard


@pytest.mark.parametrize("seed", range(2))
async def test_whoever_follows_the_log_misses_nothing_and_hears_nothing_twice(
    make_quiet_hub: MakeQuietHub, database_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    hubs = [await make_quiet_hub() for _ in range(1 if "sqlite" in database_url else 3)]
    project_id = (await hubs[0].access.ensure_default_project()).id
    messages = [await submit(hubs[0], project_id) for _ in range(60)]
    for hub in hubs:
        _hold_commits_open(hub, chance)
    writers = [(hub, chance.choices(messages, k=10)) for hub in hubs for _ in range(4)]
    changes = Counter(item.id for _, chosen in writers for item in chosen)
    total = len(messages) + changes.total()

    async def write(hub: Hub, chosen: list[Message]) -> list[Event]:
        for message in chosen:
            await _change(hub, message)
        return []

    async with _at_work(hubs):
        told = await asyncio.gather(
            *(_read_on(hub, project_id, total) for hub in hubs),
            *(_listen(hub, project_id, total) for hub in hubs),
            *(write(hub, chosen) for hub, chosen in writers),
        )
    for events in told[: 2 * len(hubs)]:
        assert [item.seq for item in events] == list(range(1, total + 1))
        assert _numbers_told(events) == {
            item.id: list(range(changes[item.id] + 1)) for item in messages
        }


async def _log_of(hub: Hub) -> list[Event]:
    async def query(tx: Transaction) -> list[Event]:
        return await event_rows.list_after(tx, 0, limit=1000)

    return await hub.database.read(query)


@pytest.mark.postgres
async def test_what_is_committed_late_comes_late_in_the_log(
    make_quiet_hub: MakeQuietHub, database_url: str
) -> None:
    """Its number in the inbox is the lower one: whoever followed those would miss it."""
    if "sqlite" in database_url:
        pytest.skip("SQLite has one writer")
    hub = await make_quiet_hub()
    slow = create_writer_engine(hub.database.url)
    project_id = (await hub.access.ensure_default_project()).id
    async with slow.connect() as connection, connection.begin() as transaction:
        await connection.execute(text(_WRITE), {"id": "late", "project": project_id})
        await change_by_hand(hub, _WRITE.replace(":id", "'soon'").replace(":project", "'p'"))
        await hub.publisher.publish_all()
        assert [(item.seq, item.id) for item in await _log_of(hub)] == [(1, "soon")]
        await transaction.commit()
    await hub.publisher.publish_all()
    assert [(item.seq, item.id) for item in await _log_of(hub)] == [(1, "soon"), (2, "late")]
    await slow.dispose()


_WRITE = (
    "INSERT INTO event_inbox (id, project_id, type, timestamp, data) "
    "VALUES (:id, :project, 'device.online', 0, '{}')"
)


async def test_a_message_whose_commit_fails_is_not_told(make_quiet_hub: MakeQuietHub) -> None:
    hub = await make_quiet_hub()
    project_id = (await hub.access.ensure_default_project()).id
    first = await submit(hub, project_id)
    broken = True

    def fail(_connection: Connection) -> None:
        if broken:
            raise RuntimeError("no")

    event.listen(hub.database._writer.sync_engine, "commit", fail)
    with pytest.raises(RuntimeError):
        await submit(hub, project_id)
    broken = False
    last = await submit(hub, project_id)
    await hub.publisher.publish_all()
    assert [item.message_id for item in await _log_of(hub)] == [first.id, last.id]


async def test_an_event_that_cannot_be_written_harms_no_neighbour(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    hub = await make_quiet_hub()
    project_id = (await hub.access.ensure_default_project()).id

    async def tell(tx: Transaction) -> None:
        tx.journal.note_event(
            NewEvent(EventType.DEVICE_ONLINE, clock(), project_id, {"no": object()})
        )

    told = await asyncio.gather(
        *(submit(hub, project_id) for _ in range(5)),
        *(hub.database.write(tell) for _ in range(5)),
        return_exceptions=True,
    )
    assert [isinstance(item, Message) for item in told] == [True] * 5 + [False] * 5
    await hub.publisher.publish_all()
    assert len(await _log_of(hub)) == 5


async def test_a_follower_who_is_too_slow_is_dropped_and_told_where_to_go_on(
    make_quiet_hub: MakeQuietHub,
) -> None:
    hub = await make_quiet_hub()
    project_id = (await hub.access.ensure_default_project()).id
    follower = hub.events.follow(project_id, EventFilter(), after=0, seconds=60)
    heard: list[Event] = []
    async with _at_work([hub]), aclosing(follower):
        assert (await anext(follower)).events == []
        drafts = [MessageDraft("+255710000001", "x")] * 400
        for _ in range(4):
            await hub.outbox.submit_batch(project_id, drafts)
            # Told of each batch by itself, so that some is there to be taken when it is dropped.
            while not await _is_handed_out(hub):
                await asyncio.sleep(0.001)
        endings = []
        async for news in follower:
            heard += news.events
            endings.append(news.ending)
    assert (endings, news.place) == (["too_slow"], 800)
    assert len(heard) == 800
    page = await hub.events.read(project_id, EventFilter(), after=news.place, limit=2000)
    assert [item.seq for item in heard + page.events] == list(range(1, 1601))


async def _is_handed_out(hub: Hub) -> bool:
    await hub.publisher.publish_all()
    bounds = await hub.database.read(event_rows.find_bounds)
    return hub.tail._place == bounds.last


async def test_a_stream_tells_what_its_key_reaches_and_nothing_else(
    make_quiet_hub: MakeQuietHub,
) -> None:
    hub = await make_quiet_hub()
    other = await hub.access.create_project("other", None)
    phone = await register(hub, tags=("north",))
    wanted = EventFilter(within_tag="north")
    follower = hub.events.follow(phone.project_id, wanted, after=0, seconds=60)
    async with _at_work([hub]), aclosing(follower):
        assert (await anext(follower)).events == []
        await submit(hub, phone.project_id, "not of the tag")
        await submit(hub, other.id, "of another project", tag="north")
        by_tag = await submit(hub, phone.project_id, tag="north")
        by_device = await submit(hub, phone.project_id, device=phone.device)
        heard: list[Event] = []
        while len(heard) < 2:
            heard += (await anext(follower)).events
    assert [item.message_id for item in heard] == [by_tag.id, by_device.id]


async def test_streams_end_when_the_hub_stops_and_no_more_are_opened(
    make_quiet_hub: MakeQuietHub,
) -> None:
    hub = await make_quiet_hub()
    project_id = (await hub.access.ensure_default_project()).id
    follower = hub.events.follow(project_id, EventFilter(), after=0, seconds=60)
    async with aclosing(follower):
        assert (await anext(follower)).ending is None
        asyncio.get_running_loop().call_soon(hub.let_go)
        assert (await anext(follower)).ending == "stopping"
    with pytest.raises(UnavailableError):
        hub.events.check_room()
    late = hub.events.follow(project_id, EventFilter(), after=0, seconds=60)
    assert [news.ending async for news in late] == ["stopping"]
    assert hub.tail.open_streams == 0


async def test_a_process_takes_so_many_streams_and_no_more(
    make_quiet_hub: MakeQuietHub,
) -> None:
    hub = await make_quiet_hub()
    tail = EventTail(hub.database, most_streams=1)
    tail.check_room()
    with tail.open_stream(), pytest.raises(UnavailableError) as refused:
        tail.check_room()
    assert refused.value.code == "too_many_streams"
    tail.check_room()
