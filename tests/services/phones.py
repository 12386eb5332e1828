"""Registered phones, and short ways to speak for them and to read what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway_hub.domain.devices import Device, PhoneFacts, Protocol, SendLimit
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import (
    Message,
    MessageDetails,
    MessageDraft,
    MessageFilter,
    MessageType,
    Route,
)
from gateway_hub.domain.phone_posts import (
    ForwardedMessage,
    PhoneAnswer,
    PhonePost,
    PhoneReport,
    QuarantinedItem,
    QuarantineRecord,
    StoredPart,
)
from gateway_hub.services.devices import DeviceDraft, IssuedCredentials
from gateway_hub.services.hub import Hub

PATIENCE = 5.0

MEDIC, ENVAYA = Protocol.MEDIC, Protocol.ENVAYA


@dataclass(frozen=True)
class Phone:
    """A phone as the hub knows it."""

    hub: Hub
    project_id: str
    device: Device
    issued: IssuedCredentials

    async def post(
        self,
        *,
        messages: Sequence[ForwardedMessage] = (),
        reports: Sequence[PhoneReport] = (),
        quarantined: Sequence[QuarantinedItem] = (),
        takes_work: bool = True,
        request_key: str | None = None,
        clock: datetime | None = None,
        takes_commands: bool | None = None,
        hub: Hub | None = None,
        patience_seconds: float = PATIENCE,
    ) -> PhoneAnswer:
        """Post all that to *hub* (its own one if not given) and return the answer."""
        post = PhonePost(
            messages=tuple(messages),
            reports=tuple(reports),
            quarantined=tuple(quarantined),
            facts=PhoneFacts(phone_clock_at=clock, takes_commands=takes_commands),
            takes_work=takes_work,
            request_key=request_key,
        )
        return await (hub or self.hub).phones.exchange(
            self.device, post, patience_seconds=patience_seconds
        )

    async def poll(self, **post: Any) -> list[str]:
        """Return the wire ids that an answer holds."""
        return [offer.wire_id for offer in (await self.post(**post)).offers]

    async def report(self, wire_id: str, word: str, *, reason: str | None = None) -> None:
        """Report on *wire_id*: in the words of the app, ``failed`` being one try of five."""
        await self.post(reports=[told(wire_id, word, reason=reason)], takes_work=False)

    async def quarantine(self) -> list[QuarantineRecord]:
        """Return what was put aside of this phone, newest first."""
        return await self.hub.devices.list_quarantine(
            self.project_id, self.device.id, before="~", limit=50
        )


_WORDS = {
    "UNSENT": Status.ACCEPTED,
    "PENDING": Status.PENDING,
    "SENT": Status.SENT,
    "DELIVERED": Status.DELIVERED,
    "FAILED": Status.FAILED,
    "sent": Status.SENT,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}


def told(wire_id: str, word: str, *, reason: str | None = None) -> PhoneReport:
    """Return the report of *word*; ``failed`` in lower case is EnvayaSMS's, one try of five."""
    return PhoneReport(wire_id, _WORDS.get(word), word, reason=reason, gives_up=word != "failed")


def sms(
    dedupe_key: str,
    text: str = "hello",
    *,
    contact: str = "+255710000009",
    type: MessageType = MessageType.SMS,  # noqa: A002 - the domain's own word
    parts: tuple[StoredPart, ...] = (),
) -> ForwardedMessage:
    """Return a message that a phone forwards."""
    return ForwardedMessage(type, contact, text, dedupe_key, parts=parts)


async def register(
    hub: Hub,
    protocol: Protocol = MEDIC,
    *,
    project_id: str | None = None,
    number: str = "+255710000099",
    tags: tuple[str, ...] = (),
    region: str | None = None,
    send_limit: SendLimit | None = None,
) -> Phone:
    """Return a new phone, of the default project if no other is named."""
    project_id = project_id or (await hub.access.ensure_default_project()).id
    draft = DeviceDraft(
        "phone",
        protocol,
        phone_number=number,
        tags=tags,
        region=region,
        send_limit=send_limit,
    )
    view, issued = await hub.devices.create(project_id, draft)
    return Phone(hub, project_id, view.device, issued)


async def submit(
    hub: Hub,
    project_id: str,
    text: str = "hi",
    *,
    to: str = "+255710000001",
    device: Device | None = None,
    tag: str | None = None,
    **fields: Any,
) -> Message:
    """Return a new message to be sent."""
    route = Route(device_id=device.id if device else None, tag=tag)
    return await hub.outbox.submit(project_id, MessageDraft(to, text, route, **fields))


async def get(hub: Hub, message: Message) -> MessageDetails:
    """Return what is known of *message* now."""
    return await hub.outbox.get(message.project_id, message.id)


async def status_of(hub: Hub, message: Message) -> Status:
    """Return the status *message* has now."""
    return (await get(hub, message)).message.status


async def stored(hub: Hub, project_id: str, **wanted: Any) -> list[MessageDetails]:
    """Return the messages of the project that pass the filter, oldest first."""
    found = await hub.outbox.list_messages(
        project_id, MessageFilter(**wanted), before="~", limit=200
    )
    return list(reversed(found))
