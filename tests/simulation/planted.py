"""Faults planted into the hub, one at a time, to show that the simulation finds such faults.

Each takes the place of one function of the hub while worlds run.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gateway_hub.domain import devices, reporting
from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.errors import UnavailableError
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import CANCELLABLE, Status
from gateway_hub.domain.messages import Message
from gateway_hub.domain.phone_posts import PhoneAnswer
from gateway_hub.services import budgets, caretaker, doubts, outbox, reports
from gateway_hub.services.exchange import PhoneExchange
from gateway_hub.storage import inbound, messages, offers, queues
from gateway_hub.storage.commits import CommitGroup
from gateway_hub.storage.tallies import Tally
from gateway_hub.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Plant:
    """A fault: what it does, the verdict that should follow, and how it is planted."""

    does: str
    shows_as: str
    patches: Callable[[], list[tuple[Any, str, Any]]]


def _answer_before_commit() -> list[tuple[Any, str, Any]]:
    real = CommitGroup.run_together

    async def run_together(self: Any, work: Any, item: Any, **options: Any) -> Any:
        told = asyncio.get_running_loop().create_future()

        async def work_and_tell(tx: Any, items: Any) -> Any:
            results = await work(tx, items)
            if not told.done():
                told.set_result(results[0])
            return results

        running = asyncio.ensure_future(real(self, work_and_tell, item, **options))
        await asyncio.wait({running, told}, return_when=asyncio.FIRST_COMPLETED)
        return told.result() if told.done() else await running

    return [(CommitGroup, "run_together", run_together)]


def _read_then_write() -> list[tuple[Any, str, Any]]:
    real = queues.lock_queue_heads
    seen: dict[str, tuple[datetime, list[str]]] = {}

    async def lock_queue_heads(
        tx: Transaction, names: Sequence[str], *, now: datetime, limit: int, **_wanted: Any
    ) -> list[list[Message]]:
        heads: list[list[Message]] = []
        for name in names:
            read_at, ids = seen.get(name, (now - timedelta(days=1), []))
            if not timedelta(0) <= now - read_at < timedelta(seconds=2):
                (found,) = await real(tx, [name], now=now, limit=limit)
                seen[name] = now, [message.id for message in found]
            else:
                found = list((await messages.lock_messages(tx, ids)).values())
            heads.append(found)
        return heads

    return [(queues, "lock_queue_heads", lock_queue_heads)]


def _forget_receipts() -> list[tuple[Any, str, Any]]:
    async def claim_receipts(_tx: Any, claims: Any, _now: Any) -> Any:
        return {claim.message_id: claim for claim in claims}

    return [(inbound, "claim_receipts", claim_receipts)]


def _apply_any_status() -> list[tuple[Any, str, Any]]:
    return [(reporting, "may_move", lambda _current, _new: True)]


def _offer_without_limit() -> list[tuple[Any, str, Any]]:
    policies = dict(devices.LEASE_POLICIES)
    policies[Protocol.ENVAYA] = replace(policies[Protocol.ENVAYA], max_offers=None)
    return _with_policies(policies)


def _offer_at_each_poll() -> list[tuple[Any, str, Any]]:
    policies = dict(devices.LEASE_POLICIES)
    at_once = timedelta(seconds=1)
    policies[Protocol.MEDIC] = replace(policies[Protocol.MEDIC], first=at_once, longest=at_once)
    return _with_policies(policies)


def _with_policies(policies: dict[Protocol, devices.LeasePolicy]) -> list[tuple[Any, str, Any]]:
    return [(devices.LEASE_POLICIES, protocol, policy) for protocol, policy in policies.items()]


def _resend_always() -> list[tuple[Any, str, Any]]:
    def may_resend(message: Message, now: datetime) -> bool:
        late = message.expires_at is not None and message.expires_at <= now
        return not late and message.attempt_count < max(message.max_attempts, 2)

    return [(module, "may_resend", may_resend) for module in (caretaker, doubts, reports)]


def _count_messages() -> list[tuple[Any, str, Any]]:
    def take_what_fits(waiting: Any, budget: Any, *, most: int) -> list[Message]:
        return list(waiting)[: min(most, budget.left)]

    return [(budgets, "take_what_fits", take_what_fits)]


def _offer_expired() -> list[tuple[Any, str, Any]]:
    heads, has = queues.lock_queue_heads, queues.has_queued

    async def lock_queue_heads(tx: Any, names: Any, *, now: datetime, **wanted: Any) -> Any:
        return await heads(tx, names, now=now - timedelta(hours=1), **wanted)

    async def has_queued(tx: Any, names: Any, *, now: datetime) -> bool:
        return await has(tx, names, now=now - timedelta(hours=1))

    return [(queues, "lock_queue_heads", lock_queue_heads), (queues, "has_queued", has_queued)]


def _new_id_each_time() -> list[tuple[Any, str, Any]]:
    real = offers.lock_due_offers

    async def lock_due_offers(tx: Any, **wanted: Any) -> list[offers.HeldOffer]:
        due = await real(tx, **wanted)
        return [replace(item, offer=replace(item.offer, wire_id=new_id())) for item in due]

    return [(offers, "lock_due_offers", lock_due_offers)]


def _cancel_what_is_out() -> list[tuple[Any, str, Any]]:
    return [(outbox, "CANCELLABLE", CANCELLABLE | {Status.DISPATCHED})]


def _retry_at_once() -> list[tuple[Any, str, Any]]:
    def next_try_at(_attempts: int, now: datetime) -> datetime:
        return now

    return [(module, "next_try_at", next_try_at) for module in (caretaker, reports)]


def _take_nothing_for_success() -> list[tuple[Any, str, Any]]:
    real = PhoneExchange.exchange

    async def exchange(self: Any, *post: Any, **options: Any) -> PhoneAnswer:
        try:
            return await real(self, *post, **options)
        except UnavailableError:
            return PhoneAnswer()

    return [(PhoneExchange, "exchange", exchange)]


def _miss_repeats() -> list[tuple[Any, str, Any]]:
    never = property(lambda _self: False, lambda _self, _value: None)
    return [(Transaction, "is_repeat", never)]


def _forget_what_was_answered() -> list[tuple[Any, str, Any]]:
    async def find_offers_of_request(*_wanted: Any, **_at: Any) -> list[offers.HeldOffer]:
        return []

    return [(offers, "find_offers_of_request", find_offers_of_request)]


def _tell_of_all_that_is_saved() -> list[tuple[Any, str, Any]]:
    real = Tally.note_changed

    def note_changed(self: Any, changed: Any) -> Any:
        real(self, changed)
        return changed

    return [(Tally, "note_changed", note_changed)]


PLANTS = {
    "answer-before-commit": Plant(
        "callers are told of success before the commit", "lost", _answer_before_commit
    ),
    "read-then-write": Plant(
        "who is next is read a moment before it is claimed", "two holders", _read_then_write
    ),
    "forgotten-receipts": Plant(
        "every forwarded message is taken for a new one", "unexpected", _forget_receipts
    ),
    "status-without-rank": Plant(
        "a report is applied whatever came before it", "backward", _apply_any_status
    ),
    "envaya-offered-for-ever": Plant(
        "EnvayaSMS is offered a silent message again and again", "sent twice", _offer_without_limit
    ),
    "offered-at-each-poll": Plant(
        "a lease of a CHT phone lasts a second", "early", _offer_at_each_poll
    ),
    "wait-taken-for-resend": Plant(
        "a doubtful message is sent again whatever its sender wants", "two holders", _resend_always
    ),
    "budget-in-messages": Plant(
        "a long message costs as much of the budget as a short one", "over budget", _count_messages
    ),
    "offered-after-expiry": Plant(
        "what has expired is offered until someone marks it", "late", _offer_expired
    ),
    "new-id-at-each-offer": Plant(
        "a repeated offer comes under another wire id", "unexpected", _new_id_each_time
    ),
    "cancel-in-the-phones-hands": Plant(
        "a message that a phone was given is cancelled at once", "untrue", _cancel_what_is_out
    ),
    "retry-at-once": Plant("a further attempt does not wait", "early", _retry_at_once),
    "success-without-database": Plant(
        "a phone is told success while the database is away", "lost", _take_nothing_for_success
    ),
    "repeat-counted-twice": Plant(
        "a commit whose answer was lost is counted again", "miscounted", _miss_repeats
    ),
    "forgotten-answer": Plant(
        "a commit whose answer was lost is done again without a look at what it handed over",
        "left out",
        _forget_what_was_answered,
    ),
    "event-without-change": Plant(
        "whatever is saved of a message is told as a new status",
        "mistold",
        _tell_of_all_that_is_saved,
    ),
}
"""The planted faults by name."""


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Have that fault in the hub for a while; none if None."""
    patches = PLANTS[name].patches() if name else []
    with ExitStack() as stack:
        for owner, attribute, value in patches:
            stack.enter_context(_replaced(owner, attribute, value))
        yield


@contextmanager
def _replaced(owner: Any, attribute: Any, value: Any) -> Iterator[None]:
    if isinstance(owner, dict):
        before = owner[attribute]
        owner[attribute] = value
        try:
            yield
        finally:
            owner[attribute] = before
        return
    missing = object()
    kept = vars(owner).get(attribute, missing)
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        if kept is missing:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, kept)
