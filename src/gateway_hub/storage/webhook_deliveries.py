"""Webhook deliveries: added, taken to be attempted, and what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, bindparam, func, literal, select, text, update
from sqlalchemy.engine import Row

from gateway_hub.domain.events import EventType
from gateway_hub.domain.webhooks.deliveries import (
    DeliveryStatus,
    WebhookAttempt,
    WebhookDelivery,
)
from gateway_hub.domain.webhooks.outcomes import Fault, OutcomeKind
from gateway_hub.storage.inserts import insert_all_if_absent
from gateway_hub.storage.lists import as_list, is_one_of
from gateway_hub.storage.tables import webhook_attempts, webhook_deliveries
from gateway_hub.storage.transactions import Transaction

_COLUMNS = webhook_deliveries.c
_EARLIER = webhook_deliveries.alias("earlier")

# Written out, not bound: a planner uses a partial index only if it sees the condition itself.
_IS_PENDING = text("webhook_deliveries.status = 'pending'")
_IS_DEAD = text("webhook_deliveries.status = 'dead'")
_EARLIER_IS_PENDING = text("earlier.status = 'pending'")

_WAITS_FOR = (
    select(_EARLIER.c.next_attempt_at)
    .where(
        _EARLIER.c.endpoint_id == _COLUMNS.endpoint_id,
        _EARLIER.c.message_id == _COLUMNS.message_id,
        _EARLIER.c.event_seq < _COLUMNS.event_seq,
        _EARLIER_IS_PENDING,
    )
    .order_by(_EARLIER.c.event_seq)
    .limit(1)
    .scalar_subquery()
)
_DUE = (
    select(webhook_deliveries, _WAITS_FOR.label("waits_until"))
    .where(
        _COLUMNS.endpoint_id == bindparam("of_endpoint"),
        _IS_PENDING,
        _COLUMNS.next_attempt_at <= bindparam("now"),
    )
    .order_by(_COLUMNS.next_attempt_at, _COLUMNS.event_seq)
    .limit(bindparam("most"))
    .with_for_update(of=webhook_deliveries, skip_locked=True)
)
_HAS_DUE = (
    select(literal(1)).where(_IS_PENDING, _COLUMNS.next_attempt_at <= bindparam("now")).limit(1)
)
_BY_ID = select(webhook_deliveries).where(
    _COLUMNS.id == bindparam("delivery_id"), _COLUMNS.endpoint_id == bindparam("of_endpoint")
)
_CLAIM = (
    update(webhook_deliveries)
    .where(_COLUMNS.id == bindparam("delivery_id"))
    .values(claim_id=bindparam("new_claim_id"), next_attempt_at=bindparam("new_next_attempt_at"))
)
_SAVE = (
    update(webhook_deliveries)
    .where(_COLUMNS.id == bindparam("delivery_id"))
    .values(
        status=bindparam("new_status"),
        attempts=bindparam("new_attempts"),
        next_attempt_at=bindparam("new_next_attempt_at"),
        claim_id=bindparam("new_claim_id"),
        reply_id=bindparam("new_reply_id"),
        updated_at=bindparam("new_updated_at"),
    )
)
_LOWEST = (
    select(func.min(_EARLIER.c.event_seq))
    .where(
        _EARLIER.c.endpoint_id == bindparam("of_endpoint"),
        _EARLIER.c.message_id == bindparam("of_message"),
        _EARLIER_IS_PENDING,
    )
    .scalar_subquery()
)
# One that has been attempted waits by the schedule, and one that is claimed is on its way.
_LET_NEXT_GO = (
    update(webhook_deliveries)
    .where(
        _COLUMNS.endpoint_id == bindparam("of_endpoint"),
        _COLUMNS.message_id == bindparam("of_message"),
        _IS_PENDING,
        _COLUMNS.event_seq == _LOWEST,
        _COLUMNS.next_attempt_at > bindparam("now"),
        _COLUMNS.attempts == 0,
        _COLUMNS.claim_id.is_(None),
    )
    .values(next_attempt_at=bindparam("now"))
)
_PAGE = (
    select(webhook_deliveries)
    .where(_COLUMNS.endpoint_id == bindparam("of_endpoint"), _COLUMNS.id < bindparam("before"))
    .order_by(_COLUMNS.id.desc())
    .limit(bindparam("limit"))
)
_PAGES = {
    None: _PAGE,
    DeliveryStatus.PENDING: _PAGE.where(_IS_PENDING),
    DeliveryStatus.DEAD: _PAGE.where(_IS_DEAD),
    DeliveryStatus.DELIVERED: _PAGE.where(_COLUMNS.status == DeliveryStatus.DELIVERED),
}
_DEAD = (
    select(webhook_deliveries)
    .where(
        _COLUMNS.endpoint_id == bindparam("of_endpoint"), _COLUMNS.id > bindparam("after"), _IS_DEAD
    )
    .order_by(_COLUMNS.id)
    .limit(bindparam("limit"))
    .with_for_update()
)
_ATTEMPTS = (
    select(webhook_attempts)
    .where(webhook_attempts.c.delivery_id == bindparam("of_delivery"))
    .order_by(webhook_attempts.c.number)
)
_LAST_NUMBER = (
    select(func.max(webhook_attempts.c.number))
    .where(webhook_attempts.c.delivery_id == _COLUMNS.id)
    .scalar_subquery()
)


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery whose time has come; *waits_until* is given if an earlier event of the same
    message is still on its way: when that one is attempted next."""

    delivery: WebhookDelivery
    waits_until: datetime | None


