"""Puts events where all can read them, in one order, and gives them to those who subscribed.

On SQLite the log is written by those who make the events; on PostgreSQL they put them into an
inbox, and whoever of all processes holds the lock moves them into the log, milliseconds later.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from gateway_hub.domain.events import Event
from gateway_hub.services.notices import About, Notice, Tell
from gateway_hub.storage import events as event_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

AT_ONCE = 1000
"""The most events that are moved, or given to subscribers, in one transaction."""

_NET_SECONDS = 1.0


class Subscribers(Protocol):
    """Those who are to be told of events, each exactly once."""

    @property
    def are_none(self) -> bool:
        """Whether nobody subscribed, as far as this process knows."""

    async def starts_after(self, tx: Transaction, place: int) -> int | None:
        """Return after which place of the log, *place* or later, there may be events for them.

        None: there are none, and nobody is waiting for any.
        """

    async def take(self, tx: Transaction, events: Sequence[Event]) -> None:
        """Take what they are to be told from *events*, which follow one another in the log.

        Part of the transaction in which it is noted that they have been given these.
        """


@dataclass(frozen=True, slots=True)
class _Done:
    """How many events were moved into the log, and how many given to subscribers."""

    moved: int
    given: int


class Publisher:
    """Fills the log, and goes through it for those who subscribed. Every process has one."""

    PAUSE_SECONDS = 0.01
    """How long it waits after each time: what comes meanwhile is done as one."""

    def __init__(
        self,
        database: Database,
        tell: Tell,
        *,
        on_published: Callable[[], None],
        subscribers: Subscribers | None = None,
    ) -> None:
        """*tell* lets the other processes know of new events, *on_published* those in this one."""
        self._database = database
        self._tell = tell
        self._on_published = on_published
        self._subscribers = subscribers
        self._woken = asyncio.Event()

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to do here, ever."""
        return self._subscribers is not None or not self._database.is_sqlite

    def note_events(self) -> None:
        """Take in that events were committed by this process; never waits."""
        if not self._database.is_sqlite:
            self._woken.set()
            return
        self._on_published()
        # No other process can have brought somebody: there is nothing to ask the database for.
        if self._subscribers is not None and not self._subscribers.are_none:
            self._woken.set()

    async def publish_due(self) -> None:
        """Wait until there may be something to do, a second at most, and do all of it."""
        woken = await self._wait()
        sure = woken and not self._database.is_sqlite
        if sure or await self._is_anything_due():
            await self.publish_all()

    async def publish_all(self) -> None:
        """Do all there is to do now, or wait until another process has done it."""
        while True:
            # On PostgreSQL it holds a lock for which nobody is to wait while others' work is done.
            done = await self._database.write(self._publish, alone=not self._database.is_sqlite)
            if done is None:
                await asyncio.sleep(self.PAUSE_SECONDS)
                if not await self._is_anything_due():
                    return
                continue
            if done.moved:
                self._on_published()
                self._tell(Notice(About.EVENTS))
            if max(done.moved, done.given) < AT_ONCE:
                return

    async def _wait(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(_NET_SECONDS):
                await self._woken.wait()
        woken = self._woken.is_set()
        self._woken.clear()
        return woken

    async def _is_anything_due(self) -> bool:
        async def query(tx: Transaction) -> bool:
            if not self._database.is_sqlite and await event_rows.any_waits(tx):
                return True
            place = await self._find_start(tx)
            return place is not None and bool(await event_rows.list_after(tx, place, limit=1))

        return await self._database.read(query)

    async def _publish(self, tx: Transaction) -> _Done | None:
        """Do some of it; None if another process is at it."""
        moved: int | None = 0
        if not self._database.is_sqlite:
            moved = await event_rows.publish(tx, limit=AT_ONCE)
        return None if moved is None else _Done(moved, await self._give(tx))

    async def _give(self, tx: Transaction) -> int:
        """Give the next events to those who subscribed; return how many these are."""
        place = await self._find_start(tx)
        if self._subscribers is None or place is None:
            return 0
        events = await event_rows.list_after(tx, place, limit=AT_ONCE)
        if events:
            await self._subscribers.take(tx, events)
            await event_rows.move_place(tx, event_rows.FANNED_OUT, events[-1].seq)
        return len(events)

    async def _find_start(self, tx: Transaction) -> int | None:
        """Return after which place events are to be given; None if nobody is there to take any."""
        if self._subscribers is None:
            return None
        return await self._subscribers.starts_after(
            tx, await event_rows.find_place(tx, event_rows.FANNED_OUT)
        )
