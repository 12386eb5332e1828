"""Budgets of devices: what fits now, and counting what was handed over."""

from collections.abc import Sequence
from datetime import datetime

from gateway_hub.domain.budget import Budget, first_minute, in_fair_order, minute_of, take_what_fits
from gateway_hub.domain.devices import Device
from gateway_hub.domain.messages import Message
from gateway_hub.storage import usage as usage_rows
from gateway_hub.storage.transactions import Transaction


async def read_budget(tx: Transaction, device: Device, now: datetime) -> Budget:
    """Return what the device has left of its segments in the window that ends *now*."""
    limit = device.effective_send_limit
    used = await usage_rows.sum_segments(tx, device.id, from_minute=first_minute(limit, now))
    return Budget(limit.segments, used)


async def choose(
    tx: Transaction, device: Device, heads: Sequence[Sequence[Message]], now: datetime, *, most: int
) -> list[Message]:
    """Return which of the queues' *heads* the device is to send now, best first, and count them."""
    waiting = await _within_recipients(tx, device, in_fair_order(heads), now)
    chosen = take_what_fits(waiting, await read_budget(tx, device, now), most=most)
    segments = sum(message.segments or 1 for message in chosen)
    await usage_rows.add_segments(tx, device.id, minute=minute_of(now), segments=segments)
    if device.effective_send_limit.recipients_per_month is not None:
        contacts = {message.contact_key for message in chosen}
        await usage_rows.add_recipients(tx, device.id, _month_of(now), contacts)
    return chosen


async def _within_recipients(
    tx: Transaction, device: Device, waiting: list[Message], now: datetime
) -> list[Message]:
    """Leave out messages to numbers that would be one too many this month.

    Only those: messages to numbers the device knows are not held up behind them.
    """
    most = device.effective_send_limit.recipients_per_month
    if most is None or not waiting:
        return waiting
    month = _month_of(now)
    contacts = {message.contact_key for message in waiting}
    known = await usage_rows.find_known_recipients(tx, device.id, month, contacts)
    room = most - await usage_rows.count_recipients(tx, device.id, month)
    allowed: list[Message] = []
    for message in waiting:
        if message.contact_key not in known:
            if room <= 0:
                continue
            room -= 1
            known.add(message.contact_key)
        allowed.append(message)
    return allowed


def _month_of(now: datetime) -> str:
    return f"{now:%Y-%m}"
