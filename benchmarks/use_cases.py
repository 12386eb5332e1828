"""Use cases whose cost is measured: one call of the hub's services each, timed by itself."""

import itertools
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from benchmarks.filled_rows import GROUPS, first_id
from benchmarks.filling import Filled
from benchmarks.in_process import open_services
from gateway_hub.domain.clock import Clock, from_epoch_ms
from gateway_hub.domain.devices import MAX_OFFERS_PER_ANSWER, Device
from gateway_hub.domain.ids import AFTER_ALL_IDS, new_id
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageDraft, MessageFilter, MessageType, Route
from gateway_hub.domain.phone_posts import ForwardedMessage, Offer, PhonePost, PhoneReport
from gateway_hub.services import offering
from gateway_hub.services.hub import Hub
from gateway_hub.services.offering import Occasion
from gateway_hub.storage.transactions import Transaction

_PAGE = 50
_PATIENCE_SECONDS = 10.0
_KNOWN_CONTACTS = 100


@dataclass
class Workplace:
    """A hub on a filled database, without its background work, and whose turn it is there."""

    hub: Hub
    filled: Filled
    clock: Clock
    busy: Iterator[Device]
    idle: Iterator[Device]
    numbers: Iterator[int] = field(default_factory=itertools.count)
    handed_out: list[tuple[Device, Offer]] = field(default_factory=list)

    @property
    def project_id(self) -> str:
        """The project of all devices."""
        return self.filled.plan.project_id


async def open_workplace(filled: Filled, folder: Path) -> Workplace:
    """Return a workplace on *filled*, its clock at the moment of the filling."""
    ended = from_epoch_ms(filled.plan.ended_ms)

    def clock() -> datetime:
        """Stand still, so that no lease of the run ends in it."""
        return ended

    hub = await open_services(filled.url, folder, clock)
    half = GROUPS // 2
    busy = [item for n, item in enumerate(filled.devices) if n % GROUPS < half]
    idle = [item for n, item in enumerate(filled.devices) if n % GROUPS >= half]
    return Workplace(hub, filled, clock, itertools.cycle(busy), itertools.cycle(idle))


async def claim_ten(place: Workplace) -> float:
    """Return the seconds it takes to hand ten messages, queued just now, to a device."""
    device = next(place.busy)
    drafts = [
        MessageDraft("+255710000001", f"hello {item}", Route(tag=device.tags[0]), priority=1)
        for item in range(MAX_OFFERS_PER_ANSWER)
    ]
    await place.hub.outbox.submit_batch(place.project_id, drafts)

    async def use_case(tx: Transaction) -> tuple[Offer, ...]:
        return await offering.offer(tx, device, Occasion(new_id()), place.clock())

    began = time.perf_counter()
    offers = await place.hub.database.write(use_case, lock_order=device.id)
    seconds = time.perf_counter() - began
    if len(offers) != MAX_OFFERS_PER_ANSWER:
        raise RuntimeError(f"{len(offers)} messages were claimed instead of ten")
    place.handed_out += [(device, item) for item in offers]
    return seconds


async def take_in(place: Workplace) -> float:
    """Return the seconds of one post with one SMS, by a phone for which nothing waits."""
    device = next(place.idle)
    contact = f"+2557{next(place.numbers):08}"
    sms = ForwardedMessage(MessageType.SMS, contact, "thank you", str(uuid.uuid4()))
    return await _exchange(place, device, PhonePost(messages=(sms,)))


async def record_report(place: Workplace) -> float:
    """Return the seconds of one post with one report about a message handed out before."""
    device, offered = place.handed_out.pop()
    report = PhoneReport(offered.wire_id, Status.PENDING, "PENDING")
    post = PhonePost(reports=(report,), takes_work=False)
    return await _exchange(place, device, post)


async def _exchange(place: Workplace, device: Device, post: PhonePost) -> float:
    began = time.perf_counter()
    await place.hub.phones.exchange(device, post, patience_seconds=_PATIENCE_SECONDS)
    return time.perf_counter() - began


async def list_newest(place: Workplace) -> float:
    """Return the seconds of the first page of all messages."""
    return await _list(place, AFTER_ALL_IDS)


async def list_somewhere(place: Workplace) -> float:
    """Return the seconds of a page somewhere in the list, each time another, but read before.

    The first time it is the disk that is measured.
    """
    plan = place.filled.plan
    offset = next(place.numbers) * 7919 * 1_000_003 % (plan.ended_ms - plan.began_ms)
    before = first_id(plan.began_ms + offset)
    await _list(place, before)
    return await _list(place, before)


async def _list(place: Workplace, before: str) -> float:
    began = time.perf_counter()
    await place.hub.outbox.list_messages(
        place.project_id, MessageFilter(), before=before, limit=_PAGE
    )
    return time.perf_counter() - began


async def ask_in_vain(place: Workplace) -> float:
    """Return the seconds of asking whether there is work for a device that has none."""
    device = next(place.idle)

    async def query(tx: Transaction) -> bool:
        return await offering.has_work(tx, device, place.clock(), None)

    began = time.perf_counter()
    found = await place.hub.database.read(query)
    seconds = time.perf_counter() - began
    if found:
        raise RuntimeError(f"there is work for {device.name}")
    return seconds


async def submit(place: Workplace) -> float:
    """Return the seconds of submitting one message to a contact that was written to before."""
    known = f"+2557{next(place.numbers) % _KNOWN_CONTACTS:08}"
    draft = MessageDraft(known, "hello", Route(tag="group-0"))
    began = time.perf_counter()
    await place.hub.outbox.submit(place.project_id, draft)
    return time.perf_counter() - began


async def look_for_due(place: Workplace) -> float:
    """Return the seconds of the pass that the hub makes every second, with nothing due."""
    began = time.perf_counter()
    await place.hub.caretaker.run_due()
    return time.perf_counter() - began


async def read_open_work(place: Workplace) -> float:
    """Return the seconds of reading anew where work waits, as the hub does every few seconds."""
    began = time.perf_counter()
    await place.hub.hints.refresh()
    return time.perf_counter() - began


Operation = Callable[[Workplace], Awaitable[float]]

_READ_ANEW = "read anew where work waits"
JUDGED_BY_TIME = frozenset({_READ_ANEW})
"""Once every few seconds: it may grow, as long as it stays short."""

OPERATIONS: dict[str, Operation] = {
    "claim 10 messages for a device": claim_ten,
    "take in one SMS": take_in,
    "record one report": record_report,
    "list the newest 50 messages": list_newest,
    "list 50 messages further back": list_somewhere,
    "ask for work, there is none": ask_in_vain,
    "submit one message": submit,
    "look for what is due, nothing is": look_for_due,
    _READ_ANEW: read_open_work,
}
