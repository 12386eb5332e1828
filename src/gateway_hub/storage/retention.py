"""Removing what is old: found a stretch of ids at a time, then locked, looked at again and removed.

Ids begin with the time they were made at: what is older than a moment has ids below one, and needs
no index to be found by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Executable,
    Table,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.ids import first_id_at
from gateway_hub.domain.lifecycle import FINAL, Status
from gateway_hub.domain.retention import Cutoffs
from gateway_hub.domain.webhooks.deliveries import DeliveryStatus
from gateway_hub.storage.events import REMOVED, move_place
from gateway_hub.storage.inbound import FORGOTTEN
from gateway_hub.storage.lists import as_list, is_one_of
from gateway_hub.storage.tables import (
    attachments,
    attempts,
    events,
    inbound_receipts,
    messages,
    quarantine,
    reports,
    webhook_attempts,
    webhook_deliveries,
)
from gateway_hub.storage.transactions import Transaction

STRETCH = 5000
"""How many rows are looked at to find some that may be removed."""

_MESSAGE_IS_OVER = or_(
    and_(
        or_(
            messages.c.status.in_(sorted(FINAL)),
            and_(messages.c.status == Status.SENT, messages.c.device_protocol == Protocol.ENVAYA),
        ),
        messages.c.updated_at < bindparam("quiet_since"),
    ),
    and_(messages.c.status == Status.SENT, messages.c.updated_at < bindparam("sent_since")),
)
_QUARANTINE_IS_OVER = quarantine.c.last_seen_at < bindparam("quiet_since")
_RECEIPT_IS_OVER = and_(
    inbound_receipts.c.first_seen_at < bindparam("quiet_since"),
    or_(
        inbound_receipts.c.last_repeat_at.is_(None),
        inbound_receipts.c.last_repeat_at < bindparam("quiet_since"),
    ),
)
_EVENT_IS_OVER = and_(
    events.c.timestamp < bindparam("quiet_since"),
    ~exists().where(
        webhook_deliveries.c.event_id == events.c.id,
        webhook_deliveries.c.status == DeliveryStatus.PENDING,
    ),
)
_TEST_IS_OVER = and_(
    webhook_deliveries.c.content.is_not(None),
    webhook_deliveries.c.status != DeliveryStatus.PENDING,
    webhook_deliveries.c.updated_at < bindparam("quiet_since"),
)


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What is removed: rows of *table* whose *key* tells their age, if *is_over* holds for them."""

    table: Table
    key: Column[str]
    is_over: ColumnElement[bool]


MESSAGES = Kind(messages, messages.c.id, _MESSAGE_IS_OVER)
QUARANTINE = Kind(quarantine, quarantine.c.id, _QUARANTINE_IS_OVER)
RECEIPTS = Kind(inbound_receipts, inbound_receipts.c.message_id, _RECEIPT_IS_OVER)
EVENTS = Kind(events, events.c.id, _EVENT_IS_OVER)
WEBHOOK_TESTS = Kind(webhook_deliveries, webhook_deliveries.c.id, _TEST_IS_OVER)
"""Webhook deliveries of no event in the log; the others go with theirs."""


# What refers to something else goes before it.
_OF_MESSAGE = (reports.c.message_id, attempts.c.message_id, attachments.c.message_id, messages.c.id)


