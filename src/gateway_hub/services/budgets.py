"""Budgets of devices: what fits now, and counting what was handed over."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from zlib import crc32

from gateway_hub.domain.budget import (
    Budget,
    earliest_fit,
    first_minute,
    in_fair_order,
    minute_of,
    month_of,
    next_month,
    take_what_fits,
)
from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.devices import Device
from gateway_hub.domain.messages import Message
from gateway_hub.storage import usage as usage_rows
from gateway_hub.storage.offers import HeldOffer
from gateway_hub.storage.queues import Confinement
from gateway_hub.storage.transactions import Transaction


async def read_budget(tx: Transaction, device: Device, now: datetime) -> Budget:
    """Return what the device has left of its segments in the window that ends *now*."""
    limit = device.effective_send_limit
    used = await usage_rows.sum_segments(tx, device.id, from_minute=first_minute(limit, now))
    return Budget(limit.segments, used)


async def find_confinement(tx: Transaction, device: Device, now: datetime) -> Confinement | None:
    """Return whom the device may still send to if that is only whom it has sent to this month."""
    most = device.effective_send_limit.recipients_per_month
    if most is None or await _recipients_left(tx, device, most, now) > 0:
        return None
    return Confinement(device.id, month_of(now))


async def earliest_at(
    tx: Transaction, device: Device, segments: int, contact_key: str, now: datetime
) -> datetime:
    """Return when the device may send *segments* to that contact, if nothing else goes before."""
    limit = device.effective_send_limit
    used = await usage_rows.list_segments(tx, device.id, from_minute=first_minute(limit, now))
    fits_at = earliest_fit(limit, used, segments, now)
    if await may_send_to(tx, device, contact_key, now):
        return fits_at
    return max(fits_at, next_month(now))


async def may_send_to(tx: Transaction, device: Device, contact_key: str, now: datetime) -> bool:
    """Say whether the device's cap on recipients allows that contact this month."""
    most = device.effective_send_limit.recipients_per_month
    if most is None:
        return True
    if await usage_rows.find_known_recipients(tx, device.id, month_of(now), [contact_key]):
        return True
    return await _recipients_left(tx, device, most, now) > 0


async def choose(
    tx: Transaction,
    device: Device,
    heads: Sequence[Sequence[Message]],
    budget: Budget,
    now: datetime,
    *,
    most: int,
) -> list[Message]:
    """Return which of the queues' *heads* the device is to send now, best first, and count them.

    *budget* is what `read_budget` told in the same transaction.
    """
    # By chance, and yet the same for all who ask at that moment: no queue is always the first.
    start = crc32(f"{device.id} {to_epoch_ms(now)}".encode())
    waiting = await _within_recipients(tx, device, in_fair_order(heads, start=start), now)
    chosen = take_what_fits(waiting, budget, most=most)
    segments = sum(message.segments or 1 for message in chosen)
    await usage_rows.add_segments(tx, device.id, minute=minute_of(now), segments=segments)
    if device.effective_send_limit.recipients_per_month is not None:
        contacts = {message.contact_key for message in chosen}
        await usage_rows.add_recipients(tx, device.id, month_of(now), contacts)
    return chosen


async def choose_again(
    tx: Transaction, device: Device, held: Sequence[HeldOffer], now: datetime
) -> list[HeldOffer]:
    """Return which of *held*, in order, the device may be offered once more, and count them anew.

    The first that does not fit ends it, as with what waits.
    """
    since = first_minute(device.effective_send_limit, now)
    budget = await read_budget(tx, device, now)
    chosen: list[HeldOffer] = []
    taken = 0
    for item in held:
        size = item.segments if minute_of(item.attempt.last_offered_at) < since else 0
        if not budget.fits(size, taken):
            break
        taken += size
        chosen.append(item)
    await count_again(tx, device, chosen, now)
    return chosen


async def count_again(
    tx: Transaction, device: Device, held: Iterable[HeldOffer], now: datetime
) -> None:
    """Count *held*, handed over before, as of *now*.

    Nobody knows whether the device has sent them: each counts once, as of the last time.
    """
    since = first_minute(device.effective_send_limit, now)
    counts: Counter[int] = Counter()
    for item in held:
        minute = minute_of(item.attempt.last_offered_at)
        if minute >= since:
            counts[minute] -= item.segments
        counts[minute_of(now)] += item.segments
    for minute, segments in sorted(counts.items()):
        await usage_rows.add_segments(tx, device.id, minute=minute, segments=segments)


async def _within_recipients(
    tx: Transaction, device: Device, waiting: list[Message], now: datetime
) -> list[Message]:
    """Leave out messages to numbers that would be one too many this month.

    Only those: messages to numbers the device knows are not held up behind them.
    """
    most = device.effective_send_limit.recipients_per_month
    if most is None or not waiting:
        return waiting
    contacts = {message.contact_key for message in waiting}
    known = await usage_rows.find_known_recipients(tx, device.id, month_of(now), contacts)
    room = await _recipients_left(tx, device, most, now)
    allowed: list[Message] = []
    for message in waiting:
        if message.contact_key not in known:
            if room <= 0:
                continue
            room -= 1
            known.add(message.contact_key)
        allowed.append(message)
    return allowed


async def _recipients_left(tx: Transaction, device: Device, most: int, now: datetime) -> int:
    """Return to how many numbers more the device may send this month, of *most*."""
    return most - await usage_rows.count_recipients(tx, device.id, month_of(now))
