"""Tells of devices that come and go, and of how they fare, once for all processes.

What a phone says is known to the process it posts to; that it says nothing is seen by all. So what
was told is kept with the device, and compared and changed in one transaction with the event.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from gateway_hub.domain.clock import Clock, to_epoch_ms
from gateway_hub.domain.devices import Device, DeviceState
from gateway_hub.domain.events import EventType, NewEvent
from gateway_hub.domain.presence import ToldStatus, describe_device, is_worth_telling
from gateway_hub.domain.silence import LEAST_PATIENCE, is_online
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import presence as presence_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.presence import ToldPresence
from gateway_hub.storage.transactions import Transaction

_AT_ONCE = 200

_WRITTEN_WITHIN = timedelta(seconds=2 * DeviceStates.FLUSH_SECONDS)
"""How long after it was seen by another process a device is sure to be known here as seen."""

_News = dict[str, tuple[EventType | None, bool, ToldStatus | None]]
"""By device: the event to be told, if any, and what is told of the device from then on."""


class Presence:
    """What is told of devices."""

    LOOK_SECONDS = 30.0

    def __init__(
        self, database: Database, states: DeviceStates, offline_after: timedelta, clock: Clock
    ) -> None:
        self._database = database
        self._states = states
        self._offline_after = offline_after
        self._clock = clock
        self._told: dict[str, ToldStatus | None] = {}
        self._seen_at: dict[str, datetime] = {}

    async def tell_of_seen(self, tx: Transaction, states: Mapping[str, DeviceState]) -> None:
        """Tell in *tx*, which has written *states*, what is new of these devices."""
        now = self._clock()
        now_ms = to_epoch_ms(now)
        current = {
            device_id: ToldStatus.of(state, now_ms)
            for device_id, state in states.items()
            if state.last_seen_at is not None
        }
        asked = [item for item, status in current.items() if self._may_be_news(item, status)]
        tx.after_commit(partial(self._seen_at.update, dict.fromkeys(current, now)))
        if not asked:
            return
        told = await presence_rows.lock_presence(tx, asked)
        news: _News = {item: _compare(told[item], current[item]) for item in asked if item in told}
        await self._tell(tx, news, states)

    async def tell_of_absent(self) -> None:
        """Tell which devices are not there any more."""
        after = ""
        while quiet := await self._list_quiet(after):
            absent = [device for device in quiet if self._is_absent(device)]
            if absent:
                await self._database.write(partial(self._tell_absent, absent=absent))
            after = quiet[-1].id

    def _may_be_news(self, device_id: str, status: ToldStatus) -> bool:
        """Say whether it is worth asking the database, going by what this process has told.

        Of a device that was silent for a while another process may have told that it is away.
        """
        told, seen_at = self._told.get(device_id), self._seen_at.get(device_id)
        if told is None or seen_at is None or self._clock() - seen_at >= LEAST_PATIENCE:
            return True
        return is_worth_telling(told, status)

    async def _list_quiet(self, after: str) -> list[Device]:
        async def query(tx: Transaction) -> list[Device]:
            ids = await presence_rows.list_quiet(
                tx,
                seen_before=self._clock() - LEAST_PATIENCE - _WRITTEN_WITHIN,
                after=after,
                limit=_AT_ONCE,
            )
            found = await device_rows.find_devices(tx, ids)
            return [found[item] for item in ids]

        return await self._database.read(query)

    def _is_absent(self, device: Device) -> bool:
        if device.deleted_at is not None:
            return True
        gap_ms = self._states.current(device).poll_gap_ms
        judged_at = self._clock() - _WRITTEN_WITHIN
        since = self._states.silent_since(device)
        return not is_online(since, gap_ms, self._offline_after, judged_at)

    async def _tell_absent(self, tx: Transaction, *, absent: list[Device]) -> None:
        told = await presence_rows.lock_presence(tx, [device.id for device in absent])
        news: _News = {}
        for device in absent:
            before = told.get(device.id)
            # Whoever was seen, or told of, since it was looked for, is left alone.
            if before and before.online and before.last_seen_at == device.state.last_seen_at:
                news[device.id] = EventType.DEVICE_OFFLINE, False, before.status
        await self._tell(tx, news, {device.id: device.state for device in absent})

    async def _tell(self, tx: Transaction, news: _News, states: Mapping[str, DeviceState]) -> None:
        changed = {item: told for item, told in news.items() if told[0] is not None}
        devices = await device_rows.find_devices(tx, changed.keys())
        now = self._clock()
        for device_id, (type_, online, _) in changed.items():
            device = devices[device_id]
            if type_ is not None and device.deleted_at is None:
                tx.journal.note_event(
                    _to_event(type_, replace(device, state=states[device_id]), online, now)
                )
        await presence_rows.note_told(tx, {item: told[1:] for item, told in news.items()})
        tx.after_commit(partial(self._remember, news))

    def _remember(self, news: _News) -> None:
        for device_id, (_, online, status) in news.items():
            if online:
                self._told[device_id] = status
            else:
                self._told.pop(device_id, None)


def _compare(told: ToldPresence, current: ToldStatus) -> tuple[EventType | None, bool, ToldStatus]:
    """Return what is to be told of a device that was seen."""
    if not told.online:
        return EventType.DEVICE_ONLINE, True, current
    if told.status is None:
        return None, True, current
    if is_worth_telling(told.status, current):
        return EventType.DEVICE_STATUS, True, current
    return None, True, told.status


def _to_event(type_: EventType, device: Device, online: bool, now: datetime) -> NewEvent:
    return NewEvent(
        type=type_,
        timestamp=now,
        project_id=device.project_id,
        data=describe_device(device, online=online),
        device_id=device.id,
    )
