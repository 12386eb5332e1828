"""What is known in memory about where work is waiting, so that a phone without any costs no query.

Only hints: they may say "ask" where there is nothing, but "nothing" where there is something for
no longer than `REFRESH_SECONDS`, when they are read anew.
"""

import asyncio
from datetime import datetime, timedelta

from gateway_hub.domain.clock import Clock, to_epoch_ms
from gateway_hub.domain.devices import Device
from gateway_hub.domain.routing import served_queues
from gateway_hub.services.notices import About, Notice, Tell, tell_nobody
from gateway_hub.storage import work as work_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction
from gateway_hub.storage.work import OpenWork


class WorkHints:
    """Which queues hold messages, and which devices hold some that may be offered again."""

    REFRESH_SECONDS = 5.0
    _TRUSTED_FOR = timedelta(seconds=4 * REFRESH_SECONDS)

    def __init__(self, database: Database, clock: Clock, tell: Tell = tell_nobody) -> None:
        """*tell* lets the other processes learn what happens to devices here."""
        self._database = database
        self._clock = clock
        self._tell = tell
        self._known = OpenWork()
        self._told = OpenWork()
        self._read_at: datetime | None = None
        self._reading = asyncio.Lock()

    def note_queued(self, queue: str) -> None:
        """Take in that *queue* has got a message."""
        for work in (self._known, self._told):
            work.queues.add(queue)

    def note_held(self, device_id: str, until: datetime) -> None:
        """Take in that the device was handed messages whose leases end no earlier than *until*."""
        self.learn_held(device_id, until)
        self._tell(Notice(About.HELD, device_id, to_epoch_ms(until)))

    def note_asked_back(self, device_id: str) -> None:
        """Take in that the device is to be asked to give a message back."""
        self.learn_asked_back(device_id)
        self._tell(Notice(About.ASKED_BACK, device_id))

    def learn_held(self, device_id: str, until: datetime) -> None:
        """Take in what another process noted as held."""
        for work in (self._known, self._told):
            work.held[device_id] = min(until, work.held.get(device_id, until))

    def learn_asked_back(self, device_id: str) -> None:
        """Take in that another process has a message to ask the device for."""
        for work in (self._known, self._told):
            work.asked_back.add(device_id)

    def may_hold(self, queue: str) -> bool:
        """Say whether there may be a message in *queue*."""
        return queue in self._known.queues

    def may_have_work(self, device: Device, request_key: str | None = None) -> bool:
        """Say whether it is worth asking the database what *device* is to do.

        A request that may be a repeat is worth it as soon as the device holds anything.
        """
        now = self._clock()
        if self._read_at is None or now - self._read_at > self._TRUSTED_FOR:
            return True
        known = self._known
        if device.id in known.asked_back:
            return True
        due_at = known.held.get(device.id)
        if due_at is not None and (request_key is not None or due_at <= now):
            return True
        if not known.queues or device.paused:
            return False
        return not known.queues.isdisjoint(served_queues(device))

    def next_due(self, device: Device) -> datetime | None:
        """Return when a message that *device* holds may be offered again."""
        return self._known.held.get(device.id)

    async def refresh(self) -> tuple[OpenWork, OpenWork]:
        """Read anew what the database holds; return what was known before, and what is now."""

        async def query(tx: Transaction) -> OpenWork:
            return await work_rows.find_open_work(tx, self._clock())

        async with self._reading:
            self._told = OpenWork()  # what is told while the database is read may be newer
            found = await self._database.read(query)
            found.add(self._told)
            before, self._known = self._known, found
            self._read_at = self._clock()
        return before, found
