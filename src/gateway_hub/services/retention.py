"""Removing what is older than it is to be kept, a little at a time: intake goes first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.retention import KEEP_RECEIPTS, Cutoffs, cutoffs_at
from gateway_hub.services.attachments import Attachments
from gateway_hub.storage import marks
from gateway_hub.storage import retention as retention_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.retention import (
    EVENTS,
    MESSAGES,
    QUARANTINE,
    RECEIPTS,
    WEBHOOK_TESTS,
    Kind,
    Removed,
    Stretch,
)
from gateway_hub.storage.transactions import Transaction, UseCase

AT_ONCE = 200
"""The most that is removed in one transaction."""

_TIMES_AS_LONG = 4
_LEAST_PAUSE_SECONDS = 0.05

RemoveRows = Callable[[Transaction, Sequence[str], Cutoffs], Awaitable[int]]
Pause = Callable[[float], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Purged:
    """How many messages, bad items that were put aside and events were removed, or would be."""

    messages: int = 0
    quarantined: int = 0
    events: int = 0

    @property
    def total(self) -> int:
        """How many things that are."""
        return self.messages + self.quarantined + self.events


class Retention:
    """Removes old messages, with all that belongs to them, old events, and bad items put aside.

    What is not over is never removed, however old: `domain.retention` says what is. Several
    processes may do it at once: what one has locked the others leave to it.
    """

    def __init__(
        self,
        database: Database,
        attachments: Attachments,
        clock: Clock,
        *,
        keep: timedelta | None,
        keep_events: timedelta | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        """Keep things for *keep*, events no longer than *keep_events* either; None: for ever."""
        self._database = database
        self._attachments = attachments
        self._clock = clock
        self._keep = keep
        self._keep_events = keep_events
        self._pause = pause

    async def remove_old(self) -> None:
        """Remove what is older than things are kept here; nothing of what is kept for ever."""
        if self._keep is not None:
            purged = await self.purge(self._keep)
        else:
            purged = Purged()
        limits = [limit for limit in (self._keep_events, self._keep) if limit is not None]
        if limits and min(limits) != self._keep:
            await self._purge_events(min(limits), purged, lambda _purged: None)
        if purged.total:
            log.info(
                "old_removed",
                messages=purged.messages,
                quarantined=purged.quarantined,
                events=purged.events,
            )

    async def purge(
        self, keep: timedelta, on_step: Callable[[Purged], None] = lambda _purged: None
    ) -> Purged:
        """Remove what has been over for longer than *keep*; tell *on_step* how far it has come."""
        now, purged = self._clock(), Purged()
        cutoffs = cutoffs_at(now, keep)
        async for keys in self._find(MESSAGES, cutoffs):
            purged.messages += await self._remove_messages(keys, cutoffs)
            on_step(purged)
        async for keys in self._find(QUARANTINE, cutoffs):
            purged.quarantined += await self._remove(QUARANTINE, keys, cutoffs)
            on_step(purged)
        of_receipts = cutoffs_at(now, max(keep, KEEP_RECEIPTS))
        async for keys in self._find(RECEIPTS, of_receipts):
            await self._remove(RECEIPTS, keys, of_receipts)
        await self._purge_events(keep, purged, on_step)
        return purged

    async def _purge_events(
        self, keep: timedelta, purged: Purged, on_step: Callable[[Purged], None]
    ) -> None:
        cutoffs = cutoffs_at(self._clock(), keep)

        def removing(remove: RemoveRows, keys: Sequence[str]) -> UseCase[int]:
            async def use_case(tx: Transaction) -> int:
                return await remove(tx, keys, cutoffs)

            return use_case

        async for keys in self._find(EVENTS, cutoffs):
            work = removing(retention_rows.remove_events, keys)
            purged.events += await self._database.write(work, alone=True)
            on_step(purged)
        async for keys in self._find(WEBHOOK_TESTS, cutoffs):
            work = removing(retention_rows.remove_webhook_tests, keys)
            await self._database.write(work, alone=True)

    async def count(self, keep: timedelta) -> Purged:
        """Return what `purge` would remove now."""
        cutoffs = cutoffs_at(self._clock(), keep)
        return Purged(
            messages=sum([len(keys) async for keys in self._find(MESSAGES, cutoffs)]),
            quarantined=sum([len(keys) async for keys in self._find(QUARANTINE, cutoffs)]),
            events=sum([len(keys) async for keys in self._find(EVENTS, cutoffs)]),
        )

    async def _find(self, kind: Kind, cutoffs: Cutoffs) -> AsyncIterator[Sequence[str]]:
        """Yield what may be removed, `AT_ONCE` at the most, and rest several times as long as was
        worked: others have the database for themselves meanwhile."""
        loop = asyncio.get_running_loop()
        after: str | None = ""
        while after is not None:
            began = loop.time()
            stretch = await self._read(kind, cutoffs, after)
            if stretch.keys:
                yield stretch.keys
            after = stretch.next_after
            took = loop.time() - began
            await self._pause(max(_LEAST_PAUSE_SECONDS, _TIMES_AS_LONG * took))

    async def _read(self, kind: Kind, cutoffs: Cutoffs, after: str) -> Stretch:
        async def query(tx: Transaction) -> Stretch:
            return await retention_rows.find_over(tx, kind, cutoffs, after=after, limit=AT_ONCE)

        return await self._database.read(query)

    async def _remove(self, kind: Kind, keys: Sequence[str], cutoffs: Cutoffs) -> int:
        async def use_case(tx: Transaction) -> int:
            return await retention_rows.remove(tx, kind, keys, cutoffs)

        return await self._database.write(use_case, alone=True)

    async def _remove_messages(self, keys: Sequence[str], cutoffs: Cutoffs) -> int:
        async def use_case(tx: Transaction) -> Removed:
            await marks.raise_mark(tx, marks.REMOVED_UNTIL, cutoffs.quiet_since)
            return await retention_rows.remove_messages(tx, keys, cutoffs)

        removed = await self._database.write(use_case, alone=True)
        # Not before the commit: then a message would be shown whose bytes are gone.
        await self._attachments.remove(removed.storage_keys)
        return removed.messages
