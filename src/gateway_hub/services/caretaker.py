"""What happens by itself as time passes: messages come due, expire, or are heard of no more."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from gateway_hub.domain.budget import minute_of, month_of
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import LEASE_POLICIES, Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message, MessageError
from gateway_hub.domain.reporting import end_waiting, move, release, requeue
from gateway_hub.domain.retries import may_resend, may_try_again, next_try_at
from gateway_hub.domain.silence import (
    SILENCE_LIMITS,
    Judgement,
    doubt,
    is_silent_too_long,
    judge_silence,
)
from gateway_hub.services.app_memory import may_have_forgotten
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.doubts import end_in_doubt, redirect
from gateway_hub.services.removal import let_go
from gateway_hub.services.sticky_senders import stick
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import queues as queue_rows
from gateway_hub.storage import usage as usage_rows
from gateway_hub.storage.attempts import OverdueAttempt
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_AT_ONCE = 200
_RECENTLY = timedelta(minutes=1)
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
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
            moved = 0
            for step in (
                self._expire,
                self._queue_scheduled,
                self._release_preferred,
                self._let_go_of_deleted,
                self._judge_overdue,
                self._judge_working,
            ):
                changed = await step(tx, now)
                # Before the next step, which may meet the same message.
                await message_rows.save_progress(tx, changed)
                self._wakeups.wake_after_commit(tx, changed)
                moved += len(changed)
            return moved

        return await self._database.write(use_case)

    async def let_go_of_all_deleted(self) -> None:
        """Move on what still waits for deleted devices, however long ago they were deleted.

        That is nothing, unless the hub was stopped while a device with many messages was deleted.
        """
        device_ids = await self._list_deleted(after="")
        while device_ids:
            while await self._let_go(device_ids):
                pass
            device_ids = await self._list_deleted(after=device_ids[-1])

    async def forget_old_usage(self) -> None:
        """Remove what devices sent so long ago that no limit reaches back to it any more."""
        now = self._clock()
        minute, month = minute_of(now - _KEEP_USAGE), month_of(now)

        async def query(tx: Transaction) -> list[str]:
            return await device_rows.list_ids(tx, after=after, limit=_AT_ONCE)

        async def use_case(tx: Transaction) -> None:
            await usage_rows.forget_before(tx, device_ids, minute=minute, month=month)

        after = ""
        while device_ids := await self._database.read(query):
            await self._database.write(use_case)
            after = device_ids[-1]

    async def _list_deleted(self, *, after: str) -> list[str]:
        async def query(tx: Transaction) -> list[str]:
            return await device_rows.list_deleted(tx, since=_EVER, after=after, limit=_AT_ONCE)

        return await self._database.read(query)

    async def _let_go(self, device_ids: Sequence[str]) -> int:
        async def use_case(tx: Transaction) -> int:
            changed = await let_go(tx, self._states, device_ids, self._clock())
            await message_rows.save_progress(tx, changed)
            self._wakeups.wake_after_commit(tx, changed)
            return len(changed)

        return await self._database.write(use_case)

    async def _let_go_of_deleted(self, tx: Transaction, now: datetime) -> list[Message]:
        """Move on what was left when a device was deleted, or came to it at that moment."""
        recent = await device_rows.list_deleted(tx, since=now - _RECENTLY, after="", limit=_AT_ONCE)
        return await let_go(tx, self._states, recent, now)

    async def _expire(self, tx: Transaction, now: datetime) -> list[Message]:
        """End what no phone took in time, as the attempt left it that it had before, if any."""
        late = await queue_rows.lock_expired(tx, now=now, limit=_AT_ONCE)
        last = await attempt_rows.find_last_attempts(tx, late)
        return [end_waiting(message, last.get(message.id), now) for message in late]

    async def _queue_scheduled(self, tx: Transaction, now: datetime) -> list[Message]:
        due = await queue_rows.lock_due_scheduled(tx, now=now, limit=_AT_ONCE)
        queued = [move(message, Status.QUEUED, now, error=message.error) for message in due]
        firsts = await stick(tx, self._states, queued, now)
        return [await redirect(tx, self._states, message, now) for message in firsts]

    async def _release_preferred(self, tx: Transaction, now: datetime) -> list[Message]:
        """Give back to its whole route what waited for one device of it long enough."""
        waited = await queue_rows.lock_preferred_past(tx, now=now, limit=_AT_ONCE)
        return [release(item) for item in waited]

    async def _judge_overdue(self, tx: Transaction, now: datetime) -> list[Message]:
        """Decide about what was handed over and never heard of again."""
        given_up = await self._find_given_up(tx, now)
        overdue = await attempt_rows.lock_overdue(tx, given_up, now=now, limit=_AT_ONCE)
        messages = await message_rows.lock_messages(tx, (item.message_id for item in overdue))
        devices = await device_rows.find_devices(tx, {item.device_id for item in overdue})
        changed: list[Message] = []
        for attempt in overdue:
            message, device = messages[attempt.message_id], devices[attempt.device_id]
            if await self._is_given_time(tx, message, attempt, device, now):
                continue
            await attempt_rows.save_attempts(tx, [doubt(attempt, device.protocol)])
            changed.append(await end_in_doubt(tx, self._states, message, device, now))
        return changed

    async def _find_given_up(self, tx: Transaction, now: datetime) -> list[str]:
        """Return the wire ids of which no sign is to be expected from their phone as it is.

        Only these are locked then: a phone that asks for the others must find them free.
        """
        given_up: list[str] = []
        page: list[OverdueAttempt] = []
        while len(given_up) < _AT_ONCE:
            after = page[-1].attempt if page else None
            page = await attempt_rows.find_overdue(tx, now=now, after=after, limit=_AT_ONCE)
            if not page:
                break
            attempts = [item.attempt for item in page]
            devices = await device_rows.find_devices(tx, {item.device_id for item in attempts})
            for item in page:
                judged = await self._judge(tx, item, devices[item.attempt.device_id], now)
                if judged is not Judgement.OFFER_AGAIN:
                    given_up.append(item.attempt.wire_id)
        return given_up

    async def _judge(
        self, tx: Transaction, overdue: OverdueAttempt, device: Device, now: datetime
    ) -> Judgement:
        judged = judge_silence(
            overdue.attempt,
            device.protocol,
            expires_at=overdue.expires_at,
            lost=self._states.is_lost(device),
            now=now,
        )
        current = self._states.with_current(device)
        if judged is not Judgement.UNCERTAIN and await may_have_forgotten(
            tx, current, overdue.attempt
        ):
            return Judgement.UNCERTAIN
        return judged

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
        overdue = OverdueAttempt(attempt, message.expires_at)
        if await self._judge(tx, overdue, device, now) is Judgement.OFFER_AGAIN:
            return True
        asked_back = not self._states.is_lost(device) and self._asks_back(attempt, device)
        if not (asked_back and may_resend(message, now)):
            return False
        lease_until = now + LEASE_POLICIES[device.protocol].first
        await attempt_rows.ask_back(tx, attempt.wire_id, now=now, lease_until=lease_until)
        self._wakeups.wake_to_ask_back(tx, device)
        return True

    def _asks_back(self, attempt: Attempt, device: Device) -> bool:
        knows_how = bool(self._states.current(device).takes_commands)
        return knows_how and attempt.cancel_requested_at is None

    async def _judge_working(self, tx: Transaction, now: datetime) -> list[Message]:
        """Decide about what a phone had and worked on, but has been silent of for too long."""
        since = now - min(SILENCE_LIMITS.values())
        silent = await attempt_rows.lock_working_silently(tx, since=since, limit=_AT_ONCE)
        messages = await message_rows.lock_messages(tx, (item.message_id for item in silent))
        devices = await device_rows.find_devices(tx, {item.device_id for item in silent})
        changed: list[Message] = []
        for attempt in silent:
            message, device = messages[attempt.message_id], devices[attempt.device_id]
            if not is_silent_too_long(attempt, device.protocol, now):
                continue
            ended = doubt(attempt, device.protocol)
            if attempt.last_failed_at is not None:
                # Its last word was that a try failed, and no further try is to be expected.
                reason = attempt.error.message if attempt.error else "the phone gave no reason"
                error = MessageError("device_failed", reason)
                ended = replace(ended, status=Status.FAILED, error=error)
                changed.append(self._after_failure(message, error, now))
            else:
                changed.append(await end_in_doubt(tx, self._states, message, device, now))
            await attempt_rows.save_attempts(tx, [ended])
        return changed

    def _after_failure(self, message: Message, error: MessageError, now: datetime) -> Message:
        failed = move(message, Status.FAILED, now, error=error)
        if may_try_again(failed, now):
            return requeue(failed, now, next_try_at(failed.attempt_count, now))
        return failed
