"""What phones tell of themselves at each post: kept in memory, written to the database in batches.

A phone that polls twice a minute would otherwise cost a write each time. What a crash loses is a
few seconds of "last seen", told again by the next post.
"""

from dataclasses import fields, replace
from datetime import datetime, timedelta

from gateway_hub.domain.clock import Clock, to_epoch_ms
from gateway_hub.domain.devices import Device, DeviceState, PhoneFacts
from gateway_hub.domain.silence import is_online, learn_gap
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

STALE_AFTER = timedelta(seconds=120)
"""A post whose clock is this far behind what it should be may be a recording played back."""

_REBASE_AFTER = 3
_PACE_TOLERANCE = timedelta(seconds=30)
_REQUESTS_REMEMBERED = 32
_SAME_NAMED = {field.name for field in fields(DeviceState)} & {
    field.name for field in fields(PhoneFacts)
}


class DeviceStates:
    """The newest state of every device that posted to this process."""

    FLUSH_SECONDS = 5.0

    def __init__(self, database: Database, offline_after: timedelta, clock: Clock) -> None:
        """Count a device as away after *offline_after* of silence at the latest."""
        self._offline_after = offline_after
        self._database = database
        self._clock = clock
        self._states: dict[str, DeviceState] = {}
        self._dirty: set[str] = set()
        self._stale_clocks: dict[str, list[tuple[datetime, datetime]]] = {}
        self._requests: dict[str, dict[str, datetime]] = {}

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

    def is_online(self, device: Device) -> bool:
        """Say whether *device* is there: seen within a few of its own poll gaps."""
        state = self.current(device)
        return is_online(state.last_seen_at, state.poll_gap_ms, self._offline_after, self._clock())

    def note(self, device: Device, facts: PhoneFacts) -> None:
        """Take in what *device* told now."""
        now = self._clock()
        told = {name: value for name in _SAME_NAMED if (value := getattr(facts, name)) is not None}
        before = self.current(device)
        state = replace(before, last_seen_at=now, **told)
        if before.last_seen_at is not None and now > before.last_seen_at:
            gap = learn_gap(before.poll_gap_ms, now - before.last_seen_at)
            state = replace(state, poll_gap_ms=gap)
        if facts.status is not None:
            state = replace(state, last_status=facts.status)
        if facts.phone_clock_at is not None:
            state = _with_clock(state, facts.phone_clock_at, now)
        self._states[device.id] = state
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

    async def flush(self) -> None:
        """Write what has changed since the last flush."""
        written = {device_id: self._states[device_id] for device_id in self._dirty}
        self._dirty = set()

        async def use_case(tx: Transaction) -> None:
            await device_rows.save_states(tx, written)

        if not written:
            return
        try:
            await self._database.write(use_case)
        except Exception:
            self._dirty |= written.keys()
            raise


def _with_clock(state: DeviceState, phone_clock_at: datetime, now: datetime) -> DeviceState:
    high = state.phone_clock_high_at
    return replace(
        state,
        clock_skew_ms=to_epoch_ms(phone_clock_at) - to_epoch_ms(now),
        phone_clock_high_at=phone_clock_at if high is None else max(high, phone_clock_at),
    )
