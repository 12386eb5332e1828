"""The queue of outbound messages: claims, attempts under leases, and reports about them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, insert, literal, or_, select, text, update
from sqlalchemy.engine import Row

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message, ReportRecord
from gateway_hub.domain.numbers import handover_number
from gateway_hub.domain.phone_posts import Offer
from gateway_hub.domain.silence import OFFER_AGAIN_FOR
from gateway_hub.storage.inserts import insert_all_if_absent
from gateway_hub.storage.messages import MESSAGE_COLUMNS, to_attempt, to_message
from gateway_hub.storage.tables import attempts, messages, reports
from gateway_hub.storage.transactions import Transaction

# Written out, not bound: a planner uses a partial index only if it sees the condition itself.
_IS_QUEUED = text("messages.status = 'queued'")
_IS_SCHEDULED = text("messages.status = 'scheduled'")
_IS_WAITING = text("messages.status IN ('scheduled', 'queued') AND messages.expires_at IS NOT NULL")
_IS_DISPATCHED = text("attempts.status = 'dispatched'")
_IS_UNHEARD_OF = text("attempts.status IN ('dispatched', 'uncertain')")
_IS_WORKING = text("attempts.status IN ('accepted', 'pending')")
_IS_PREFERRED = text("messages.status = 'queued' AND messages.preferred_until IS NOT NULL")

# An attempt that another has followed, or whose message has ended, is nobody's business any more.
_IS_CURRENT = and_(
    attempts.c.number == messages.c.attempt_count,
    messages.c.status.in_([Status.DISPATCHED, Status.ACCEPTED, Status.PENDING, Status.UNCERTAIN]),
)

_LOCKED_MESSAGE = select(*MESSAGE_COLUMNS, literal(0).label("repeats"))
_NOT_EXPIRED = or_(messages.c.expires_at.is_(None), messages.c.expires_at > bindparam("now"))

_HEAD_OF_QUEUE = (
    _LOCKED_MESSAGE.where(messages.c.queue == bindparam("queue"), _IS_QUEUED, _NOT_EXPIRED)
    .order_by(messages.c.priority.desc(), messages.c.id)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_HAS_QUEUED = (
    select(literal(1))
    .where(messages.c.queue.in_(bindparam("queues", expanding=True)), _IS_QUEUED, _NOT_EXPIRED)
    .limit(1)
)
_HELD = (
    select(
        attempts,
        messages.c.to_number,
        messages.c.to_e164,
        messages.c.text,
        messages.c.priority,
    )
    .join(messages, messages.c.id == attempts.c.message_id)
    .where(attempts.c.device_id == bindparam("of_device"), _IS_UNHEARD_OF, _IS_CURRENT)
)
_OVERDUE = _HELD.where(
    attempts.c.lease_until <= bindparam("now"),
    attempts.c.offers < bindparam("offers_below"),
    attempts.c.first_offered_at > bindparam("offered_since"),
    _NOT_EXPIRED,
)
_HELD_DUE = (
    _OVERDUE.order_by(attempts.c.lease_until)
    .limit(bindparam("most"))
    .with_for_update(of=attempts, skip_locked=True)
)
_HELD_OF_REQUEST = _HELD.where(
    attempts.c.request_key == bindparam("request_key"), attempts.c.request_key.is_not(None)
).order_by(attempts.c.wire_id)
_HELD_OF_INBOUND = _HELD.where(
    attempts.c.inbound_message_id.in_(bindparam("inbound_ids", expanding=True)),
    attempts.c.inbound_message_id.is_not(None),
    attempts.c.lease_until > bindparam("now"),
).order_by(attempts.c.wire_id)
_HAS_DUE = _OVERDUE.with_only_columns(literal(1)).limit(1)
_RENEW = (
    update(attempts)
    .where(attempts.c.wire_id == bindparam("of_wire_id"))
    .values(
        offers=bindparam("new_offers"),
        last_offered_at=bindparam("now"),
        lease_until=bindparam("new_lease_until"),
        request_key=bindparam("new_request_key"),
        inbound_message_id=func.coalesce(
            bindparam("new_inbound_id"), attempts.c.inbound_message_id
        ),
    )
)
_LOCK_REQUEST = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("request"), 0)))
_LOCK_ATTEMPTS = (
    select(attempts)
    .join(messages, messages.c.id == attempts.c.message_id)
    .where(
        attempts.c.wire_id.in_(bindparam("wire_ids", expanding=True)),
        attempts.c.device_id == bindparam("of_device"),
    )
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
_DUE_SCHEDULED = (
    _LOCKED_MESSAGE.where(_IS_SCHEDULED, messages.c.due_at <= bindparam("now"))
    .order_by(messages.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_PREFERRED_PAST = (
    _LOCKED_MESSAGE.where(_IS_PREFERRED, messages.c.preferred_until <= bindparam("now"))
    .order_by(messages.c.preferred_until)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_SILENT = (
    select(attempts)
    .join(messages, messages.c.id == attempts.c.message_id)
    .where(_IS_CURRENT)
    .limit(bindparam("most"))
    .with_for_update(of=[messages, attempts], skip_locked=True)
)
_OVERDUE_ANYWHERE = _SILENT.where(
    _IS_DISPATCHED, attempts.c.lease_until <= bindparam("now")
).order_by(attempts.c.lease_until)
_WORKING_SILENTLY = _SILENT.where(
    _IS_WORKING, attempts.c.last_sign_at <= bindparam("since")
).order_by(attempts.c.last_sign_at)
_ASK_BACK = (
    update(attempts)
    .where(attempts.c.wire_id == bindparam("of_wire_id"))
    .values(cancel_requested_at=bindparam("now"), lease_until=bindparam("new_lease_until"))
)
_CURRENT_ATTEMPT = select(attempts).where(
    attempts.c.message_id == bindparam("of_message"), attempts.c.number == bindparam("of_number")
)
_ASKED_BACK = select(attempts.c.wire_id).where(
    attempts.c.device_id == bindparam("of_device"),
    attempts.c.cancel_requested_at > bindparam("since"),
    attempts.c.cancel_requested_at.is_not(None),
    attempts.c.status.in_([Status.DISPATCHED, Status.ACCEPTED]),
)
_EXPIRED_WAITING = (
    _LOCKED_MESSAGE.where(_IS_WAITING, messages.c.expires_at <= bindparam("now"))
    .order_by(messages.c.expires_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)


@dataclass(frozen=True, slots=True)
class HeldOffer:
    """A message in a device's hands: the attempt, and what the phone is told of it."""

    attempt: Attempt
    offer: Offer


