"""The event log: read after a place in it, and on PostgreSQL filled from the inbox.

An event's `seq` is its place. Whoever has read up to a place has missed nothing before it: no event
ever appears behind one that could be read. `publish` gives the numbers out in the order in which
they become visible, and without gaps.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Executable,
    Select,
    bindparam,
    func,
    select,
    text,
    update,
)
from sqlalchemy.engine import Row

from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.events import Event, EventFilter, EventType
from gateway_hub.domain.ids import first_id_at, made_at_ms
from gateway_hub.storage.inserts import insert_for, insert_if_absent
from gateway_hub.storage.lists import as_list, is_one_of
from gateway_hub.storage.tables import events, log_places
from gateway_hub.storage.tags import is_about_tag
from gateway_hub.storage.transactions import Transaction

PUBLISHED = "published"
"""The last event that came from the inbox; whoever holds this row's lock may add to the log."""

FANNED_OUT = "fanned_out"
"""The last event that was given to those who subscribed."""

REMOVED = "removed"
"""The last event that was removed: what is before it may be gone."""

_MOST_SCANNED = 20_000
_CLOCKS_DIFFER_BY_MS = 86_400_000

_LOCK = (
    select(log_places.c.seq).where(log_places.c.name == PUBLISHED).with_for_update(skip_locked=True)
)
_READ_PLACE = select(log_places.c.seq).where(log_places.c.name == bindparam("of_name"))
_SET_PLACE = (
    update(log_places)
    .where(log_places.c.name == bindparam("of_name"))
    .values(seq=bindparam("new_seq"))
)
_BOUNDS = select(
    select(func.max(events.c.seq)).scalar_subquery().label("last"),
    select(log_places.c.seq).where(log_places.c.name == REMOVED).scalar_subquery().label("removed"),
)
_ANY_WAITING = text("SELECT 1 FROM event_inbox LIMIT 1")
# An array, not a join: the planner may take the inbox for empty, and would read all of it.
_MOVE = text(
    """
    WITH taken AS (
        DELETE FROM event_inbox
         WHERE seq = ANY(ARRAY(SELECT seq FROM event_inbox ORDER BY seq LIMIT :limit))
        RETURNING *
    )
    INSERT INTO events (seq, id, project_id, type, timestamp, message_id, device_id, route_tag,
                        status_callback, data)
    SELECT :last + row_number() OVER (ORDER BY seq), id, project_id, type, timestamp, message_id,
           device_id, route_tag, status_callback, data
      FROM taken
    """
).bindparams(bindparam("last", type_=BigInteger), bindparam("limit", type_=BigInteger))
_AFTER = (
    select(events)
    .where(events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("limit"))
)
_BY_ID = select(events).where(
    events.c.id == bindparam("event_id"), events.c.project_id == bindparam("of_project")
)
_FIRST_MADE_SINCE = (
    select(events.c.seq).where(events.c.id >= bindparam("since")).order_by(events.c.id).limit(1)
)
# Its id begins with when an event was made: that bounds what is read of a long log.
_SINCE = (
    select(events)
    .where(
        events.c.project_id == bindparam("of_project"),
        events.c.seq > bindparam("after"),
        events.c.timestamp >= bindparam("since"),
        events.c.id >= bindparam("first_id"),
    )
    .order_by(events.c.seq)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class LogBounds:
    """Places: all events after *removed* are there, up to *last*."""

    removed: int
    last: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events, oldest first; nothing that was asked for is between the last and *reached*."""

    events: list[Event]
    reached: int
    at_end: bool


async def publish(tx: Transaction, *, limit: int) -> int | None:
    """Move up to *limit* events from the inbox into the log and return how many; PostgreSQL only.

    None: another transaction is doing that now. Until this one ends, nobody else can.
    """
    last = (await tx.execute(_LOCK)).scalar_one_or_none()
    if last is None:
        await insert_if_absent(
            tx, log_places, {"name": PUBLISHED, "seq": (await find_bounds(tx)).last}
        )
        return None
    moved = (await tx.execute(_MOVE, {"last": last, "limit": limit})).rowcount
    if moved:
        await tx.execute(_SET_PLACE, {"of_name": PUBLISHED, "new_seq": last + moved})
    return moved


async def any_waits(tx: Transaction) -> bool:
    """Say whether the inbox holds an event that is committed."""
    return (await tx.execute(_ANY_WAITING)).first() is not None


async def find_bounds(tx: Transaction) -> LogBounds:
    """Return where the log begins and ends."""
    row = (await tx.execute(_BOUNDS)).one()
    removed = row.removed or 0
    return LogBounds(removed, max(removed, row.last or 0))


async def find_place(tx: Transaction, name: str) -> int:
    """Return how far *name* has come; 0 before it began."""
    return (await tx.execute(_READ_PLACE, {"of_name": name})).scalar_one_or_none() or 0


async def move_place(tx: Transaction, name: str, seq: int) -> None:
    """Note that *name* has come to *seq*; it never goes back."""
    await tx.execute(_advance(tx.dialect), {"name": name, "seq": seq})


async def list_after(tx: Transaction, after: int, *, limit: int) -> list[Event]:
    """Return the first *limit* events after that place, of any project."""
    rows = await tx.execute(_AFTER, {"after": after, "limit": limit})
    return [_to_event(row) for row in rows]


async def list_events(
    tx: Transaction, project_id: str, wanted: EventFilter, *, after: int, limit: int
) -> EventPage:
    """Return up to *limit* events of the project after that place, oldest first.

    A filter looks at a part of a long log only: then there may be fewer, though it goes on.
    """
    end = (await find_bounds(tx)).last
    if wanted.message_id is not None:
        after = max(after, await _find_place_before(tx, wanted.message_id))
    until = end if wanted == EventFilter() else min(end, after + _MOST_SCANNED)
    statement = (
        _filter(select(events), wanted, tx.dialect)
        .where(events.c.project_id == project_id, events.c.seq > after, events.c.seq <= until)
        .order_by(events.c.seq)
        .limit(limit)
    )
    found = [
        _to_event(row) for row in await tx.execute(statement, {"within_tag": wanted.within_tag})
    ]
    reached = found[-1].seq if len(found) == limit else max(after, until)
    return EventPage(found, reached, at_end=reached >= end)


async def find_event(
    tx: Transaction, project_id: str, wanted: EventFilter, event_id: str
) -> Event | None:
    """Return that event of that project, if it passes."""
    statement = _filter(_BY_ID, wanted, tx.dialect)
    parameters = {
        "event_id": event_id,
        "of_project": project_id,
        "within_tag": wanted.within_tag,
    }
    row = (await tx.execute(statement, parameters)).one_or_none()
    return _to_event(row) if row else None


async def find_events(tx: Transaction, event_ids: Iterable[str]) -> dict[str, Event]:
    """Return those events, of any project, by id."""
    ids = as_list(tx.dialect, sorted(set(event_ids)))
    rows = await tx.execute(_by_ids(tx.dialect), {"event_ids": ids})
    return {row.id: _to_event(row) for row in rows}


async def list_since(
    tx: Transaction, project_id: str, since: datetime, *, after: int, limit: int
) -> list[Event]:
    """Return up to *limit* events of the project from that moment on, after that place."""
    parameters = {
        "of_project": project_id,
        "since": since,
        "first_id": first_id_at(max(0, to_epoch_ms(since) - _CLOCKS_DIFFER_BY_MS)),
        "after": after,
        "limit": limit,
    }
    return [_to_event(row) for row in await tx.execute(_SINCE, parameters)]


async def find_tagged(tx: Transaction, tag: str, *, after: int, until: int) -> set[int]:
    """Return which events after one place, up to the other, have *tag*."""
    rows = await tx.execute(_tagged(tx.dialect), {"tag": tag, "after": after, "until": until})
    return set(rows.scalars())


async def _find_place_before(tx: Transaction, message_id: str) -> int:
    """Return a place before which there can be no event of that message."""
    try:
        made = made_at_ms(message_id) - _CLOCKS_DIFFER_BY_MS
    except ValueError:
        return 0
    since = {"since": first_id_at(max(0, made))}
    return ((await tx.execute(_FIRST_MADE_SINCE, since)).scalar_one_or_none() or 1) - 1


@lru_cache
def _by_ids(dialect: str) -> Executable:
    return select(events).where(is_one_of(dialect, events.c.id, "event_ids"))


@lru_cache
def _advance(dialect: str) -> Executable:
    statement = insert_for(dialect, log_places)
    return statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"seq": statement.excluded.seq},
        where=log_places.c.seq < statement.excluded.seq,
    )


@lru_cache
def _tagged(dialect: str) -> Executable:
    return select(events.c.seq).where(
        events.c.seq > bindparam("after"),
        events.c.seq <= bindparam("until"),
        is_about_tag(dialect, "tag"),
    )


def _filter(statement: Select[Any], wanted: EventFilter, dialect: str) -> Select[Any]:
    if wanted.types is not None:
        statement = statement.where(events.c.type.in_(sorted(wanted.types)))
    given = {
        events.c.message_id: wanted.message_id,
        events.c.device_id: wanted.device_id,
    }
    for column, value in given.items():
        if value is not None:
            statement = statement.where(column == value)
    if wanted.within_tag is not None:
        statement = statement.where(is_about_tag(dialect, "within_tag"))
    return statement


def _to_event(row: Row[Any]) -> Event:
    return Event(
        seq=row.seq,
        id=row.id,
        type=EventType(row.type),
        timestamp=row.timestamp,
        project_id=row.project_id,
        data=row.data,
        message_id=row.message_id,
        device_id=row.device_id,
        route_tag=row.route_tag,
        status_callback=row.status_callback,
    )
