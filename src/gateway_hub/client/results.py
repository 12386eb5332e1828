"""What the hub tells, typed. Fields this version does not know are in `raw`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

Json = Mapping[str, Any]


def parse_time(text: str | None) -> datetime | None:
    """Return the moment the hub tells of."""
    return None if text is None else datetime.fromisoformat(text)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True, slots=True)
class MessageError:
    """Why a message failed or is delayed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One hand-over of a message to one device."""

    wire_id: str
    number: int
    device_id: str
    status: str
    offers: int


@dataclass(frozen=True, slots=True)
class Message:
    """One SMS, MMS or call notice, in either direction; *raw* is all that was told of it.

    In an event it has no *attempts*.
    """

    id: str
    direction: str
    type: str
    status: str
    final: bool
    from_number: str | None
    to_number: str | None
    text: str
    device_id: str | None
    route: Mapping[str, str | None] | None
    segments: int | None
    error: MessageError | None
    reference: str | None
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    attempts: tuple[Attempt, ...] = ()
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, told: Json) -> Self:
        """Return the message the hub tells of."""
        error = told["error"]
        return cls(
            id=told["id"],
            direction=told["direction"],
            type=told["type"],
            status=told["status"],
            final=told["final"],
            from_number=told["from"],
            to_number=told["to"],
            text=told["text"],
            device_id=told["device_id"],
            route=told["route"],
            segments=told["segments"],
            error=None if error is None else MessageError(error["code"], error["message"]),
            reference=told["reference"],
            metadata=told["metadata"],
            created_at=_time(told["created_at"]),
            updated_at=_time(told["updated_at"]),
            attempts=tuple(
                Attempt(
                    item["wire_id"],
                    item["number"],
                    item["device_id"],
                    item["status"],
                    item["offers"],
                )
                for item in told.get("attempts") or ()
            ),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Device:
    """A phone, and what is known of it now; *raw* is all that was told of it."""

    id: str
    name: str
    protocol: str
    phone_number: str | None
    tags: tuple[str, ...]
    paused: bool
    online: bool
    last_seen_at: datetime | None
    backlog: int
    budget_left: int
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, told: Json) -> Self:
        """Return the device the hub tells of."""
        return cls(
            id=told["id"],
            name=told["name"],
            protocol=told["protocol"],
            phone_number=told["phone_number"],
            tags=tuple(told["tags"]),
            paused=told["paused"],
            online=told["online"],
            last_seen_at=parse_time(told["last_seen_at"]),
            backlog=told["backlog"],
            budget_left=told["budget_left"],
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, from the log, a stream or a webhook.

    *cursor* is where to go on after it; of an event that came in a page, where the page ends. A
    webhook's has none.
    """

    id: str
    type: str
    timestamp: datetime
    project_id: str
    data: Json
    cursor: str | None = None

    @classmethod
    def from_json(cls, told: Json, cursor: str | None = None) -> Self:
        """Return the event the hub tells of."""
        timestamp = _time(told["timestamp"])
        return cls(told["id"], told["type"], timestamp, told["project_id"], told["data"], cursor)

    @property
    def message(self) -> Message:
        """The message, as it was then, of an event ``message.…``."""
        return Message.from_json(self.data)


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A URL that is told what happens; *secret* is there only when it was just made."""

    id: str
    url: str
    events: tuple[str, ...]
    tags: tuple[str, ...]
    description: str | None
    secret: str | None = field(default=None, repr=False)
    raw: Json = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_json(cls, told: Json) -> Self:
        """Return the webhook endpoint the hub tells of."""
        return cls(
            id=told["id"],
            url=told["url"],
            events=tuple(told["events"]),
            tags=tuple(told["tags"]),
            description=told["description"],
            secret=told.get("secret"),
            raw=told,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; *cursor* is for the next, None if this is the last for now."""

    data: tuple[Json, ...]
    cursor: str | None
    has_more: bool

    @classmethod
    def from_json(cls, told: Json) -> Self:
        """Return the page the hub tells; only a log says by itself whether there is more."""
        cursor = told["next_cursor"]
        return cls(tuple(told["data"]), cursor, told.get("has_more", cursor is not None))
