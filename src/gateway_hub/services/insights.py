"""What a project's numbers are: messages by the time they reached each status, and how things
stand now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from gateway_hub.domain.clock import Clock, from_epoch_ms
from gateway_hub.domain.errors import InvalidInputError
from gateway_hub.domain.ids import AFTER_ALL_IDS
from gateway_hub.domain.statistics import Count, hour_of, start_of_hour
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import statistics as statistics_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_DEVICES_AT_ONCE = 500
_FIRST = from_epoch_ms(0)
_MILLISECOND = timedelta(milliseconds=1)


class Grain(StrEnum):
    """How long each period is."""

    HOUR = "hour"
    DAY = "day"


_HOURS = {Grain.HOUR: 1, Grain.DAY: 24}
_USUAL = {Grain.HOUR: timedelta(days=1), Grain.DAY: timedelta(days=30)}
_LONGEST = {Grain.HOUR: timedelta(days=31), Grain.DAY: timedelta(days=366)}


@dataclass(frozen=True, slots=True)
class Span:
    """Whole hours or days, in UTC: from the one that begins at *start* to the one before *end*."""

    start: datetime
    end: datetime
    grain: Grain


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """How many devices are there, and how many are away; of all, how many are paused."""

    online: int = 0
    offline: int = 0
    paused: int = 0


@dataclass(frozen=True, slots=True)
class ProjectNumbers:
    """The numbers of a project; *counts* are in the order of time."""

    span: Span
    counts: Sequence[Count]
    backlog: int
    devices: DeviceCounts


class Insights:
    """Tells numbers. They are kept, not counted, so that asking costs the same however many
    messages there are."""

    def __init__(self, database: Database, states: DeviceStates, clock: Clock) -> None:
        self._database = database
        self._states = states
        self._clock = clock

    async def read_numbers(
        self, project_id: str, start: datetime | None, end: datetime | None, grain: Grain
    ) -> ProjectNumbers:
        """Return the project's numbers of the hours or days that *start* to *end* touch.

        *end* None: until now; *start* None: a day by the hour, 30 days by the day. Raises
        InvalidInputError.
        """
        span = make_span(start, end, grain, self._clock())

        async def query(tx: Transaction) -> ProjectNumbers:
            counts = await statistics_rows.list_counts(
                tx,
                project_id,
                from_hour=hour_of(span.start),
                before_hour=hour_of(span.end),
                step=_HOURS[grain],
            )
            backlog = await statistics_rows.count_whole_backlog(tx, project_id)
            return ProjectNumbers(span, counts, backlog, await self._count_devices(tx, project_id))

        return await self._database.read(query)

    async def _count_devices(self, tx: Transaction, project_id: str) -> DeviceCounts:
        online = offline = paused = 0
        before = AFTER_ALL_IDS
        while page := await device_rows.list_devices(
            tx, project_id, before=before, limit=_DEVICES_AT_ONCE
        ):
            there = sum(self._states.is_online(device) for device in page)
            online, offline = online + there, offline + len(page) - there
            paused += sum(device.paused for device in page)
            before = page[-1].id
        return DeviceCounts(online, offline, paused)


def make_span(start: datetime | None, end: datetime | None, grain: Grain, now: datetime) -> Span:
    """Return the hours or days asked for, up to the present one. Raises InvalidInputError."""
    end = now if end is None else end
    start = max(end - _USUAL[grain], _FIRST) if start is None else start
    if start >= end:
        raise InvalidInputError.of_field("/to", "too_early", "The end is not after the beginning.")
    if start > now:
        raise InvalidInputError.of_field("/from", "in_the_future", "Nothing has happened then yet.")
    longest = _LONGEST[grain]
    if end - start > longest:
        raise InvalidInputError.of_field(
            "/from", "too_early", f"By the {grain}, {longest.days} days can be asked for at once."
        )
    hours = _HOURS[grain]
    first = hour_of(start) // hours
    last = hour_of(min(end - _MILLISECOND, now)) // hours
    return Span(start_of_hour(first * hours), start_of_hour((last + 1) * hours), grain)
