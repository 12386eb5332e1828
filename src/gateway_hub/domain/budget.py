"""What a device may send: segments in a sliding window, and which of the waiting fit into it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest

from gateway_hub.domain.clock import from_epoch_ms, to_epoch_ms
from gateway_hub.domain.devices import SendLimit
from gateway_hub.domain.messages import Message

_MINUTE_MS = 60_000


def minute_of(moment: datetime) -> int:
    """Return the number of the minute *moment* lies in, counted from 1970."""
    return to_epoch_ms(moment) // _MINUTE_MS


def first_minute(limit: SendLimit, now: datetime) -> int:
    """Return the oldest minute of which anything may still lie in the window that ends *now*.

    Whole minutes are counted, so the hub is never freer than the phone.
    """
    return minute_of(now - timedelta(seconds=limit.seconds))


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left to a device: of *limit* segments, *used* are gone."""

    limit: int
    used: int

    @property
    def left(self) -> int:
        """Segments that may be handed over now."""
        return max(0, self.limit - self.used)

    @property
    def is_used_up(self) -> bool:
        """Whether nothing fits any more, however small."""
        return self.used > 0 and self.left == 0

    def fits(self, segments: int, taken: int) -> bool:
        """Say whether a message fits beside *taken* segments.

        One larger than the whole limit goes out alone, after a window of rest: it would wait for
        ever otherwise, and with it all behind it.
        """
        if self.used == 0 and taken == 0:
            return True
        return taken + segments <= self.left


def earliest_fit(
    limit: SendLimit, used: Sequence[tuple[int, int]], segments: int, now: datetime
) -> datetime:
    """Return when *segments* fit the limit, if nothing else is sent until then.

    *used* is what was handed over in the window, as ``(minute, segments)``, oldest first.
    """
    budget = Budget(limit.segments, sum(count for _, count in used))
    for minute, count in used:
        if budget.fits(segments, 0):
            break
        budget = Budget(limit.segments, budget.used - count)
        now = from_epoch_ms((minute + 1) * _MINUTE_MS) + timedelta(seconds=limit.seconds)
    return now


def month_of(moment: datetime) -> str:
    """Return the calendar month *moment* lies in, in UTC: ``2026-03``."""
    return f"{moment:%Y-%m}"


def next_month(now: datetime) -> datetime:
    """Return when the next calendar month begins, in UTC."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def in_fair_order(queues: Iterable[Sequence[Message]], *, start: int = 0) -> list[Message]:
    """Return the heads of several queues as one list: highest priority first, oldest first within
    one queue, the queues in turn, so that a flood in one tag does not hold up another.

    The turns begin with queue number *start*, counted round. Where there is room for less than a
    turn, another *start* each time gives each queue its share.
    """
    by_priority: dict[int, list[list[Message]]] = {}
    for queue in queues:
        for priority in sorted({message.priority for message in queue}):
            lane = [message for message in queue if message.priority == priority]
            by_priority.setdefault(priority, []).append(lane)
    ordered: list[Message] = []
    for priority in sorted(by_priority, reverse=True):
        lanes = by_priority[priority]
        first = start % len(lanes)
        for turn in zip_longest(*lanes[first:], *lanes[:first]):
            ordered += [message for message in turn if message is not None]
    return ordered


def take_what_fits(waiting: Iterable[Message], budget: Budget, *, most: int) -> list[Message]:
    """Return the first *most* of *waiting* that fit the budget, in order.

    The first that does not fit ends it: smaller ones behind it would keep it waiting for ever.
    """
    taken: list[Message] = []
    segments = 0
    for message in waiting:
        size = message.segments or 1
        if len(taken) == most or not budget.fits(size, segments):
            break
        taken.append(message)
        segments += size
    return taken
