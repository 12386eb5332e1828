"""Why a message is where it is: found out anew each time, from what is so now."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter

from gateway_hub.domain.clock import Clock, format_rfc3339
from gateway_hub.domain.devices import Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, Message, MessageDetails
from gateway_hub.domain.waiting import WaitingFor, WaitReason, explain_held, explain_scheduled
from gateway_hub.services import budgets
from gateway_hub.services.candidates import iterate_serving
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_MOST_BUDGETS = 200
"""How many devices are asked when they have room: each is a question to the database."""


class Waiting:
    """Explains messages to those who ask for one."""

    def __init__(self, database: Database, states: DeviceStates, clock: Clock) -> None:
        self._database = database
        self._states = states
        self._clock = clock

    async def explain(self, details: MessageDetails) -> WaitingFor | None:
        """Return what the message waits for; None if it waits for nothing."""
        message, now = details.message, self._clock()
        if message.direction is Direction.INBOUND or message.final:
            return None
        if message.status is Status.SCHEDULED:
            return _by_expiry(message, explain_scheduled(message))
        if message.status is Status.QUEUED:
            return await self._explain_queued(message, now)
        if message.device_protocol is None or not details.attempts:
            return None
        last = details.attempts[-1]
        return explain_held(last, message.device_protocol, now)

    async def _explain_queued(self, message: Message, now: datetime) -> WaitingFor | None:
        if message.expires_at is not None and message.expires_at <= now:
            return None

        async def query(tx: Transaction) -> WaitingFor:
            serving = await self._look(tx, message)
            if not serving.there:
                return serving.explain_absence()
            return await self._explain_budgets(tx, message, serving.there, now)

        waiting = await self._database.read(query)
        preferred_until = message.preferred_until
        if waiting.reason is WaitReason.TURN and preferred_until and now < preferred_until:
            detail = "One device of its route had better send it; after that time all may."
            waiting = WaitingFor(WaitReason.PREFERRED_DEVICE, detail, preferred_until)
        return _by_expiry(message, waiting)

    async def _look(self, tx: Transaction, message: Message) -> "_Serving":
        """Look at the devices of its route, until enough of them are there."""
        serving = _Serving()
        async for device in iterate_serving(tx, message.project_id, message.route):
            serving.count += 1
            serving.paused += device.paused
            if self._states.is_available(device):
                serving.there.append(device)
            elif not device.paused:
                seen_at = self._states.current(device).last_seen_at
                serving.seen_at = max(filter(None, (seen_at, serving.seen_at)), default=None)
            if len(serving.there) == _MOST_BUDGETS:
                break
        return serving

    async def _explain_budgets(
        self, tx: Transaction, message: Message, there: Sequence[Device], now: datetime
    ) -> WaitingFor:
        times: list[tuple[datetime, Device]] = []
        for device in there:
            free_at = await budgets.earliest_at(
                tx, device, message.segments or 1, message.contact_key, now
            )
            if free_at <= now:
                detail = "A device that is there is to take it: higher priorities and older first."
                return WaitingFor(WaitReason.TURN, detail)
            times.append((free_at, device))
        free_at, device = min(times, key=itemgetter(0))
        if not await budgets.may_send_to(tx, device, message.contact_key, now):
            detail = "The devices that are there may send to no further number this month."
            return WaitingFor(WaitReason.RECIPIENTS, detail, free_at)
        detail = "The budgets of the devices that are there are used up; none has room before that."
        return WaitingFor(WaitReason.BUDGET, detail, free_at)


@dataclass(slots=True)
class _Serving:
    """Devices that may send a message: how many, how many paused, who is *there*.

    *seen_at*: when the last of those that are away was seen.
    """

    count: int = 0
    paused: int = 0
    seen_at: datetime | None = None
    there: list[Device] = field(default_factory=list)

    def explain_absence(self) -> WaitingFor:
        """Return what a message waits for while nobody is there."""
        if not self.count:
            detail = "No device may send it: there is none of its route."
            return WaitingFor(WaitReason.NO_DEVICE, detail)
        if self.paused == self.count:
            detail = f"Devices that may send it: {self.count}, all of them paused."
            return WaitingFor(WaitReason.DEVICES_PAUSED, detail)
        seen = f"last seen {format_rfc3339(self.seen_at)}" if self.seen_at else "never seen"
        away = self.count - self.paused
        detail = f"Devices that may send it: {self.paused} paused, {away} away, {seen}."
        return WaitingFor(WaitReason.DEVICES_OFFLINE, detail)


def _by_expiry(message: Message, waiting: WaitingFor) -> WaitingFor:
    """Return *waiting*, which ends when the message expires, if not before."""
    expires_at = message.expires_at
    if expires_at is None or (waiting.until is not None and waiting.until <= expires_at):
        return waiting
    return replace(waiting, detail=f"{waiting.detail} Then it expires.", until=expires_at)
