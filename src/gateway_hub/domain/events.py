"""Facts for those who follow the hub: what an event is, and what it tells of a message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any

from gateway_hub.domain.clock import format_rfc3339
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attachment, Direction, Message, Route


class EventType(StrEnum):
    """What happened: ``message.`` and the status it has come to, or what became of something."""

    MESSAGE_RECEIVED = "message.received"
    MESSAGE_SCHEDULED = "message.scheduled"
    MESSAGE_QUEUED = "message.queued"
    MESSAGE_DISPATCHED = "message.dispatched"
    MESSAGE_ACCEPTED = "message.accepted"
    MESSAGE_PENDING = "message.pending"
    MESSAGE_SENT = "message.sent"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_UNCERTAIN = "message.uncertain"
    MESSAGE_CANCELLED = "message.cancelled"
    MESSAGE_EXPIRED = "message.expired"
    DEVICE_ONLINE = "device.online"
    DEVICE_OFFLINE = "device.offline"
    DEVICE_STATUS = "device.status"
    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint.disabled"
    WEBHOOK_ENDPOINT_TEST = "webhook_endpoint.test"
    """Asked for by whoever set a webhook endpoint up; it goes there and nowhere else."""


MESSAGE_EVENTS: Mapping[Status, EventType] = {
    status: EventType(f"message.{status}") for status in Status
}
"""The event that tells of a message that has come to a status."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be written, about anything but a message. *data* can be JSON."""

    type: EventType
    timestamp: datetime
    project_id: str
    data: Mapping[str, Any]
    device_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the log, at place *seq*; *data* is JSON text.

    *device_id* is the device it is about, or the one its message went through or is routed to;
    *route_tag* the tag its message is routed to.
    """

    seq: int
    id: str
    type: EventType
    timestamp: datetime
    project_id: str
    data: str
    message_id: str | None = None
    device_id: str | None = None
    route_tag: str | None = None
    status_callback: str | None = None


def render_envelope(event: Event) -> bytes:
    """Return *event* as everyone is told of it, in JSON: the same bytes each time."""
    text = (
        f'{{"id":"{event.id}","type":"{event.type}","timestamp":"{format_rfc3339(event.timestamp)}"'
        f',"project_id":"{event.project_id}","data":{event.data}}}'
    )
    return text.encode("utf-8")


def describe_message(message: Message, attachments: Sequence[Attachment] = ()) -> dict[str, Any]:
    """Return *message* as the API tells of it, without its attempts and reports.

    Made for each event, among the writes of a request: plain values, no models.
    """
    told: dict[str, Any] = {
        "id": message.id,
        "direction": message.direction.value,
        "type": message.type.value,
        "status": message.status.value,
        "final": message.final,
        "from": message.from_number,
        "from_e164": message.from_e164,
        "to": message.to_number,
        "to_e164": message.to_e164,
        "text": message.text,
        "encoding": None if message.encoding is None else message.encoding.value,
        "segments": message.segments,
        "route": _describe_route(message.route),
        "device_id": message.device_id,
        "priority": message.priority,
        "send_at": describe_moment(message.send_at),
        "expires_at": describe_moment(message.expires_at),
        "error": None,
        "reference": message.reference,
        "metadata": message.metadata,
        "attachments": [_describe_attachment(item) for item in attachments],
        "created_at": describe_moment(message.created_at),
        "updated_at": describe_moment(message.updated_at),
        "sms_sent_at": describe_moment(message.sms_sent_at),
        "sms_received_at": describe_moment(message.sms_received_at),
    }
    if message.error is not None:
        told["error"] = {"code": message.error.code, "message": message.error.message}
    if message.direction is Direction.INBOUND:
        told["repeats"] = message.repeats
        return told
    told["max_attempts"] = message.max_attempts
    told["if_uncertain"] = message.if_uncertain.value
    told["reached"] = message.reached
    told["due_at"] = describe_moment(message.due_at)
    told["cancel_requested_at"] = describe_moment(message.cancel_requested_at)
    return told


@lru_cache(maxsize=1024)
def describe_moment(moment: datetime | None) -> str | None:
    """Return *moment* as the API tells of it; many events share a few moments."""
    return None if moment is None else format_rfc3339(moment)


def _describe_route(route: Route) -> dict[str, str | None] | None:
    if route.device_id is None and route.tag is None:
        return None
    return {"device_id": route.device_id, "tag": route.tag}


def _describe_attachment(attachment: Attachment) -> dict[str, Any]:
    return {
        "id": attachment.id,
        "content_type": attachment.content_type,
        "content_id": attachment.content_id,
        "filename": attachment.filename,
        "size_bytes": attachment.size_bytes,
        "sha256": attachment.sha256,
        "url": f"/v1/attachments/{attachment.id}",
    }


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What to read; None: any. *within_tag*: what is about devices, or routed, with that tag."""

    types: frozenset[EventType] | None = None
    message_id: str | None = None
    device_id: str | None = None
    within_tag: str | None = None

    def passes(self, event: Event) -> bool:
        """Say whether *event* is wanted, as far as it can tell by itself: not by its tag."""
        return (
            (self.types is None or event.type in self.types)
            and self.message_id in {None, event.message_id}
            and self.device_id in {None, event.device_id}
        )