async def lock_queue_heads(
    tx: Transaction, queues: Iterable[str], *, now: datetime, limit: int
) -> list[list[Message]]:
    """Return the *limit* best messages of each of *queues*: highest priority first, then oldest.

    They are locked until the end of the transaction; what another process has locked is left out,
    so that two never get the same.
    """
    heads: list[list[Message]] = []
    for queue in queues:
        rows = await tx.execute(_HEAD_OF_QUEUE, {"queue": queue, "now": now, "most": limit})
        heads.append([to_message(row) for row in rows])
    return heads


async def has_work(
    tx: Transaction, *, device_id: str, queues: Sequence[str], now: datetime, offers_below: int
) -> bool:
    """Say whether there is anything queued for the device, or held by it and due again."""
    queued = await tx.execute(_HAS_QUEUED, {"queues": list(queues), "now": now})
    if queued.first() is not None:
        return True
    held = {
        "of_device": device_id,
        "now": now,
        "offers_below": offers_below,
        "offered_since": now - OFFER_AGAIN_FOR,
    }
    return (await tx.execute(_HAS_DUE, held)).first() is not None


async def lock_due_offers(
    tx: Transaction, *, device_id: str, now: datetime, offers_below: int, limit: int
) -> list[HeldOffer]:
    """Return what the device holds silently past its lease, longest overdue first."""
    parameters = {
        "of_device": device_id,
        "now": now,
        "offers_below": offers_below,
        "offered_since": now - OFFER_AGAIN_FOR,
        "most": limit,
    }
    return [_to_held(row) for row in await tx.execute(_HELD_DUE, parameters)]


async def lock_request(tx: Transaction, device_id: str, request_key: str) -> None:
    """Wait until no other transaction answers that same request.

    SQLite has one writer, so that nobody else can.
    """
    if tx.dialect == "postgresql":
        await tx.execute(_LOCK_REQUEST, {"request": f"{device_id} {request_key}"})


async def find_offers_of_request(
    tx: Transaction, device_id: str, request_key: str
) -> list[HeldOffer]:
    """Return what was offered in the answer to that same request, and is still open."""
    parameters = {"of_device": device_id, "request_key": request_key}
    return [_to_held(row) for row in await tx.execute(_HELD_OF_REQUEST, parameters)]


async def find_offers_with_inbound(
    tx: Transaction, device_id: str, inbound_ids: Sequence[str], *, now: datetime
) -> list[HeldOffer]:
    """Return what was offered in the answer to those inbound messages, and is under its lease.

    After that the lease decides: a phone may repeat a message a day later, having forgotten what
    it has sent.
    """
    if not inbound_ids:
        return []
    parameters = {"of_device": device_id, "inbound_ids": list(inbound_ids), "now": now}
    return [_to_held(row) for row in await tx.execute(_HELD_OF_INBOUND, parameters)]


