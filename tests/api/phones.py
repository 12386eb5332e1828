"""What phones do to a hub, for tests of what the API then tells."""

import io

from gateway_hub.domain.devices import Device, PhoneFacts, Protocol
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageType
from gateway_hub.domain.phone_posts import (
    ForwardedMessage,
    PhoneAnswer,
    PhonePost,
    PhoneReport,
    QuarantinedItem,
    QuarantineKind,
    StoredPart,
)
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub

PHONE_NUMBER = "+255700000001"


async def register(hub: Hub, project_id: str, *tags: str) -> Device:
    """Return a medic phone of the project."""
    draft = DeviceDraft("Clinic A", Protocol.MEDIC, phone_number=PHONE_NUMBER, tags=tags)
    view, _ = await hub.devices.create(project_id, draft)
    return view.device


async def post(hub: Hub, device: Device, content: PhonePost) -> PhoneAnswer:
    """Let the phone post *content*."""
    return await hub.phones.exchange(device, content, patience_seconds=1)


async def poll(hub: Hub, device: Device) -> PhoneAnswer:
    """Let the phone ask for work and tell of itself."""
    facts = PhoneFacts(app_version="v1.8.1", battery_percent=87)
    return await post(hub, device, PhonePost(facts=facts))


async def report(hub: Hub, device: Device, wire_id: str, status: Status, raw: str) -> None:
    """Let the phone report on what it was given."""
    sent = PhoneReport(wire_id, status, raw)
    await post(hub, device, PhonePost(reports=(sent,), takes_work=False))


async def forward_sms(hub: Hub, device: Device, sender: str, text: str) -> None:
    """Let the phone forward an SMS."""
    message = ForwardedMessage(MessageType.SMS, sender, text, dedupe_key=f"{sender}/{text}")
    await post(hub, device, PhonePost(messages=(message,), takes_work=False))


async def forward_mms(hub: Hub, device: Device, content: bytes, filename: str | None) -> None:
    """Let the phone forward an MMS with one part."""
    blob = await hub.attachments.store(io.BytesIO(content))
    part = StoredPart(
        content_type="text/html",
        content_id="<p1>",
        filename=filename,
        size_bytes=blob.size_bytes,
        sha256=blob.sha256,
        storage_key=blob.key,
    )
    message = ForwardedMessage(
        MessageType.MMS, "+255712345678", "", dedupe_key=f"mms {filename}", parts=(part,)
    )
    await post(hub, device, PhonePost(messages=(message,), takes_work=False))


async def send_rubbish(hub: Hub, device: Device, *items: str) -> None:
    """Let the phone post items that nobody can take."""
    bad = tuple(
        QuarantinedItem(QuarantineKind.INVALID_MESSAGE, "No sender.", item) for item in items
    )
    await post(hub, device, PhonePost(quarantined=bad, takes_work=False))