@dataclass(frozen=True, slots=True)
class LockedDelivery:
    """A delivery that this transaction may change, and the number of its last recorded attempt."""

    delivery: WebhookDelivery
    last_number: int


async def add_deliveries(tx: Transaction, new: Iterable[WebhookDelivery]) -> None:
    """Store *new*, leaving out what is on its way to the same webhook endpoint already."""
    await insert_all_if_absent(tx, webhook_deliveries, [_to_values(item) for item in new])


async def has_due(tx: Transaction, *, now: datetime) -> bool:
    """Say whether anything may be due."""
    return (await tx.execute(_HAS_DUE, {"now": now})).first() is not None


async def lock_due(
    tx: Transaction, endpoint_id: str, *, now: datetime, limit: int
) -> list[DueDelivery]:
    """Return deliveries of that webhook endpoint whose time has come, the longest due first.

    They are locked until the end of the transaction; what another process has locked is left out.
    """
    parameters = {"of_endpoint": endpoint_id, "now": now, "most": limit}
    rows = await tx.execute(_DUE, parameters)
    return [DueDelivery(_to_delivery(row), row.waits_until) for row in rows]


async def claim(tx: Transaction, claimed: Iterable[WebhookDelivery]) -> None:
    """Write the claim and the next attempt's time of *claimed*, which are locked."""
    rows = [
        {
            "delivery_id": item.id,
            "new_claim_id": item.claim_id,
            "new_next_attempt_at": item.next_attempt_at,
        }
        for item in claimed
    ]
    if rows:
        await tx.execute(_CLAIM, rows)


async def lock_deliveries(tx: Transaction, ids: Iterable[str]) -> dict[str, LockedDelivery]:
    """Return those deliveries by id; nobody else changes them until the transaction ends."""
    wanted = {"ids": as_list(tx.dialect, sorted(ids))}
    rows = await tx.execute(_locking(tx.dialect), wanted)
    return {row.id: LockedDelivery(_to_delivery(row), row.last_number or 0) for row in rows}


async def save_deliveries(tx: Transaction, changed: Iterable[WebhookDelivery]) -> None:
    """Write where *changed*, which are locked, stand now."""
    rows = [
        {
            "delivery_id": item.id,
            "new_status": item.status,
            "new_attempts": item.attempts,
            "new_next_attempt_at": item.next_attempt_at,
            "new_claim_id": item.claim_id,
            "new_reply_id": item.reply_id,
            "new_updated_at": item.updated_at,
        }
        for item in changed
    ]
    if rows:
        await tx.execute(_SAVE, rows)


async def add_attempts(tx: Transaction, new: Iterable[WebhookAttempt]) -> None:
    """Store *new*."""
    rows = [
        {column.name: getattr(item, column.name) for column in webhook_attempts.c} for item in new
    ]
    await insert_all_if_absent(tx, webhook_attempts, rows)


async def let_next_go(tx: Transaction, ended: Iterable[WebhookDelivery], *, now: datetime) -> None:
    """Let what waits for each of *ended*, which are no longer pending, be attempted now."""
    rows = [
        {"of_endpoint": item.endpoint_id, "of_message": item.message_id, "now": now}
        for item in ended
        if item.message_id is not None
    ]
    if rows:
        await tx.execute(_LET_NEXT_GO, rows)


