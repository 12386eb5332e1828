"""Messages, their attempts, attachments and reports."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.lifecycle import Status, is_final
from gateway_hub.domain.segments import Encoding


class Direction(StrEnum):
    """Seen from the hub: ``outbound`` is mobile-terminated, ``inbound`` mobile-originated."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class MessageType(StrEnum):
    """What a message is; ``sent`` was typed by hand on the phone, ``call`` is a missed call."""

    SMS = "sms"
    MMS = "mms"
    CALL = "call"
    SENT = "sent"


class IfUncertain(StrEnum):
    """What to do with a message that may or may not have been sent."""

    WAIT = "wait"
    RESEND = "resend"


@dataclass(frozen=True, slots=True)
class Route:
    """Which devices may send a message: one, those with a tag, or (neither given) any."""

    device_id: str | None = None
    tag: str | None = None

    def key(self, project_id: str) -> str:
        """Return the queue this route stands in; a device reads the queues it serves."""
        if self.device_id is not None:
            return f"device:{self.device_id}"
        if self.tag is not None:
            return f"tag:{project_id}:{self.tag}"
        return f"any:{project_id}"


@dataclass(frozen=True, slots=True)
class MessageError:
    """Why a message failed or is delayed, and by whom that was said."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """An MMS part. The bytes are in the attachment store under *storage_key*."""

    id: str
    message_id: str
    position: int
    content_type: str
    content_id: str | None
    filename: str | None
    size_bytes: int
    sha256: str
    storage_key: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hand-over of an outbound message to one device, under its own wire id."""

    wire_id: str
    message_id: str
    device_id: str
    number: int
    status: Status
    offers: int
    first_offered_at: datetime
    last_offered_at: datetime
    lease_until: datetime
    last_sign_at: datetime
    soft_failures: int = 0
    last_failed_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    error: MessageError | None = None


@dataclass(frozen=True, slots=True)
class ReportRecord:
    """A report as it came, and whether it changed anything."""

    raw_status: str
    reason: str | None
    received_at: datetime
    applied: bool
    wire_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS, MMS or call notice, in either direction."""

    id: str
    project_id: str
    direction: Direction
    type: MessageType
    status: Status
    text: str
    created_at: datetime
    updated_at: datetime
    from_number: str | None = None
    to_number: str | None = None
    from_e164: str | None = None
    to_e164: str | None = None
    encoding: Encoding | None = None
    segments: int | None = None
    route: Route = field(default_factory=Route)
    device_id: str | None = None
    device_protocol: Protocol | None = None
    priority: int = 0
    send_at: datetime | None = None
    expires_at: datetime | None = None
    max_attempts: int = 1
    attempt_count: int = 0
    if_uncertain: IfUncertain = IfUncertain.WAIT
    reference: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    error: MessageError | None = None
    reached: dict[str, str] = field(default_factory=dict)
    contact_key: str = ""
    due_at: datetime | None = None
    queue: str | None = None
    preferred_until: datetime | None = None
    cancel_requested_at: datetime | None = None
    sms_sent_at: datetime | None = None
    sms_received_at: datetime | None = None
    status_callback: str | None = None
    repeats: int = 0

    @property
    def final(self) -> bool:
        """Whether no further change is expected."""
        return is_final(self.status, self.device_protocol)


@dataclass(frozen=True, slots=True)
class MessageDetails:
    """A message with all that belongs to it."""

    message: Message
    attachments: tuple[Attachment, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    reports: tuple[ReportRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class MessageDraft:
    """An outbound message as a backend asks for it, before it is checked.

    *if_uncertain* None: the project's default. *status_callback*: a URL to be told how it fares.
    """

    to: str
    text: str
    route: Route = field(default_factory=Route)
    priority: int = 0
    send_at: datetime | None = None
    expires_at: datetime | None = None
    max_attempts: int = 1
    if_uncertain: IfUncertain | None = None
    reference: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    status_callback: str | None = None


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """What to list; None: any. *tag* means messages of devices, or routed, with that tag.

    *within_tag* is the tag that the caller is limited to, whatever else they ask for.
    """

    direction: Direction | None = None
    status: Status | None = None
    type: MessageType | None = None
    device_id: str | None = None
    contact_keys: tuple[str, ...] | None = None
    tag: str | None = None
    reference: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    search: str | None = None
    within_tag: str | None = None
