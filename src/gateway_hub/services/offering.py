"""Handing queued messages to a phone: under a lease, each to one phone only."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from gateway_hub.domain.devices import LEASE_POLICIES, MAX_OFFERS_PER_ANSWER, Device
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message
from gateway_hub.domain.numbers import handover_number
from gateway_hub.domain.phone_posts import CancelCommand, Offer
from gateway_hub.domain.reporting import move
from gateway_hub.domain.routing import served_queues
from gateway_hub.domain.silence import SILENCE_LIMITS
from gateway_hub.services import budgets
from gateway_hub.services.app_memory import may_have_forgotten
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import offers as offer_rows
from gateway_hub.storage import queues as queue_rows
from gateway_hub.storage.offers import HeldOffer
from gateway_hub.storage.transactions import Transaction

_NO_LIMIT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Occasion:
    """The request that is being answered, and what may show that it was answered before.

    *key* stands for it, and for the same request sent again if *may_be_repeat*. *repeated_ids* are
    those of *inbound_ids*, the messages it brought, that some request brought before.
    """

    key: str
    may_be_repeat: bool = False
    inbound_ids: tuple[str, ...] = ()
    repeated_ids: tuple[str, ...] = ()

    @property
    def inbound_message_id(self) -> str | None:
        """The inbound message that stands for the request when it is repeated."""
        return self.inbound_ids[0] if self.inbound_ids else None


async def has_work(tx: Transaction, device: Device, now: datetime, request_key: str | None) -> bool:
    """Say whether `offer` would have anything for *device*."""
    if request_key is not None and await offer_rows.find_offers_of_request(
        tx, device.id, request_key, now=now
    ):
        return True
    if await find_cancels(tx, device, now):
        return True
    queues = () if device.paused else served_queues(device)
    if await queue_rows.has_queued(tx, queues, now=now):
        return True
    return await offer_rows.has_due_offers(
        tx, device_id=device.id, now=now, offers_below=_most_offers(device)
    )


async def offer(
    tx: Transaction, device: Device, occasion: Occasion, now: datetime
) -> tuple[Offer, ...]:
    """Return what *device* is to send now, best first.

    A request that was answered before gets the same messages under the same wire ids, with their
    leases from now on; then come those whose lease ran out in silence, then the head of the queue
    as far as the budget goes. A paused device only finishes what it holds.
    """
    await offer_rows.lock_turn(tx, device.id)
    again = await _find_answered(tx, device, occasion, now)
    if again:
        return _in_order(await _say_again(tx, device, again, occasion, now))
    overdue = [
        item
        for item in await _lock_overdue(tx, device, now)
        if not await may_have_forgotten(tx, device, item.attempt)
    ]
    renewed = await budgets.choose_again(tx, device, overdue, now) if overdue else []
    await _renew(tx, device, renewed, occasion, now, offers_more=1)
    # What is due again and does not fit the budget is not overtaken by what never was offered.
    has_room = len(renewed) == len(overdue) < MAX_OFFERS_PER_ANSWER and not device.paused
    room = MAX_OFFERS_PER_ANSWER - len(renewed)
    claimed = await _claim(tx, device, occasion, now, room) if has_room else []
    return _in_order([*renewed, *claimed])


async def find_cancels(tx: Transaction, device: Device, now: datetime) -> tuple[CancelCommand, ...]:
    """Return what *device* is asked to give back: at each answer, as long as it may still send it.

    It says nothing to what it does not know.
    """
    if not device.state.takes_commands:
        return ()
    since = now - SILENCE_LIMITS[device.protocol]
    asked = await attempt_rows.find_asked_back(tx, device.id, since=since)
    return tuple(CancelCommand(wire_id) for wire_id in asked)


async def _find_answered(
    tx: Transaction, device: Device, occasion: Occasion, now: datetime
) -> list[HeldOffer]:
    held: dict[str, HeldOffer] = {}
    if tx.is_repeat or occasion.may_be_repeat:
        for item in await offer_rows.find_offers_of_request(tx, device.id, occasion.key, now=now):
            held[item.offer.wire_id] = item
    for item in await offer_rows.find_offers_with_inbound(
        tx, device.id, occasion.repeated_ids, now=now
    ):
        held[item.offer.wire_id] = item
    return list(held.values())


async def _say_again(
    tx: Transaction,
    device: Device,
    answered: Iterable[HeldOffer],
    occasion: Occasion,
    now: datetime,
) -> list[HeldOffer]:
    """Return what an answer repeats of *answered*: no new offers, but the phone hears them now."""
    repeated = sorted(answered, key=_rank)[:MAX_OFFERS_PER_ANSWER]
    await budgets.count_again(tx, device, repeated, now)
    await _renew(tx, device, repeated, occasion, now, offers_more=0)
    return repeated


async def _lock_overdue(tx: Transaction, device: Device, now: datetime) -> list[HeldOffer]:
    return await offer_rows.lock_due_offers(
        tx,
        device_id=device.id,
        now=now,
        offers_below=_most_offers(device),
        limit=MAX_OFFERS_PER_ANSWER,
    )


async def _renew(
    tx: Transaction,
    device: Device,
    held: Iterable[HeldOffer],
    occasion: Occasion,
    now: datetime,
    *,
    offers_more: int,
) -> None:
    policy = LEASE_POLICIES[device.protocol]
    renewed = [
        (item.attempt.wire_id, offers, now + policy.lease_after(offers))
        for item in held
        for offers in [item.attempt.offers + offers_more]
    ]
    await offer_rows.renew_leases(
        tx,
        renewed,
        now=now,
        request_key=occasion.key,
        inbound_message_id=occasion.inbound_message_id,
    )


async def _claim(
    tx: Transaction, device: Device, occasion: Occasion, now: datetime, room: int
) -> list[HeldOffer]:
    budget = await budgets.read_budget(tx, device, now)
    if budget.is_used_up:
        return []
    confined_to = await budgets.find_confinement(tx, device, now)
    heads = await queue_rows.lock_queue_heads(
        tx, served_queues(device), now=now, limit=room, confined_to=confined_to
    )
    chosen = await budgets.choose(tx, device, heads, budget, now, most=room)
    claimed = [_dispatch(message, device, now) for message in chosen]
    attempts = [_first_offer(message, device, now) for message in claimed]
    await message_rows.save_progress(tx, claimed)
    await attempt_rows.add_attempts(
        tx,
        attempts,
        request_key=occasion.key,
        inbound_message_id=occasion.inbound_message_id,
    )
    return [
        HeldOffer(attempt, _to_offer(attempt.wire_id, message), message.segments or 1)
        for attempt, message in zip(attempts, claimed, strict=True)
    ]


def _dispatch(message: Message, device: Device, now: datetime) -> Message:
    moved = move(message, Status.DISPATCHED, now)
    return replace(
        moved,
        device_id=device.id,
        device_protocol=device.protocol,
        attempt_count=message.attempt_count + 1,
        preferred_until=None,
    )


def _first_offer(message: Message, device: Device, now: datetime) -> Attempt:
    """Return the attempt that begins with this offer.

    Phones drop an id they know, so each attempt has its own; the first one's is the message's.
    """
    return Attempt(
        wire_id=message.id if message.attempt_count == 1 else new_id(),
        message_id=message.id,
        device_id=device.id,
        number=message.attempt_count,
        status=Status.DISPATCHED,
        offers=1,
        first_offered_at=now,
        last_offered_at=now,
        lease_until=now + LEASE_POLICIES[device.protocol].lease_after(1),
        last_sign_at=now,
    )


def _to_offer(wire_id: str, message: Message) -> Offer:
    to = handover_number(message.to_number or "", message.to_e164)
    return Offer(wire_id, to, message.text, message.priority)


def _in_order(held: Iterable[HeldOffer]) -> tuple[Offer, ...]:
    return tuple(item.offer for item in sorted(held, key=_rank))


def _rank(item: HeldOffer) -> tuple[int, str]:
    return -item.offer.priority, item.offer.wire_id


def _most_offers(device: Device) -> int:
    return LEASE_POLICIES[device.protocol].max_offers or _NO_LIMIT
