"""Messages that wait in queues: who is next, and whose time has come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, literal, or_, select, text

from gateway_hub.domain.messages import Message
from gateway_hub.storage.messages import LOCKED_MESSAGE, read_locked
from gateway_hub.storage.tables import device_recipients, messages
from gateway_hub.storage.transactions import Transaction

# Written out, not bound: a planner uses a partial index only if it sees the condition itself.
_IS_QUEUED = text("messages.status = 'queued'")
_IS_SCHEDULED = text("messages.status = 'scheduled'")
_IS_WAITING = text("messages.status IN ('scheduled', 'queued') AND messages.expires_at IS NOT NULL")
_IS_PREFERRED = text("messages.status = 'queued' AND messages.preferred_until IS NOT NULL")

NOT_EXPIRED = or_(messages.c.expires_at.is_(None), messages.c.expires_at > bindparam("now"))
_HEAD_OF_QUEUE = (
    LOCKED_MESSAGE.where(messages.c.queue == bindparam("queue"), _IS_QUEUED, NOT_EXPIRED)
    .order_by(messages.c.priority.desc(), messages.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_CONFINED_HEAD_OF_QUEUE = _HEAD_OF_QUEUE.where(
    select(literal(1))
    .where(
        device_recipients.c.device_id == bindparam("of_device"),
        device_recipients.c.month == bindparam("of_month"),
        device_recipients.c.contact_key == messages.c.contact_key,
    )
    .exists()
)
_HAS_QUEUED = (
    select(literal(1))
    .where(messages.c.queue.in_(bindparam("queues", expanding=True)), _IS_QUEUED, NOT_EXPIRED)
    .limit(1)
)
_DUE_SCHEDULED = (
    LOCKED_MESSAGE.where(_IS_SCHEDULED, messages.c.due_at <= bindparam("now"))
    .order_by(messages.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_PREFERRED_PAST = (
    LOCKED_MESSAGE.where(_IS_PREFERRED, messages.c.preferred_until <= bindparam("now"))
    .order_by(messages.c.preferred_until)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_WAITING_IN = tuple(
    LOCKED_MESSAGE.where(waits, messages.c.queue.in_(bindparam("queues", expanding=True)))
    .order_by(messages.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
    for waits in (_IS_QUEUED, _IS_SCHEDULED)
)
_EXPIRED_WAITING = (
    LOCKED_MESSAGE.where(_IS_WAITING, messages.c.expires_at <= bindparam("now"))
    .order_by(messages.c.expires_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)


@dataclass(frozen=True, slots=True)
class Confinement:
    """Only to whom the device has sent in *month*: it may send to nobody new."""

    device_id: str
    month: str


async def lock_queue_heads(
    tx: Transaction,
    queues: Iterable[str],
    *,
    now: datetime,
    limit: int,
    confined_to: Confinement | None = None,
) -> list[list[Message]]:
    """Return the *limit* best messages of each of *queues*: highest priority first, then oldest.

    Those to others than *confined_to* are passed over. They are locked until the end of the
    transaction; what another process has locked is left out, so that two never get the same.
    """
    heads: list[list[Message]] = []
    statement = _HEAD_OF_QUEUE
    parameters: dict[str, Any] = {"now": now, "most": limit}
    if confined_to is not None:
        statement = _CONFINED_HEAD_OF_QUEUE
        parameters |= {"of_device": confined_to.device_id, "of_month": confined_to.month}
    for queue in queues:
        rows = await tx.execute(statement, parameters | {"queue": queue})
        heads.append(read_locked(tx, rows))
    return heads


async def has_queued(tx: Transaction, queues: Sequence[str], *, now: datetime) -> bool:
    """Say whether there is anything in *queues* that a device could be offered."""
    rows = await tx.execute(_HAS_QUEUED, {"queues": list(queues), "now": now})
    return rows.first() is not None


async def lock_waiting(tx: Transaction, queues: Sequence[str], *, limit: int) -> list[Message]:
    """Return up to *limit* queued and as many scheduled messages of *queues*."""
    parameters = {"queues": list(queues), "most": limit}
    return [
        message
        for statement in _WAITING_IN
        for message in read_locked(tx, await tx.execute(statement, parameters))
    ]


async def lock_due_scheduled(tx: Transaction, *, now: datetime, limit: int) -> list[Message]:
    """Return scheduled messages whose time has come."""
    return read_locked(tx, await tx.execute(_DUE_SCHEDULED, {"now": now, "most": limit}))


async def lock_preferred_past(tx: Transaction, *, now: datetime, limit: int) -> list[Message]:
    """Return queued messages whose preferred device had its time."""
    return read_locked(tx, await tx.execute(_PREFERRED_PAST, {"now": now, "most": limit}))


async def lock_expired(tx: Transaction, *, now: datetime, limit: int) -> list[Message]:
    """Return messages that no phone got before they expired."""
    return read_locked(tx, await tx.execute(_EXPIRED_WAITING, {"now": now, "most": limit}))
