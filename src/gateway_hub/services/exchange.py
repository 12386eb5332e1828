"""One exchange with a phone, one transaction: what it says is stored, then it is given work."""

import asyncio
from datetime import datetime

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.phone_posts import PhoneAnswer, PhonePost
from gateway_hub.services import intake, offering, reports
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.offering import Occasion
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.storage import inbound as inbound_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_RECHECK_SECONDS = 5.0
"""How long a held poll trusts the in-process hint before it asks the database again."""


class PhoneExchange:
    """What both adapters call once they know the device and have read its post."""

    def __init__(
        self, database: Database, states: DeviceStates, wakeups: Wakeups, clock: Clock
    ) -> None:
        self._database = database
        self._states = states
        self._wakeups = wakeups
        self._clock = clock

    async def exchange(
        self, device: Device, post: PhonePost, *, patience_seconds: float
    ) -> PhoneAnswer:
        """Store what *post* says and return what *device* is to send.

        After a return everything is on disk. While the database is out of reach it is tried again
        for *patience_seconds*, then UnavailableError: the phone keeps its messages and comes back.
        """
        stale = self._states.is_stale(device, post.facts.phone_clock_at, post.request_key)
        takes_work = post.takes_work and not stale
        if not stale:
            self._states.note(device, post.facts)
        if _says_nothing(post) and not (
            takes_work and await self._has_work(device, post.request_key)
        ):
            return PhoneAnswer()
        arrivals, told = intake.expect(post.messages), reports.expect(post.reports)

        async def use_case(tx: Transaction) -> PhoneAnswer:
            now = self._clock()
            return await self._run(tx, device, post, arrivals, told, now=now, takes_work=takes_work)

        return await self._database.write(
            use_case, patience_seconds=patience_seconds, lock_order=device.id
        )

    async def wait_for_work(self, device: Device, *, seconds: float) -> bool:
        """Wait until there is work for *device*, at most *seconds*; say whether there is.

        No database connection is held meanwhile.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        with self._wakeups.listen(device) as woken:
            while not self._wakeups.stopping:
                if await self._has_work(device):
                    return True
                left = deadline - loop.time()
                if left <= 0:
                    return False
                await woken.wait(min(left, _RECHECK_SECONDS))
        return False

    async def _has_work(self, device: Device, request_key: str | None = None) -> bool:
        async def query(tx: Transaction) -> bool:
            return await offering.has_work(tx, device, self._clock(), request_key)

        return await self._database.read(query)

    async def _run(
        self,
        tx: Transaction,
        device: Device,
        post: PhonePost,
        arrivals: tuple[intake.Arrival, ...],
        told: tuple[reports.Told, ...],
        *,
        now: datetime,
        takes_work: bool,
    ) -> PhoneAnswer:
        taken = intake.Intake((), ())
        if arrivals:
            region = await _region_of(tx, device)
            taken = await intake.record_arrivals(tx, device, region, arrivals, now)
        if told:
            await reports.record_reports(tx, device, told, now)
        if post.quarantined:
            await inbound_rows.put_aside(
                tx,
                project_id=device.project_id,
                device_id=device.id,
                items=post.quarantined,
                now=now,
            )
        repeated = bool(arrivals) and len(taken.repeated_ids) == len(arrivals)
        if not takes_work:
            return PhoneAnswer(repeated=repeated)
        occasion = Occasion(post.request_key, taken.message_ids, taken.repeated_ids)
        offers = await offering.offer(tx, device, occasion, now)
        return PhoneAnswer(offers, await offering.find_cancels(tx, device, now), repeated)


def _says_nothing(post: PhonePost) -> bool:
    return not (post.messages or post.reports or post.quarantined)


async def _region_of(tx: Transaction, device: Device) -> str | None:
    if device.region is not None:
        return device.region
    project = await project_rows.find_project(tx, device.project_id)
    return project.region if project else None
