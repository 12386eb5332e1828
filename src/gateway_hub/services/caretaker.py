"""What happens by itself as time passes: messages come due, expire, or are heard of no more."""

from dataclasses import replace
from datetime import datetime, timedelta

from gateway_hub.domain.budget import minute_of
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import LEASE_POLICIES, Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message, MessageError
from gateway_hub.domain.reporting import move, prefer, requeue
from gateway_hub.domain.retries import may_resend, may_try_again, next_try_at
from gateway_hub.domain.routing import served_queues
from gateway_hub.domain.silence import (
    SILENCE_LIMITS,
    Judgement,
    doubt,
    is_silent_too_long,
    judge_silence,
)
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.outbox import PREFERRED_FOR
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import outbox as outbox_rows
from gateway_hub.storage import usage as usage_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_AT_ONCE = 200
_KEEP_USAGE = timedelta(days=32)  # a limit may reach back 31


class Caretaker:
    """Moves what no request moves. Several processes may run it: rows are taken under locks."""

    def __init__(
        self, database: Database, states: DeviceStates, wakeups: Wakeups, clock: Clock
    ) -> None:
        self._database = database
        self._states = states
        self._wakeups = wakeups
        self._clock = clock

    async def run_due(self) -> int:
        """Do what is due by now and return how many messages it moved.

        Takes a limited number of each kind: call again until it returns 0.
        """

        async def use_case(tx: Transaction) -> int:
            now = self._clock()
            changed = [
                *await self._expire(tx, now),
                *await self._queue_scheduled(tx, now),
                *await self._release_preferred(tx, now),
                *await self._judge_overdue(tx, now),
                *await self._judge_working(tx, now),
            ]
            await message_rows.save_progress(tx, changed)
            self._wakeups.wake_after_commit(tx, changed)
            return len(changed)

        return await self._database.write(use_case)

    async def forget_old_usage(self) -> None:
        """Remove counts of segments that no window reaches back to any more."""

        async def use_case(tx: Transaction) -> None:
            await usage_rows.forget_before(tx, minute_of(self._clock() - _KEEP_USAGE))

        await self._database.write(use_case)

    async def _expire(self, tx: Transaction, now: datetime) -> list[Message]:
        """End what no phone took in time; what an attempt had before has failed."""
        late = await outbox_rows.lock_expired(tx, now=now, limit=_AT_ONCE)
        return [
            move(message, Status.FAILED, now, error=message.error)
            if message.attempt_count
            else move(message, Status.EXPIRED, now)
            for message in late
        ]

    async def _queue_scheduled(self, tx: Transaction, now: datetime) -> list[Message]:
        due = await outbox_rows.lock_due_scheduled(tx, now=now, limit=_AT_ONCE)
        queued = [move(message, Status.QUEUED, now, error=message.error) for message in due]
        return [await self._redirect(tx, message, now) for message in queued]

    async def _release_preferred(self, tx: Transaction, now: datetime) -> list[Message]:
        """Give back to its whole route what waited for one device of it long enough."""
        waited = await outbox_rows.lock_preferred_past(tx, now=now, limit=_AT_ONCE)
        return [
            replace(item, queue=item.route.key(item.project_id), preferred_until=None)
            for item in waited
        ]

    async def _judge_overdue(self, tx: Transaction, now: datetime) -> list[Message]:
        """Decide about what was handed over and never heard of again."""
        overdue = await outbox_rows.lock_overdue(tx, now=now, limit=_AT_ONCE)
        messages = await message_rows.lock_messages(tx, (item.message_id for item in overdue))
        devices = await device_rows.find_devices(tx, {item.device_id for item in overdue})
        changed: list[Message] = []
        for attempt in overdue:
            message, device = messages[attempt.message_id], devices[attempt.device_id]
            if await self._is_given_time(tx, message, attempt, device, now):
                continue
            await outbox_rows.save_attempts(tx, [doubt(attempt, device.protocol)])
            changed.append(await self._end_in_doubt(tx, message, now))
        return changed

    async def _is_given_time(
        self,
        tx: Transaction,
        message: Message,
        attempt: Attempt,
        device: Device,
        now: datetime,
    ) -> bool:
        """Say whether the phone may still speak: it is to be offered the message, or asked for it.

        Before a message is sent again elsewhere, a phone that knows how is asked to give it back.
        """
        online = self._states.is_online(device) and not device.paused
        judgement = judge_silence(attempt, device.protocol, online=online, now=now)
        if judgement is Judgement.OFFER_AGAIN:
            return True
        if not (online and may_resend(message, now) and self._asks_back(attempt, device)):
            return False
        lease_until = now + LEASE_POLICIES[device.protocol].first
        await outbox_rows.ask_back(tx, attempt.wire_id, now=now, lease_until=lease_until)
        return True

    async def _end_in_doubt(self, tx: Transaction, message: Message, now: datetime) -> Message:
        """Return *message* as uncertain, or waiting to be sent again if its sender wants that."""
        error = MessageError("device_silent", "the phone was given the message and fell silent")
        doubtful = move(message, Status.UNCERTAIN, now, error=error)
        if not may_resend(message, now):
            return doubtful
        return await self._redirect(tx, requeue(doubtful, now), now)

    def _asks_back(self, attempt: Attempt, device: Device) -> bool:
        knows_how = bool(self._states.current(device).takes_commands)
        return knows_how and attempt.cancel_requested_at is None

    async def _judge_working(self, tx: Transaction, now: datetime) -> list[Message]:
        """Decide about what a phone had and worked on, but has been silent of for too long."""
        since = now - min(SILENCE_LIMITS.values())
        silent = await outbox_rows.lock_working_silently(tx, since=since, limit=_AT_ONCE)
        messages = await message_rows.lock_messages(tx, (item.message_id for item in silent))
        devices = await device_rows.find_devices(tx, {item.device_id for item in silent})
        changed: list[Message] = []
        for attempt in silent:
            message, protocol = messages[attempt.message_id], devices[attempt.device_id].protocol
            if not is_silent_too_long(attempt, protocol, now):
                continue
            ended = doubt(attempt, protocol)
            if attempt.last_failed_at is not None:
                # Its last word was that a try failed, and no further try is to be expected.
                ended = replace(ended, status=Status.FAILED)
                changed.append(self._after_failure(message, now))
            else:
                changed.append(await self._end_in_doubt(tx, message, now))
            await outbox_rows.save_attempts(tx, [ended])
        return changed

    def _after_failure(self, message: Message, now: datetime) -> Message:
        failed = move(message, Status.FAILED, now, error=message.error)
        if may_try_again(failed, now):
            return requeue(failed, now, next_try_at(failed.attempt_count, now))
        return failed

    async def _redirect(self, tx: Transaction, message: Message, now: datetime) -> Message:
        """Send a further attempt through another device of the route, if one is there."""
        if message.status is not Status.QUEUED or not message.attempt_count:
            return message
        if message.route.device_id is not None:
            return message
        for device in await device_rows.list_devices(
            tx, message.project_id, before="~", limit=_AT_ONCE
        ):
            serves = message.route.key(message.project_id) in served_queues(device)
            there = self._states.is_online(device) and not device.paused
            if serves and there and device.id != message.device_id:
                return prefer(message, device.id, now + PREFERRED_FOR)
        return message
