"""One exchange with a phone, one transaction: what it says is stored, then it is given work."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import LEASE_POLICIES, Device
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.phone_posts import PhoneAnswer, PhonePost
from gateway_hub.services import intake, offering, reports
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.directory import Directory
from gateway_hub.services.offering import Occasion
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.services.work_hints import WorkHints
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import inbound as inbound_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class _Turn:
    """What one device told, ready to be stored, and whether it is to be given work."""

    device: Device
    post: PhonePost
    arrivals: tuple[intake.Arrival, ...]
    told: tuple[reports.Told, ...]
    takes_work: bool
    key: str
    """Stands for the request in what is stored: made here where the phone gives none."""


class PhoneExchange:
    """What both adapters call once they know the device and have read its post."""

    def __init__(
        self,
        database: Database,
        states: DeviceStates,
        directory: Directory,
        *,
        hints: WorkHints,
        wakeups: Wakeups,
        clock: Clock,
    ) -> None:
        self._database = database
        self._states = states
        self._directory = directory
        self._hints = hints
        self._wakeups = wakeups
        self._clock = clock

    async def exchange(
        self, device: Device, post: PhonePost, *, patience_seconds: float
    ) -> PhoneAnswer:
        """Store what *post* says and return what *device* is to send.

        After a return everything is on disk. While the database is out of reach it is tried again
        for *patience_seconds*, then UnavailableError: the phone keeps its messages and comes back.
        A phone that has nothing to say costs no query unless there may be work for it.
        """
        stale = self._states.is_stale(device, post.facts.phone_clock_at, post.request_key)
        takes_work = post.takes_work and not stale
        says_nothing = not (post.messages or post.reports or post.quarantined)
        if not stale:
            self._states.note(device, post.facts, is_poll=says_nothing)
        if says_nothing and not (takes_work and await self._has_work(device, post.request_key)):
            return PhoneAnswer(may_wait=takes_work)
        region = await self._directory.region_of(device) if post.messages else None
        turn = _Turn(
            device,
            post,
            intake.expect(device, region, post.messages),
            reports.expect(device, post.reports),
            takes_work,
            post.request_key or new_id(),
        )
        return await self._database.write_together(
            self._run, turn, patience_seconds=patience_seconds, lock_order=device.id
        )

    async def collect(
        self, device: Device, request_key: str | None, *, patience_seconds: float
    ) -> PhoneAnswer:
        """Return what *device*, whose poll was held after its `exchange`, is to send now.

        As the device is by now: it may have been paused, changed or removed meanwhile.
        """
        occasion = Occasion(request_key or new_id(), request_key is not None)

        async def use_case(tx: Transaction) -> PhoneAnswer:
            current = await device_rows.find_device(tx, device.project_id, device.id)
            if current is None:
                return PhoneAnswer()
            return await self._offer(tx, current, occasion, self._clock())

        try:
            return await self._database.write(
                use_case, patience_seconds=patience_seconds, lock_order=device.id
            )
        finally:
            self._wakeups.pass_on(device)

    async def wait_for_work(
        self, device: Device, *, seconds: float, hung_up: asyncio.Future[None] | None = None
    ) -> bool:
        """Wait until `collect` is worth while for *device*, at most *seconds*; say whether it is.

        The wait also ends when *hung_up* is done. No database connection is held meanwhile, and
        the database is asked only if there may be something, or the lease of what the device
        holds has ended.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        with self._wakeups.listen(device) as waiter:
            if hung_up is not None:
                hung_up.add_done_callback(lambda _done: waiter.wake())
            while not self._wakeups.stopping and not (hung_up and hung_up.done()):
                if waiter.outdated or await self._has_work(device):
                    return True
                left = deadline - loop.time()
                if left <= 0:
                    return False
                await waiter.wait(min(left, self._seconds_until_due(device)))
        if hung_up and hung_up.done():
            # What it was woken for is for another phone now.
            self._wakeups.pass_on(device)
        return False

    def _seconds_until_due(self, device: Device) -> float:
        """Return when a lease ends that has not ended yet: one that has was asked about."""
        due_at, now = self._hints.next_due(device), self._clock()
        if due_at is None or due_at <= now:
            return math.inf
        return (due_at - now).total_seconds()

    async def _has_work(self, device: Device, request_key: str | None = None) -> bool:
        if not self._hints.may_have_work(device, request_key):
            return False

        async def query(tx: Transaction) -> bool:
            current = self._states.with_current(device)
            return await offering.has_work(tx, current, self._clock(), request_key)

        return await self._database.read(query)

    async def _run(self, tx: Transaction, turns: Sequence[_Turn]) -> list[PhoneAnswer]:
        """Store what all the devices told, then find work for each."""
        now = self._clock()
        aside = [(turn.device, item) for turn in turns for item in turn.post.quarantined]
        stored_as = await intake.record_arrivals(
            tx, [arrival for turn in turns for arrival in turn.arrivals], aside, now
        )
        told = [item for turn in turns for item in turn.told]
        changed = await reports.record_reports(tx, told, self._states, aside, now)
        self._wakeups.wake_after_commit(tx, changed)
        await inbound_rows.put_aside(tx, aside, now)
        return [await self._answer(tx, turn, stored_as, now) for turn in turns]

    async def _answer(
        self, tx: Transaction, turn: _Turn, stored_as: Mapping[str, str], now: datetime
    ) -> PhoneAnswer:
        message_ids = tuple(stored_as[arrival.id] for arrival in turn.arrivals)
        repeated_ids = tuple(
            stored_as[arrival.id]
            for arrival in turn.arrivals
            if stored_as[arrival.id] != arrival.id
        )
        repeated = bool(repeated_ids) and len(repeated_ids) == len(message_ids)
        device, own_key = turn.device, turn.post.request_key
        if not turn.takes_work:
            return PhoneAnswer(repeated=repeated, may_wait=False)
        # What the first try of this may have handed over, no hint tells of.
        known_to_hold = repeated_ids or tx.is_repeat
        if not (known_to_hold or self._hints.may_have_work(device, own_key)):
            return PhoneAnswer(repeated=repeated)
        occasion = Occasion(turn.key, own_key is not None, message_ids, repeated_ids)
        return replace(await self._offer(tx, device, occasion, now), repeated=repeated)

    async def _offer(
        self, tx: Transaction, device: Device, occasion: Occasion, now: datetime
    ) -> PhoneAnswer:
        device = self._states.with_current(device)
        offers = await offering.offer(tx, device, occasion, now)
        if offers:
            until = now + LEASE_POLICIES[device.protocol].first
            tx.after_commit(partial(self._hints.note_held, device.id, until))
        return PhoneAnswer(offers, await offering.find_cancels(tx, device, now))
