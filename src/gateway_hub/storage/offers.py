"""What devices hold unheard of, to be offered once more under the same wire id, and its leases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, literal, select, text, update
from sqlalchemy.engine import Row

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt
from gateway_hub.domain.numbers import handover_number
from gateway_hub.domain.phone_posts import Offer
from gateway_hub.domain.silence import OFFER_AGAIN_FOR
from gateway_hub.storage.attempts import IS_CURRENT, to_attempt
from gateway_hub.storage.queues import NOT_EXPIRED
from gateway_hub.storage.tables import attempts, messages
from gateway_hub.storage.transactions import Transaction

# Written out, not bound: a planner uses a partial index only if it sees the condition itself.
_IS_UNHEARD_OF = text("attempts.status IN ('dispatched', 'uncertain')")

_HELD = (
    select(
        attempts,
        messages.c.to_number,
        messages.c.to_e164,
        messages.c.text,
        messages.c.priority,
        messages.c.segments,
    )
    .join(messages, messages.c.id == attempts.c.message_id)
    .where(attempts.c.device_id == bindparam("of_device"), _IS_UNHEARD_OF, IS_CURRENT)
)
_OVERDUE = _HELD.where(
    attempts.c.lease_until <= bindparam("now"),
    attempts.c.offers < bindparam("offers_below"),
    attempts.c.first_offered_at > bindparam("offered_since"),
    # No lease ends before its first offer: in the index, unlike that, it leaves out what is old.
    attempts.c.lease_until > bindparam("offered_since"),
    attempts.c.cancel_requested_at.is_(None),
    NOT_EXPIRED,
)
_HELD_DUE = (
    _OVERDUE.order_by(attempts.c.lease_until)
    .limit(bindparam("most"))
    .with_for_update(of=attempts, skip_locked=True)
)
_HAS_DUE = _OVERDUE.with_only_columns(literal(1)).limit(1)
# What is in doubt is not told again with an old answer: only once its own time has come.
_HELD_IN_HOPE = _HELD.where(attempts.c.status == Status.DISPATCHED)
_HELD_OF_REQUEST = _HELD_IN_HOPE.where(
    attempts.c.request_key == bindparam("request_key"),
    attempts.c.request_key.is_not(None),
    NOT_EXPIRED,
).order_by(attempts.c.wire_id)
_HELD_OF_INBOUND = _HELD_IN_HOPE.where(
    attempts.c.inbound_message_id.in_(bindparam("inbound_ids", expanding=True)),
    attempts.c.inbound_message_id.is_not(None),
    attempts.c.lease_until > bindparam("now"),
    NOT_EXPIRED,
).order_by(attempts.c.wire_id)
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
_LOCK_TURN = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("device"), 0)))


@dataclass(frozen=True, slots=True)
class HeldOffer:
    """A message in a device's hands: the attempt, and what the phone is told of it."""

    attempt: Attempt
    offer: Offer
    segments: int


async def has_due_offers(
    tx: Transaction, *, device_id: str, now: datetime, offers_below: int
) -> bool:
    """Say whether the device holds anything silently past its lease."""
    parameters = {
        "of_device": device_id,
        "now": now,
        "offers_below": offers_below,
        "offered_since": now - OFFER_AGAIN_FOR,
    }
    return (await tx.execute(_HAS_DUE, parameters)).first() is not None


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


async def lock_turn(tx: Transaction, device_id: str) -> None:
    """Wait until no other transaction gives work to the device.

    Two that did at one moment would both spend the same budget, and would answer a request and its
    repeat with different messages. SQLite has one writer, so that nobody else can.
    """
    if tx.dialect == "postgresql":
        await tx.execute(_LOCK_TURN, {"device": device_id})


async def find_offers_of_request(
    tx: Transaction, device_id: str, request_key: str, *, now: datetime
) -> list[HeldOffer]:
    """Return what was offered in the answer to that same request, and is still open."""
    parameters = {"of_device": device_id, "request_key": request_key, "now": now}
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
    request_key: str,
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


def _to_held(row: Row[Any]) -> HeldOffer:
    offer = Offer(row.wire_id, handover_number(row.to_number, row.to_e164), row.text, row.priority)
    return HeldOffer(to_attempt(row), offer, row.segments or 1)
