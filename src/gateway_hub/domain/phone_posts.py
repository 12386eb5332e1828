"""One exchange with a phone, in the hub's words: what the phone posted and what it is answered.

Adapters translate their wire bodies to and from these; services know nothing else of a protocol.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway_hub.domain.devices import PhoneFacts
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageType


@dataclass(frozen=True, slots=True)
class StoredPart:
    """An MMS part whose bytes are in the attachment store already.

    *filename* is a label as given by the sender, never a path; *storage_key* is ours.
    """

    content_type: str
    content_id: str | None
    filename: str | None
    size_bytes: int
    sha256: str
    storage_key: str


@dataclass(frozen=True, slots=True)
class ForwardedMessage:
    """A message the phone forwards: received by it, a missed call, or typed on it by hand.

    *contact* is the other party as given (empty for a hidden caller). *dedupe_key* names the
    message among all of this device: the same key again is the same message again.
    *sms_sent_at* and *sms_received_at* are by the network's or phone's clock, never trusted for
    order. *text_original* holds the UTF-8 bytes (surrogates passed) when *text* had to be cleaned.
    """

    type: MessageType
    contact: str
    text: str
    dedupe_key: str
    sms_sent_at: datetime | None = None
    sms_received_at: datetime | None = None
    parts: tuple[StoredPart, ...] = ()
    text_original: bytes | None = None


@dataclass(frozen=True, slots=True)
class PhoneReport:
    """What the phone says of one wire id. *status* is None when its word is not known to us.

    *gives_up* is False for a failure after which the app tries again by itself.
    """

    wire_id: str
    status: Status | None
    raw_status: str
    reason: str | None = None
    gives_up: bool = True


class QuarantineKind(StrEnum):
    """Why an item of a phone's post was put aside instead of being taken."""

    INVALID_MESSAGE = "invalid_message"
    INVALID_REPORT = "invalid_report"
    UNKNOWN_STATUS = "unknown_status"
    UNKNOWN_WIRE_ID = "unknown_wire_id"
    CONFLICTING_MESSAGE = "conflicting_message"


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """A bad item of an otherwise good post: kept as it came, for the operator to see."""

    kind: QuarantineKind
    detail: str
    raw: str


@dataclass(frozen=True, slots=True)
class PhonePost:
    """All that one authenticated request of a phone says.

    *request_key* is equal for two requests only if the second is the first sent again (the apps'
    HTTP stacks do that by themselves); None where the protocol gives no such sign.
    *takes_work* says whether the app would read outbound messages from the answer.
    """

    messages: tuple[ForwardedMessage, ...] = ()
    reports: tuple[PhoneReport, ...] = ()
    quarantined: tuple[QuarantinedItem, ...] = ()
    facts: PhoneFacts = field(default_factory=PhoneFacts)
    takes_work: bool = True
    request_key: str | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One outbound message handed to a phone under *wire_id*."""

    wire_id: str
    to: str
    text: str
    priority: int


@dataclass(frozen=True, slots=True)
class CancelCommand:
    """Asks the phone to give a message back, if it has not sent it yet."""

    wire_id: str


@dataclass(frozen=True, slots=True)
class PhoneAnswer:
    """What the phone is to be told: outbound messages, best first, and what to take back.

    *repeated* says that every message it forwarded was stored before; *may_wait*, that its poll may
    be held until there is work: not if the post may be a recording.
    """

    offers: tuple[Offer, ...] = ()
    cancels: tuple[CancelCommand, ...] = ()
    repeated: bool = False
    may_wait: bool = True


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """A bad item as it came, and how often."""

    id: str
    kind: str
    detail: str
    raw: str
    seen: int
    first_seen_at: datetime
    last_seen_at: datetime
