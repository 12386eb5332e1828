"""Taking in what a phone forwards: stored once and for all, however often it comes."""

import hashlib
from collections.abc import Sequence
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

Aside = list[tuple[Device, QuarantinedItem]]
"""What is to be put aside for the operator when all is read."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message *device* forwards, with the id it gets if it is new, made before the transaction.

    *region* is the one of the numbers it names.
    """

    id: str
    device: Device
    region: str | None
    forwarded: ForwardedMessage


def expect(
    device: Device, region: str | None, forwarded: tuple[ForwardedMessage, ...]
) -> tuple[Arrival, ...]:
    """Return *forwarded* with an id for each; the same arrivals may be recorded twice."""
    return tuple(Arrival(new_id(), device, region, message) for message in forwarded)


async def record_arrivals(
    tx: Transaction, arrivals: Sequence[Arrival], aside: Aside, now: datetime
) -> dict[str, str]:
    """Store the arrivals that are new, count the others; return by its id what each is stored as.

    A new one is stored under its own id. What conflicts with one stored before goes *aside*.
    """
    if not arrivals:
        return {}
    receipts = await inbound_rows.claim_receipts(tx, [_to_claim(item) for item in arrivals], now)
    fresh: list[Arrival] = []
    for arrival in arrivals:
        receipt = receipts[arrival.id]
        if receipt.message_id == arrival.id:
            fresh.append(arrival)
        elif _is_another(receipt, arrival.forwarded):
            aside.append((arrival.device, _conflict(arrival.forwarded)))
    await message_rows.add_messages(tx, [_to_new(item, now) for item in fresh])
    await message_rows.add_attachments(tx, [part for item in fresh for part in _parts_of(item)])
    return {arrival_id: receipt.message_id for arrival_id, receipt in receipts.items()}


def _to_claim(arrival: Arrival) -> Receipt:
    forwarded = arrival.forwarded
    return Receipt(arrival.device.id, forwarded.dedupe_key, arrival.id, _digest_content(forwarded))


def _is_another(receipt: Receipt, forwarded: ForwardedMessage) -> bool:
    known = receipt.content_digest
    return known not in {_digest_content(forwarded), inbound_rows.FORGOTTEN}


def _digest_content(forwarded: ForwardedMessage) -> bytes:
    content = f"{forwarded.contact}\0{forwarded.text}"
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


def _conflict(forwarded: ForwardedMessage) -> QuarantinedItem:
    """Return a message whose id is taken by another text: the first stays, this one is shown."""
    return QuarantinedItem(
        QuarantineKind.CONFLICTING_MESSAGE,
        "The phone used this id before for another message; the first one is kept.",
        f"{forwarded.dedupe_key}\n{forwarded.contact}\n{forwarded.text}",
    )


def _to_new(arrival: Arrival, now: datetime) -> NewMessage:
    device, region, forwarded = arrival.device, arrival.region, arrival.forwarded
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
