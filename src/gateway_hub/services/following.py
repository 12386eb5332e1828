"""What keeps the memory of this process in step with the database and with its other processes.

Notices say at once what happened elsewhere; whatever they did not say is found by looking.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog

from gateway_hub.domain.clock import Clock, from_epoch_ms
from gateway_hub.services.directory import Directory
from gateway_hub.services.event_tail import EventTail
from gateway_hub.services.notices import About, Notice, parse_notice
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.services.work_hints import WorkHints
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.devices import ChangedDevice
from gateway_hub.storage.notice_line import MISSED
from gateway_hub.storage.transactions import Transaction

_CLOCKS_DIFFER_BY = timedelta(minutes=1)
_MOST_CHANGED = 10_000

TakeIn = Callable[[Notice], None]

log = structlog.get_logger(__name__)


class Following:
    """Hears what other processes say, and looks for what it did not hear."""

    def __init__(
        self,
        database: Database,
        *,
        directory: Directory,
        hints: WorkHints,
        wakeups: Wakeups,
        tail: EventTail,
        clock: Clock,
    ) -> None:
        self._database = database
        self._directory = directory
        self._hints = hints
        self._wakeups = wakeups
        self._clock = clock
        self._looked_at = clock()
        self._behind = asyncio.Event()
        self._take_in: dict[About, TakeIn] = {
            About.QUEUED: lambda notice: wakeups.rouse(notice.subject, notice.number),
            About.HELD: lambda notice: hints.learn_held(
                notice.subject, from_epoch_ms(notice.number)
            ),
            About.ASKED_BACK: lambda notice: hints.learn_asked_back(notice.subject),
            About.DEVICE: lambda notice: wakeups.let_go(notice.subject),
            About.DIRECTORY: lambda _notice: directory.forget(),
            About.EVENTS: lambda _notice: tail.rouse(),
        }

    async def listen(self) -> None:
        """Stay within hearing of the other processes until cancelled."""
        await self._database.line.keep_open(self.hear, self._behind.set)

    def hear(self, text: str) -> None:
        """Take in what another process said; what cannot be understood is passed over."""
        if text == MISSED:
            self._behind.set()
            return
        notice = parse_notice(text)
        if notice is None:
            return
        try:
            self._take_in[notice.about](notice)
        except ValueError:
            log.warning("notice_not_understood", about=notice.about)

    async def catch_up(self) -> None:
        """Wait until something may have been missed, then look for all of it."""
        await self._behind.wait()
        self._behind.clear()
        await self.refresh()
        await self.follow()

    async def refresh(self) -> None:
        """Read anew where work waits, and wake those who hold a poll and were not told of it."""
        before, found = await self._hints.refresh()
        more = [
            device.id
            for device in self._wakeups.waiting_devices()
            if found.tells_more_of(device.id, before)
        ]
        self._wakeups.rouse_all(found.queues, more)

    async def follow(self) -> None:
        """Forget what another process has changed; let go of phones that are not what they were."""
        now = self._clock()
        if await self._directory.follow() and self._wakeups.waiting:
            await self._let_go_of_changed()
        self._looked_at = now

    async def _let_go_of_changed(self) -> None:
        since = self._looked_at - _CLOCKS_DIFFER_BY

        async def query(tx: Transaction) -> list[ChangedDevice]:
            return await device_rows.list_changed(tx, since=since, limit=_MOST_CHANGED)

        for changed in await self._database.read(query):
            self._wakeups.let_go(changed.id, None if changed.deleted else changed.updated_at)