async def lock_replayed(
    tx: Transaction, endpoint_id: str, event_ids: Iterable[str]
) -> list[WebhookDelivery]:
    """Return the deliveries of those events to that webhook endpoint, locked."""
    parameters = {"of_endpoint": endpoint_id, "ids": as_list(tx.dialect, sorted(event_ids))}
    return [_to_delivery(row) for row in await tx.execute(_replayed(tx.dialect), parameters)]


async def lock_dead(
    tx: Transaction, endpoint_id: str, *, after: str, limit: int
) -> list[WebhookDelivery]:
    """Return up to *limit* dead deliveries with ids above *after*, oldest first, locked."""
    parameters = {"of_endpoint": endpoint_id, "after": after, "limit": limit}
    return [_to_delivery(row) for row in await tx.execute(_DEAD, parameters)]


async def bury(tx: Transaction, endpoint_id: str, *, now: datetime, limit: int) -> int:
    """End up to *limit* deliveries of that webhook endpoint as dead; return how many they were.

    What another process has locked is left out.
    """
    parameters = {
        "of_endpoint": endpoint_id,
        "now": now,
        "most": limit,
        "dead": DeliveryStatus.DEAD,
    }
    return (await tx.execute(_burying(tx.dialect), parameters)).rowcount


async def find_delivery(
    tx: Transaction, endpoint_id: str, delivery_id: str
) -> WebhookDelivery | None:
    """Return that delivery to that webhook endpoint."""
    parameters = {"delivery_id": delivery_id, "of_endpoint": endpoint_id}
    row = (await tx.execute(_BY_ID, parameters)).one_or_none()
    return _to_delivery(row) if row else None


async def list_deliveries(
    tx: Transaction, endpoint_id: str, status: DeliveryStatus | None, *, before: str, limit: int
) -> list[WebhookDelivery]:
    """Return up to *limit* deliveries with ids below *before*, newest first."""
    parameters = {"of_endpoint": endpoint_id, "before": before, "limit": limit}
    return [_to_delivery(row) for row in await tx.execute(_PAGES[status], parameters)]


async def list_attempts(tx: Transaction, delivery_id: str) -> list[WebhookAttempt]:
    """Return the attempts of that delivery, in order."""
    rows = await tx.execute(_ATTEMPTS, {"of_delivery": delivery_id})
    return [_to_attempt(row) for row in rows]


@lru_cache
def _replayed(dialect: str) -> Executable:
    return (
        select(webhook_deliveries)
        .where(
            is_one_of(dialect, _COLUMNS.event_id, "ids"),
            _COLUMNS.endpoint_id == bindparam("of_endpoint"),
        )
        .order_by(_COLUMNS.id)
        .with_for_update()
    )


@lru_cache
def _locking(dialect: str) -> Executable:
    return (
        select(webhook_deliveries, _LAST_NUMBER.label("last_number"))
        .where(is_one_of(dialect, _COLUMNS.id, "ids"))
        .order_by(_COLUMNS.id)
        .with_for_update(of=webhook_deliveries)
    )


@lru_cache
def _burying(_dialect: str) -> Executable:
    waiting = (
        select(_COLUMNS.id)
        .where(_COLUMNS.endpoint_id == bindparam("of_endpoint"), _IS_PENDING)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)
    )
    return (
        update(webhook_deliveries)
        .where(_COLUMNS.id.in_(waiting))
        .values(
            status=bindparam("dead"),
            next_attempt_at=None,
            claim_id=None,
            updated_at=bindparam("now"),
        )
    )


def _to_values(delivery: WebhookDelivery) -> dict[str, Any]:
    return {column.name: getattr(delivery, column.name) for column in _COLUMNS}


def _to_delivery(row: Row[Any]) -> WebhookDelivery:
    return WebhookDelivery(
        id=row.id,
        endpoint_id=row.endpoint_id,
        event_id=row.event_id,
        event_seq=row.event_seq,
        event_type=EventType(row.event_type),
        message_id=row.message_id,
        url=row.url,
        content=row.content,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        claim_id=row.claim_id,
        reply_id=row.reply_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _to_attempt(row: Row[Any]) -> WebhookAttempt:
    return WebhookAttempt(
        delivery_id=row.delivery_id,
        number=row.number,
        started_at=row.started_at,
        duration_ms=row.duration_ms,
        outcome=OutcomeKind(row.outcome),
        http_status=row.http_status,
        fault=Fault(row.fault) if row.fault else None,
        detail=row.detail,
        excerpt=row.excerpt,
        reply_problem=row.reply_problem,
    )
