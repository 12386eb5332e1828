"""What phones tell of themselves at each post: kept in memory, written to the database in batches.

A phone that polls twice a minute would otherwise cost a write each time. What a crash loses is a
few seconds of "last seen", told again by the next post.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from gateway_hub.domain.clock import Clock, to_epoch_ms
from gateway_hub.domain.devices import Device, DeviceState, PhoneFacts
from gateway_hub.domain.silence import is_online, learn_gap
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

STALE_AFTER = timedelta(seconds=120)
"""A post whose clock is this far behind what it should be may be a recording played back."""

_WRITTEN_WITHIN = timedelta(seconds=60)
"""How long after a device was seen another process may write it, by clocks that differ."""

_REBASE_AFTER = 3
_PACE_TOLERANCE = timedelta(seconds=30)
_REQUESTS_REMEMBERED = 32
_STATE_NAMES = tuple(field.name for field in fields(DeviceState))
_SAME_NAMED = tuple(field.name for field in fields(PhoneFacts) if field.name in _STATE_NAMES)
_state_values = attrgetter(*_STATE_NAMES)
_same_named_values = attrgetter(*_SAME_NAMED)

WhenWritten = Callable[[Transaction, Mapping[str, DeviceState]], Awaitable[None]]


class DeviceStates:
    """The newest state of every device that posted to this process."""

    FLUSH_SECONDS = 5.0

    def __init__(self, database: Database, offline_after: timedelta, clock: Clock) -> None:
        """Count a device as away after *offline_after* of silence at the latest."""
        self._offline_after = offline_after
        self._database = database
        self._clock = clock
        # Before that it was the hub that was away, not the phones.
        self._began_at = clock()
        self._states: dict[str, DeviceState] = {}
        self._polled_at: dict[str, datetime] = {}
        self._dirty: set[str] = set()
        self._stale_clocks: dict[str, list[tuple[datetime, datetime]]] = {}
        self._requests: dict[str, dict[str, datetime]] = {}
        self._followed_at = clock()
        self._when_written: WhenWritten | None = None

    def when_written(self, do: WhenWritten) -> None:
        """Have *do* done in each transaction that writes states, after they are written."""
        self._when_written = do

    def current(self, device: Device) -> DeviceState:
        """Return the newest state known here of *device*."""
        held = self._states.get(device.id)
        stored = device.state
        if held is None or (stored.last_seen_at or held.last_seen_at) is None:
            return stored
        newer = held.last_seen_at and (
            stored.last_seen_at is None or held.last_seen_at >= stored.last_seen_at
        )
        return held if newer else stored

    def with_current(self, device: Device) -> Device:
        """Return *device*, which may have been read a while ago, with its newest state."""
        return replace(device, state=self.current(device))

    def is_online(self, device: Device) -> bool:
        """Say whether *device* is there: seen within a few of its own poll gaps."""
        if device.deleted_at is not None:
            return False
        state = self.current(device)
        return is_online(state.last_seen_at, state.poll_gap_ms, self._offline_after, self._clock())

    def silent_since(self, device: Device) -> datetime:
        """Return when *device* was seen last; at the earliest when this process began to listen."""
        seen_at = self.current(device).last_seen_at
        return max(seen_at, self._began_at) if seen_at is not None else self._began_at

    def is_lost(self, device: Device) -> bool:
        """Say whether no word of what *device* was given is to be expected any more.

        That takes all of the silence allowed, whatever its habit: a guess could send twice.
        """
        silence = self._clock() - self.silent_since(device)
        return device.deleted_at is not None or silence > self._offline_after

    def is_available(self, device: Device) -> bool:
        """Say whether *device* would be given new messages now: it is there and not paused."""
        return not device.paused and self.is_online(device)

    def note(self, device: Device, facts: PhoneFacts, *, is_poll: bool = True) -> None:
        """Take in what *device* told now.

        Its habit is learned from its polls alone: what it has to tell comes when it comes.
        """
        now = self._clock()
        before = self.current(device)
        told: dict[str, Any] = {
            name: value
            for name, value in zip(_SAME_NAMED, _same_named_values(facts), strict=True)
            if value is not None
        }
        told["last_seen_at"] = now
        if is_poll:
            polled_at = self._polled_at.get(device.id, now)
            self._polled_at[device.id] = now
            if now > polled_at:
                told["poll_gap_ms"] = learn_gap(before.poll_gap_ms, now - polled_at)
        if facts.status is not None:
            told["last_status"] = facts.status
        if facts.has_started:
            told["app_started_at"] = now
        if facts.phone_clock_at is not None:
            told |= _clock_facts(before, facts.phone_clock_at, now)
        self._states[device.id] = _with_told(before, told)
        self._dirty.add(device.id)

    def is_stale(
        self, device: Device, phone_clock_at: datetime | None, request_key: str | None
    ) -> bool:
        """Say whether a signed post is too old to be given work: it may be a recording.

        The signature holds no nonce, but the phone's clock, which goes forward in every post the
        app makes. A phone whose clock was really set back is believed after three posts that go
        forward as time does. The apps' HTTP stack repeats a request at once, never after minutes.
        """
        if request_key is not None and self._is_old_repeat(device, request_key):
            return True
        if phone_clock_at is None or not self._is_behind(device, phone_clock_at):
            self._stale_clocks.pop(device.id, None)
            return False
        return not self._believes_clock_set_back(device, phone_clock_at)

    def _is_old_repeat(self, device: Device, request_key: str) -> bool:
        now = self._clock()
        seen = self._requests.setdefault(device.id, {})
        first_seen_at = seen.setdefault(request_key, now)
        if len(seen) > _REQUESTS_REMEMBERED:
            del seen[next(iter(seen))]
        return now - first_seen_at > STALE_AFTER

    def _is_behind(self, device: Device, phone_clock_at: datetime) -> bool:
        """Say whether the phone's clock cannot show that any more, going by what it showed.

        After a silence even the newest time seen is a recording, whichever process saw it.
        """
        state = self.current(device)
        high = state.phone_clock_high_at
        if high is None or state.last_seen_at is None:
            return False
        silent_long = self._clock() - state.last_seen_at > STALE_AFTER
        return phone_clock_at < high - STALE_AFTER or (silent_long and phone_clock_at <= high)

    def _believes_clock_set_back(self, device: Device, phone_clock_at: datetime) -> bool:
        now = self._clock()
        seen = self._stale_clocks.setdefault(device.id, [])
        if seen:
            last_clock, last_seen_at = seen[-1]
            if phone_clock_at <= last_clock:
                return False
            if abs((phone_clock_at - last_clock) - (now - last_seen_at)) > _PACE_TOLERANCE:
                seen.clear()
        seen.append((phone_clock_at, now))
        if len(seen) < _REBASE_AFTER:
            return False
        del self._stale_clocks[device.id]
        self._states[device.id] = replace(
            self.current(device), phone_clock_high_at=phone_clock_at, last_seen_at=self._clock()
        )
        return True

    async def follow(self) -> None:
        """Take in what other processes wrote: a post played back to this one must look old too."""
        now = self._clock()

        async def query(tx: Transaction) -> dict[str, DeviceState]:
            return await device_rows.find_states_since(tx, self._followed_at - _WRITTEN_WITHIN)

        for device_id, state in (await self._database.read(query)).items():
            held = self._states.get(device_id)
            if held is None or _is_newer(state, held):
                self._states[device_id] = state if held is None else _with_high(state, held)
        self._followed_at = now

    async def flush(self) -> None:
        """Write what has changed since the last flush."""
        written = {device_id: self._states[device_id] for device_id in self._dirty}
        self._dirty = set()

        async def use_case(tx: Transaction) -> None:
            await device_rows.save_states(tx, written)
            if self._when_written is not None:
                await self._when_written(tx, written)

        if not written:
            return
        try:
            await self._database.write(use_case)
        except Exception:
            self._dirty |= written.keys()
            raise


def _with_told(before: DeviceState, told: dict[str, Any]) -> DeviceState:
    """Return *before* with what was told: `replace`, at a third of the cost, for every poll."""
    return DeviceState(*map(told.get, _STATE_NAMES, _state_values(before)))


def _is_newer(state: DeviceState, held: DeviceState) -> bool:
    seen, seen_here = state.last_seen_at, held.last_seen_at
    return seen is not None and (seen_here is None or seen > seen_here)


def _with_high(state: DeviceState, held: DeviceState) -> DeviceState:
    """Return *state* with the phone's clock, and its last start, no lower than *held* has them."""
    highs = [item.phone_clock_high_at for item in (state, held) if item.phone_clock_high_at]
    starts = [item.app_started_at for item in (state, held) if item.app_started_at]
    return replace(
        state,
        phone_clock_high_at=max(highs, default=None),
        app_started_at=max(starts, default=None),
    )


def _clock_facts(before: DeviceState, phone_clock_at: datetime, now: datetime) -> dict[str, Any]:
    high = before.phone_clock_high_at
    return {
        "clock_skew_ms": to_epoch_ms(phone_clock_at) - to_epoch_ms(now),
        "phone_clock_high_at": phone_clock_at if high is None else max(high, phone_clock_at),
    }