@dataclass(frozen=True, slots=True)
class Removed:
    """How many messages were removed, and where the bytes of their attachments are kept."""

    messages: int
    storage_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Keys that were found in a stretch, and after which one the next begins: None at the end."""

    keys: list[str]
    next_after: str | None


async def find_over(
    tx: Transaction, kind: Kind, cutoffs: Cutoffs, *, after: str, limit: int
) -> Stretch:
    """Return up to *limit* keys of a stretch after *after* that may be removed."""
    before = first_id_at(to_epoch_ms(cutoffs.quiet_since))
    ends = await tx.execute(_end_of_stretch(kind), {"after": after, "before": before})
    end = ends.scalar_one_or_none()
    bounds = {"after": after, "end": end or before, "most": limit}
    keys = list((await tx.execute(_found(kind), bounds | _moments(kind, cutoffs))).scalars())
    return Stretch(keys, keys[-1] if len(keys) == limit else end)


async def remove(tx: Transaction, kind: Kind, keys: Sequence[str], cutoffs: Cutoffs) -> int:
    """Remove those of *keys* that are over; return how many they were."""
    locked = await _lock(tx, kind, keys, cutoffs)
    await tx.execute(_delete(tx.dialect, kind.key), {"keys": as_list(tx.dialect, locked)})
    return len(locked)


async def remove_messages(tx: Transaction, keys: Sequence[str], cutoffs: Cutoffs) -> Removed:
    """Remove those messages of *keys* that are over, with all that belongs to them.

    Their receipts stay, so that they are known when a phone repeats them, but not what they said.
    """
    removed = await _lock(tx, MESSAGES, keys, cutoffs)
    theirs = {"keys": as_list(tx.dialect, removed)}
    storage_keys = (await tx.execute(_storage_keys(tx.dialect), theirs)).scalars()
    await tx.execute(_forget_content(tx.dialect), theirs)
    for column in _OF_MESSAGE:
        await tx.execute(_delete(tx.dialect, column), theirs)
    return Removed(len(removed), tuple(storage_keys))


async def remove_events(tx: Transaction, keys: Sequence[str], cutoffs: Cutoffs) -> int:
    """Remove those events of *keys* that are over, and note how far the log is not whole now."""
    removed = await _lock(tx, EVENTS, keys, cutoffs)
    theirs = {"keys": as_list(tx.dialect, removed)}
    last = (await tx.execute(_last_place(tx.dialect), theirs)).scalar_one()
    if last is not None:
        await move_place(tx, REMOVED, last)
        deliveries = (await tx.execute(_deliveries_of(tx.dialect), theirs)).scalars()
        await _remove_deliveries(tx, list(deliveries))
        await tx.execute(_delete(tx.dialect, events.c.id), theirs)
    return len(removed)


async def remove_webhook_tests(tx: Transaction, keys: Sequence[str], cutoffs: Cutoffs) -> int:
    """Remove those webhook deliveries of *keys* that are over, with their attempts."""
    removed = await _lock(tx, WEBHOOK_TESTS, keys, cutoffs)
    await _remove_deliveries(tx, removed)
    return len(removed)


async def _remove_deliveries(tx: Transaction, ids: Sequence[str]) -> None:
    theirs = {"keys": as_list(tx.dialect, ids)}
    for column in (webhook_attempts.c.delivery_id, webhook_deliveries.c.id):
        await tx.execute(_delete(tx.dialect, column), theirs)


async def find_named(tx: Transaction, storage_keys: Sequence[str]) -> set[str]:
    """Return which of *storage_keys* an attachment has its bytes under."""
    keys = {"keys": as_list(tx.dialect, storage_keys)}
    return set((await tx.execute(_named(tx.dialect), keys)).scalars())


async def _lock(tx: Transaction, kind: Kind, keys: Sequence[str], cutoffs: Cutoffs) -> list[str]:
    """Return which of *keys* are over still; what another process has locked is left to it."""
    parameters = {"keys": as_list(tx.dialect, keys)} | _moments(kind, cutoffs)
    return list((await tx.execute(_locking(tx.dialect, kind), parameters)).scalars())


def _moments(kind: Kind, cutoffs: Cutoffs) -> dict[str, Any]:
    moments = {"quiet_since": cutoffs.quiet_since}
    return moments | {"sent_since": cutoffs.sent_since} if kind is MESSAGES else moments


@lru_cache
def _end_of_stretch(kind: Kind) -> Executable:
    return (
        select(kind.key)
        .where(kind.key > bindparam("after"), kind.key < bindparam("before"))
        .order_by(kind.key)
        .offset(STRETCH - 1)
        .limit(1)
    )


@lru_cache
def _found(kind: Kind) -> Executable:
    return (
        select(kind.key)
        .where(kind.key > bindparam("after"), kind.key <= bindparam("end"), kind.is_over)
        .order_by(kind.key)
        .limit(bindparam("most"))
    )


@lru_cache
def _locking(dialect: str, kind: Kind) -> Executable:
    return (
        select(kind.key)
        .where(is_one_of(dialect, kind.key, "keys"), kind.is_over)
        .order_by(kind.key)
        .with_for_update(of=kind.table, skip_locked=True)
    )


@lru_cache
def _delete(dialect: str, column: Column[str]) -> Executable:
    return delete(column.table).where(is_one_of(dialect, column, "keys"))


@lru_cache
def _deliveries_of(dialect: str) -> Executable:
    return select(webhook_deliveries.c.id).where(
        is_one_of(dialect, webhook_deliveries.c.event_id, "keys")
    )


@lru_cache
def _last_place(dialect: str) -> Executable:
    return select(func.max(events.c.seq)).where(is_one_of(dialect, events.c.id, "keys"))


@lru_cache
def _storage_keys(dialect: str) -> Executable:
    return select(attachments.c.storage_key).where(
        is_one_of(dialect, attachments.c.message_id, "keys")
    )


@lru_cache
def _forget_content(dialect: str) -> Executable:
    return (
        update(inbound_receipts)
        .where(is_one_of(dialect, inbound_receipts.c.message_id, "keys"))
        .values(content_digest=FORGOTTEN)
    )


@lru_cache
def _named(dialect: str) -> Executable:
    column = attachments.c.storage_key
    return select(column).where(is_one_of(dialect, column, "keys"))
