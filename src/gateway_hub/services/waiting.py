"""Why a message is where it is: found out anew each time, from what is so now."""

from collections.abc import Sequence
from datetime import datetime

from gateway_hub.domain.clock import Clock
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
        if message.direction is Direction.INBOUND:
            return None
        if message.status is Status.SCHEDULED:
            return explain_scheduled(message)
        if message.status is Status.QUEUED:
            return await self._explain_queued(message, now)
        if message.device_protocol is None or not details.attempts:
            return None
        last = details.attempts[-1]
        return explain_held(last, message.device_protocol, now)

    async def _explain_queued(self, message: Message, now: datetime) -> WaitingFor | None:
        if message.expires_at is not None and message.expires_at <= now:
            return None
        if message.preferred_until is not None and now < message.preferred_until:
            detail = "One device of its route had better send it; after that time all may."
            return WaitingFor(WaitReason.PREFERRED_DEVICE, detail, message.preferred_until)

        async def query(tx: Transaction) -> WaitingFor:
            serving = paused = 0
            there: list[Device] = []
            async for device in iterate_serving(tx, message.project_id, message.route):
                serving += 1
                paused += device.paused
                if self._states.is_available(device):
                    there.append(device)
                if len(there) == _MOST_BUDGETS:
                    break
            if not there:
                return _explain_absence(serving, paused)
            return await self._explain_budgets(tx, message, there, now)

        return await self._database.read(query)

    async def _explain_budgets(
        self, tx: Transaction, message: Message, there: Sequence[Device], now: datetime
    ) -> WaitingFor:
        earliest: datetime | None = None
        for device in there:
            free_at = await budgets.earliest_at(
                tx, device, message.segments or 1, message.contact_key, now
            )
            if free_at <= now:
                detail = "A device that is there is to take it: higher priorities and older first."
                return WaitingFor(WaitReason.TURN, detail)
            earliest = min(earliest or free_at, free_at)
        detail = "The budgets of the devices that are there are used up; the first is free then."
        return WaitingFor(WaitReason.BUDGET, detail, earliest)


def _explain_absence(serving: int, paused: int) -> WaitingFor:
    if not serving:
        return WaitingFor(
            WaitReason.NO_DEVICE, "No device may send it: there is none of its route."
        )
    if paused == serving:
        detail = f"Devices that may send it: {paused}, all of them paused."
        return WaitingFor(WaitReason.DEVICES_PAUSED, detail)
    detail = f"Devices that may send it: {serving}, of them paused {paused}, the others away."
    return WaitingFor(WaitReason.DEVICES_OFFLINE, detail)