async def renew_leases(
    tx: Transaction,
    renewed: Iterable[tuple[str, int, datetime]],
    *,
    now: datetime,
    request_key: str | None,
    inbound_message_id: str | None,
) -> None:
    """Write the number of offers and the end of the lease of each ``(wire id, offers, until)``.

    With them the request and the inbound message whose answer carries them now.
    """
    rows = [
        {
            "of_wire_id": wire_id,
            "new_offers": offers,
            "new_lease_until": until,
            "new_request_key": request_key,
            "new_inbound_id": inbound_message_id,
            "now": now,
        }
        for wire_id, offers, until in renewed
    ]
    if rows:
        await tx.execute(_RENEW, rows)


async def add_attempts(
    tx: Transaction,
    new: Iterable[Attempt],
    *,
    request_key: str | None,
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


async def lock_attempts(
    tx: Transaction, device_id: str, wire_ids: Iterable[str]
) -> dict[str, Attempt]:
    """Return the device's attempts with those wire ids; they and their messages are locked."""
    wanted = sorted(set(wire_ids))
    if not wanted:
        return {}
    rows = await tx.execute(_LOCK_ATTEMPTS, {"wire_ids": wanted, "of_device": device_id})
    return {row.wire_id: to_attempt(row) for row in rows}


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


async def add_reports(
    tx: Transaction, device_id: str, new: Iterable[tuple[str, str, ReportRecord]]
) -> None:
    """Store each ``(id, message id, report)`` of the device; one that is stored stays as it is."""
    rows = [
        {
            "id": report_id,
            "wire_id": record.wire_id,
            "message_id": message_id,
            "device_id": device_id,
            "raw_status": record.raw_status,
            "reason": record.reason,
            "received_at": record.received_at,
            "applied": record.applied,
        }
        for report_id, message_id, record in new
    ]
    await insert_all_if_absent(tx, reports, rows)


async def lock_overdue(tx: Transaction, *, now: datetime, limit: int) -> list[Attempt]:
    """Return attempts of any device whose lease ran out without a sign, with messages locked."""
    rows = await tx.execute(_OVERDUE_ANYWHERE, {"now": now, "most": limit})
    return [to_attempt(row) for row in rows]


async def lock_working_silently(tx: Transaction, *, since: datetime, limit: int) -> list[Attempt]:
    """Return attempts that phones work on, with no sign since then; their messages are locked."""
    rows = await tx.execute(_WORKING_SILENTLY, {"since": since, "most": limit})
    return [to_attempt(row) for row in rows]


async def find_current_attempt(tx: Transaction, message: Message) -> Attempt | None:
    """Return the last attempt of *message*."""
    parameters = {"of_message": message.id, "of_number": message.attempt_count}
    row = (await tx.execute(_CURRENT_ATTEMPT, parameters)).one_or_none()
    return to_attempt(row) if row else None


async def ask_back(tx: Transaction, wire_id: str, *, now: datetime, lease_until: datetime) -> None:
    """Note that the phone is to be asked to give the message back, and has until then to say so."""
    await tx.execute(_ASK_BACK, {"of_wire_id": wire_id, "now": now, "new_lease_until": lease_until})


async def find_asked_back(tx: Transaction, device_id: str, *, since: datetime) -> list[str]:
    """Return the wire ids the device was to give back since then, and has not spoken of."""
    rows = await tx.execute(_ASKED_BACK, {"of_device": device_id, "since": since})
    return list(rows.scalars())


async def lock_preferred_past(tx: Transaction, *, now: datetime, limit: int) -> list[Message]:
    """Return queued messages whose preferred device had its time."""
    return [
        to_message(row) for row in await tx.execute(_PREFERRED_PAST, {"now": now, "most": limit})
    ]


async def lock_due_scheduled(tx: Transaction, *, now: datetime, limit: int) -> list[Message]:
    """Return scheduled messages whose time has come."""
    return [
        to_message(row) for row in await tx.execute(_DUE_SCHEDULED, {"now": now, "most": limit})
    ]


async def lock_expired(tx: Transaction, *, now: datetime, limit: int) -> list[Message]:
    """Return messages that no phone got before they expired."""
    return [
        to_message(row) for row in await tx.execute(_EXPIRED_WAITING, {"now": now, "most": limit})
    ]


def _to_held(row: Row[Any]) -> HeldOffer:
    offer = Offer(row.wire_id, handover_number(row.to_number, row.to_e164), row.text, row.priority)
    return HeldOffer(attempt=to_attempt(row), offer=offer)
