"""Taking in what a phone forwards: stored once and for all, however often it comes."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from gateway_hub.domain.devices import Device
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attachment, Direction, Message, MessageType
from gateway_hub.domain.numbers import contact_key, to_e164
from gateway_hub.domain.phone_posts import ForwardedMessage, QuarantinedItem, QuarantineKind
from gateway_hub.domain.segments import segment
from gateway_hub.storage import inbound as inbound_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage.inbound import Receipt
from gateway_hub.storage.messages import NewMessage
from gateway_hub.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Arrival:
    """A forwarded message with the id it gets if it is new, made before the transaction."""

    id: str
    forwarded: ForwardedMessage


@dataclass(frozen=True, slots=True)
class Intake:
    """What became of the arrivals: *message_ids* of all, *repeated_ids* of those known before."""

    message_ids: tuple[str, ...]
    repeated_ids: tuple[str, ...]


def expect(forwarded: tuple[ForwardedMessage, ...]) -> tuple[Arrival, ...]:
    """Return *forwarded* with an id for each; the same arrivals may be recorded twice."""
    return tuple(Arrival(new_id(), message) for message in forwarded)


async def record_arrivals(
    tx: Transaction,
    device: Device,
    region: str | None,
    arrivals: tuple[Arrival, ...],
    now: datetime,
) -> Intake:
    """Store the arrivals that are new; count the others."""
    fresh: list[Arrival] = []
    known: list[str] = []
    message_ids: list[str] = []
    receipts = await _record_receipts(tx, device, arrivals, now)
    for arrival in arrivals:
        receipt = receipts[arrival.id]
        message_ids.append(receipt.message_id)
        if receipt.message_id == arrival.id:
            fresh.append(arrival)
            continue
        known.append(receipt.message_id)
        if receipt.content_digest != _digest_content(arrival.forwarded):
            await _put_conflict_aside(tx, device, arrival.forwarded, now)
    await message_rows.add_messages(tx, [_to_new(device, region, item, now) for item in fresh])
    await message_rows.add_attachments(tx, [part for item in fresh for part in _parts_of(item)])
    return Intake(tuple(message_ids), tuple(known))


async def _record_receipts(
    tx: Transaction, device: Device, arrivals: tuple[Arrival, ...], now: datetime
) -> dict[str, Receipt]:
    """Return the receipt of each arrival, by its id.

    They are claimed in the order of their keys: a phone posts the same messages twice at one
    moment, and two who claim them in different orders would block each other.
    """
    return {
        arrival.id: await inbound_rows.record_receipt(
            tx,
            device_id=device.id,
            dedupe_key=arrival.forwarded.dedupe_key,
            message_id=arrival.id,
            content_digest=_digest_content(arrival.forwarded),
            now=now,
        )
        for arrival in sorted(arrivals, key=lambda item: item.forwarded.dedupe_key)
    }


def _digest_content(forwarded: ForwardedMessage) -> bytes:
    content = f"{forwarded.contact}\0{forwarded.text}"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


async def _put_conflict_aside(
    tx: Transaction, device: Device, forwarded: ForwardedMessage, now: datetime
) -> None:
    """Keep a message whose id is taken by another text: the first stays, this one is shown."""
    item = QuarantinedItem(
        QuarantineKind.CONFLICTING_MESSAGE,
        "The phone used this id before for another message; the first one is kept.",
        f"{forwarded.dedupe_key}\n{forwarded.contact}\n{forwarded.text}",
    )
    await inbound_rows.put_aside(
        tx, project_id=device.project_id, device_id=device.id, items=[item], now=now
    )


def _to_new(device: Device, region: str | None, arrival: Arrival, now: datetime) -> NewMessage:
    forwarded = arrival.forwarded
    typed_by_hand = forwarded.type is MessageType.SENT
    contact_e164 = to_e164(forwarded.contact, region)
    own_e164 = to_e164(device.phone_number, region) if device.phone_number else None
    size = None if forwarded.type is MessageType.CALL else segment(forwarded.text)
    contact = (forwarded.contact, contact_e164)
    own = (device.phone_number, own_e164)
    (from_number, from_e164), (to_number, to_e164_) = (
        (own, contact) if typed_by_hand else (contact, own)
    )
    message = Message(
        id=arrival.id,
        project_id=device.project_id,
        direction=Direction.INBOUND,
        type=forwarded.type,
        status=Status.RECEIVED,
        text=forwarded.text,
        created_at=now,
        updated_at=now,
        from_number=from_number,
        to_number=to_number,
        from_e164=from_e164,
        to_e164=to_e164_,
        encoding=size.encoding if size else None,
        segments=size.segments if size else None,
        device_id=device.id,
        device_protocol=device.protocol,
        contact_key=contact_key(forwarded.contact, region),
        sms_sent_at=forwarded.sms_sent_at,
        sms_received_at=forwarded.sms_received_at,
    )
    return NewMessage(message, text_original=forwarded.text_original)


def _parts_of(arrival: Arrival) -> list[Attachment]:
    return [
        Attachment(
            id=new_id(),
            message_id=arrival.id,
            position=position,
            content_type=part.content_type,
            content_id=part.content_id,
            filename=part.filename,
            size_bytes=part.size_bytes,
            sha256=part.sha256,
            storage_key=part.storage_key,
        )
        for position, part in enumerate(arrival.forwarded.parts)
    ]
