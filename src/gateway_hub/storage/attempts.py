"""Attempts: each hand-over of a message to one device, and what is known of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, and_, bindparam, insert, select, text, tuple_, update
from sqlalchemy.engine import Row

from gateway_hub.domain.clock import from_epoch_ms
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message, MessageError
from gateway_hub.storage.column_types import UtcMoment
from gateway_hub.storage.lists import as_list, is_one_of
from gateway_hub.storage.tables import attempts, messages
from gateway_hub.storage.transactions import Transaction

# Written out, not bound: a planner uses a partial index only if it sees the condition itself.
_IS_DISPATCHED = text("attempts.status = 'dispatched'")
_IS_WORKING = text("attempts.status IN ('accepted', 'pending')")

# An attempt that another has followed, or whose message has ended, is nobody's business any more.
IS_CURRENT = and_(
    attempts.c.number == messages.c.attempt_count,
    messages.c.status.in_([Status.DISPATCHED, Status.ACCEPTED, Status.PENDING, Status.UNCERTAIN]),
)

_ATTEMPTS = (
    select(attempts)
    .where(attempts.c.message_id.in_(bindparam("message_ids", expanding=True)))
    .order_by(attempts.c.message_id, attempts.c.number)
)
_CURRENT_ATTEMPT = select(attempts).where(
    attempts.c.message_id == bindparam("of_message"), attempts.c.number == bindparam("of_number")
)
_LOCK_ATTEMPTS = (
    select(attempts)
    .join(messages, messages.c.id == attempts.c.message_id)
    .order_by(messages.c.id)
    .with_for_update(of=[messages, attempts])
)
_SAVE_ATTEMPT = (
    update(attempts)
    .where(attempts.c.wire_id == bindparam("of_wire_id"))
    .values(
        status=bindparam("new_status"),
        lease_until=bindparam("new_lease_until"),
        soft_failures=bindparam("new_soft_failures"),
        last_sign_at=bindparam("new_last_sign_at"),
        last_failed_at=bindparam("new_last_failed_at"),
        error_code=bindparam("new_error_code"),
        error_message=bindparam("new_error_message"),
    )
)
_SILENT = (
    select(attempts)
    .join(messages, messages.c.id == attempts.c.message_id)
    .where(IS_CURRENT)
    .limit(bindparam("most"))
    .with_for_update(of=[messages, attempts], skip_locked=True)
)
_HELD_BY = tuple(
    _SILENT.where(has_it, attempts.c.device_id.in_(bindparam("device_ids", expanding=True)))
    for has_it in (_IS_DISPATCHED, _IS_WORKING)
)
_OVERDUE = (
    select(attempts, messages.c.expires_at.label("message_expires_at"))
    .join(messages, messages.c.id == attempts.c.message_id)
    .where(
        IS_CURRENT,
        _IS_DISPATCHED,
        attempts.c.lease_until <= bindparam("now"),
        tuple_(attempts.c.lease_until, attempts.c.wire_id)
        > tuple_(bindparam("after_lease", type_=UtcMoment()), bindparam("after_wire_id")),
    )
    .order_by(attempts.c.lease_until, attempts.c.wire_id)
    .limit(bindparam("most"))
)
_LOCK_UNHEARD_OF = (
    _SILENT.with_only_columns(attempts)
    .where(_IS_DISPATCHED, attempts.c.lease_until <= bindparam("now"))
    .order_by(attempts.c.lease_until)
)
_WORKING_SILENTLY = _SILENT.where(
    _IS_WORKING, attempts.c.last_sign_at <= bindparam("since")
).order_by(attempts.c.last_sign_at)
_ASK_BACK = (
    update(attempts)
    .where(attempts.c.wire_id == bindparam("of_wire_id"))
    .values(cancel_requested_at=bindparam("now"), lease_until=bindparam("new_lease_until"))
)
_ASKED_BACK = select(attempts.c.wire_id).where(
    attempts.c.device_id == bindparam("of_device"),
    attempts.c.cancel_requested_at > bindparam("since"),
    attempts.c.cancel_requested_at.is_not(None),
    attempts.c.status.in_([Status.DISPATCHED, Status.ACCEPTED, Status.UNCERTAIN]),
)


@dataclass(frozen=True, slots=True)
class OverdueAttempt:
    """An attempt whose lease ran out without a sign, and when its message expires."""

    attempt: Attempt
    expires_at: datetime | None


async def add_attempts(
    tx: Transaction,
    new: Iterable[Attempt],
    *,
    request_key: str,
    inbound_message_id: str | None,
) -> None:
    """Store *new*, with the request and the inbound message whose answer carries them."""
    rows = [
        {
            "wire_id": attempt.wire_id,
            "message_id": attempt.message_id,
            "device_id": attempt.device_id,
            "number": attempt.number,
            "status": attempt.status,
            "offers": attempt.offers,
            "first_offered_at": attempt.first_offered_at,
            "last_offered_at": attempt.last_offered_at,
            "lease_until": attempt.lease_until,
            "last_sign_at": attempt.last_sign_at,
            "soft_failures": attempt.soft_failures,
            "request_key": request_key,
            "inbound_message_id": inbound_message_id,
        }
        for attempt in new
    ]
    if rows:
        await tx.execute(insert(attempts), rows)


async def find_attempts(tx: Transaction, message_ids: Sequence[str]) -> list[Attempt]:
    """Return the attempts of *message_ids*, oldest first."""
    if not message_ids:
        return []
    rows = await tx.execute(_ATTEMPTS, {"message_ids": list(message_ids)})
    return [to_attempt(row) for row in rows]


async def find_current_attempt(tx: Transaction, message: Message) -> Attempt | None:
    """Return the last attempt of *message*."""
    parameters = {"of_message": message.id, "of_number": message.attempt_count}
    row = (await tx.execute(_CURRENT_ATTEMPT, parameters)).one_or_none()
    return to_attempt(row) if row else None


async def find_last_attempts(tx: Transaction, of: Iterable[Message]) -> dict[str, Attempt]:
    """Return by message id the last attempt of each message that has had one."""
    ids = [message.id for message in of if message.attempt_count]
    return {attempt.message_id: attempt for attempt in await find_attempts(tx, ids)}


async def lock_attempts(tx: Transaction, wire_ids: Iterable[str]) -> dict[str, Attempt]:
    """Return the attempts with those wire ids; they and their messages are locked."""
    wanted = as_list(tx.dialect, sorted(set(wire_ids)))
    rows = await tx.execute(_lock_attempts(tx.dialect), {"wire_ids": wanted})
    return {row.wire_id: to_attempt(row) for row in rows}


@lru_cache
def _lock_attempts(dialect: str) -> Executable:
    return _LOCK_ATTEMPTS.where(is_one_of(dialect, attempts.c.wire_id, "wire_ids"))


async def save_attempts(tx: Transaction, changed: Iterable[Attempt]) -> None:
    """Write the status, failures and error of each attempt."""
    rows = [
        {
            "of_wire_id": attempt.wire_id,
            "new_status": attempt.status,
            "new_lease_until": attempt.lease_until,
            "new_soft_failures": attempt.soft_failures,
            "new_last_sign_at": attempt.last_sign_at,
            "new_last_failed_at": attempt.last_failed_at,
            "new_error_code": attempt.error.code if attempt.error else None,
            "new_error_message": attempt.error.message if attempt.error else None,
        }
        for attempt in changed
    ]
    if rows:
        await tx.execute(_SAVE_ATTEMPT, rows)


async def lock_held(tx: Transaction, device_ids: Sequence[str], *, limit: int) -> list[Attempt]:
    """Return attempts in the hands of *device_ids*, with messages locked: up to *limit* that are
    unheard of, and as many that the phones work on."""
    parameters = {"device_ids": list(device_ids), "most": limit}
    return [
        to_attempt(row) for statement in _HELD_BY for row in await tx.execute(statement, parameters)
    ]


async def find_overdue(
    tx: Transaction, *, now: datetime, after: Attempt | None, limit: int
) -> list[OverdueAttempt]:
    """Return attempts of any device whose lease ran out without a sign, longest first.

    They are not locked: most of them only wait for their phone to ask.
    """
    parameters = {
        "now": now,
        "after_lease": after.lease_until if after else from_epoch_ms(0),
        "after_wire_id": after.wire_id if after else "",
        "most": limit,
    }
    return [
        OverdueAttempt(to_attempt(row), row.message_expires_at)
        for row in await tx.execute(_OVERDUE, parameters)
    ]


async def lock_overdue(
    tx: Transaction, wire_ids: Iterable[str], *, now: datetime, limit: int
) -> list[Attempt]:
    """Return which of those attempts are still overdue; they and their messages are locked."""
    wanted = as_list(tx.dialect, wire_ids)
    parameters = {"wire_ids": wanted, "now": now, "most": limit}
    rows = await tx.execute(_lock_overdue(tx.dialect), parameters)
    return [to_attempt(row) for row in rows]


@lru_cache
def _lock_overdue(dialect: str) -> Executable:
    return _LOCK_UNHEARD_OF.where(is_one_of(dialect, attempts.c.wire_id, "wire_ids"))


async def lock_working_silently(tx: Transaction, *, since: datetime, limit: int) -> list[Attempt]:
    """Return attempts that phones work on, with no sign since then; their messages are locked."""
    rows = await tx.execute(_WORKING_SILENTLY, {"since": since, "most": limit})
    return [to_attempt(row) for row in rows]


async def ask_back(tx: Transaction, wire_id: str, *, now: datetime, lease_until: datetime) -> None:
    """Note that the phone is to be asked to give the message back, and has until then to say so."""
    await tx.execute(_ASK_BACK, {"of_wire_id": wire_id, "now": now, "new_lease_until": lease_until})


async def find_asked_back(tx: Transaction, device_id: str, *, since: datetime) -> list[str]:
    """Return the wire ids the device was to give back since then, and has not spoken of."""
    rows = await tx.execute(_ASKED_BACK, {"of_device": device_id, "since": since})
    return list(rows.scalars())


def to_attempt(row: Row[Any]) -> Attempt:
    """Return the attempt a row of the attempts table stands for."""
    return Attempt(
        wire_id=row.wire_id,
        message_id=row.message_id,
        device_id=row.device_id,
        number=row.number,
        status=Status(row.status),
        offers=row.offers,
        first_offered_at=row.first_offered_at,
        last_offered_at=row.last_offered_at,
        lease_until=row.lease_until,
        last_sign_at=row.last_sign_at,
        soft_failures=row.soft_failures,
        last_failed_at=row.last_failed_at,
        cancel_requested_at=row.cancel_requested_at,
        error=MessageError(row.error_code, row.error_message) if row.error_code else None,
    )
