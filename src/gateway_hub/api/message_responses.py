"""Messages as the API tells of them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from gateway_hub.api.pages import PageResponse
from gateway_hub.api.times import Moment
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import (
    Attachment,
    Attempt,
    Direction,
    IfUncertain,
    MessageDetails,
    MessageError,
    MessageType,
    ReportRecord,
    Route,
)
from gateway_hub.domain.segments import Encoding
from gateway_hub.domain.silence import NEVER
from gateway_hub.domain.waiting import WaitingFor, WaitReason


class RouteResponse(BaseModel):
    """Which devices may send the message."""

    device_id: str | None
    tag: str | None


class MessageErrorResponse(BaseModel):
    """Why a message failed or is delayed."""

    code: str
    message: str


class AttachmentResponse(BaseModel):
    """An MMS part; its bytes are at `url`."""

    id: str
    content_type: str
    content_id: str | None
    filename: str | None = Field(description="As given by the sender: a label, never a path.")
    size_bytes: int
    sha256: str
    url: str


class AttemptResponse(BaseModel):
    """One hand-over of the message to one device."""

    wire_id: str
    number: int
    device_id: str
    status: Status
    offers: int = Field(description="How often the device was given it.")
    first_offered_at: Moment
    last_offered_at: Moment
    lease_until: Moment | None = Field(
        description="Until when the phone has to say a word of it; null: it is not asked again."
    )
    error: MessageErrorResponse | None


class ReportResponse(BaseModel):
    """What a phone reported, as it came."""

    wire_id: str
    status: str = Field(description="The phone's own word.")
    reason: str | None
    received_at: Moment
    applied: bool = Field(description="Whether it changed anything: late and repeated ones do not.")


class _MessageResponse(BaseModel):
    id: str
    direction: Direction
    type: MessageType
    status: Status
    final: bool = Field(description="Whether no further change is expected.")
    from_: str | None = Field(serialization_alias="from")
    from_e164: str | None
    to: str | None
    to_e164: str | None
    text: str
    encoding: Encoding | None
    segments: int | None
    route: RouteResponse | None = Field(description="Null: any device of the project.")
    device_id: str | None
    priority: int
    send_at: Moment | None
    expires_at: Moment | None
    error: MessageErrorResponse | None
    reference: str | None
    metadata: dict[str, str]
    attachments: list[AttachmentResponse]
    created_at: Moment
    updated_at: Moment
    sms_sent_at: Moment | None = Field(description="By the network's or the phone's clock.")
    sms_received_at: Moment | None = Field(description="By the phone's clock.")


class InboundMessageResponse(_MessageResponse):
    """A message that a phone received, or that was typed on it by hand."""

    direction: Literal[Direction.INBOUND]
    repeats: int = Field(description="How often the phone forwarded it again.")


class OutboundMessageResponse(_MessageResponse):
    """A message that a phone is to send."""

    direction: Literal[Direction.OUTBOUND]
    max_attempts: int
    if_uncertain: IfUncertain
    attempts: list[AttemptResponse]
    reached: dict[str, str] = Field(description="When it first had each status.")
    due_at: Moment | None = Field(description="When it is queued, while it is `scheduled`.")
    cancel_requested_at: Moment | None = Field(
        description="When its phone was asked to give it back."
    )


class WaitingForResponse(BaseModel):
    """Why a message is where it is now."""

    reason: WaitReason
    detail: str
    until: Moment | None = Field(
        description="When something happens at the latest, if that is set; "
        "for `budget` and `recipients`, at the earliest."
    )


class OutboundMessageDetailsResponse(OutboundMessageResponse):
    """An outbound message with every report about it, and what it waits for."""

    reports: list[ReportResponse]
    waiting_for: WaitingForResponse | None = Field(
        description="Found out for this answer; null when nothing more is to come."
    )


MessageResponse = Annotated[
    OutboundMessageResponse | InboundMessageResponse, Field(discriminator="direction")
]
MessageDetailsResponse = Annotated[
    OutboundMessageDetailsResponse | InboundMessageResponse, Field(discriminator="direction")
]


class MessagePageResponse(PageResponse[MessageResponse]):
    """One page of messages."""


def to_outbound_response(details: MessageDetails) -> OutboundMessageResponse:
    """Return an outbound message as lists tell it."""
    return OutboundMessageResponse(**_outbound_fields(details))


def to_message_response(
    details: MessageDetails,
) -> OutboundMessageResponse | InboundMessageResponse:
    """Return a message as lists tell it."""
    if details.message.direction is Direction.OUTBOUND:
        return to_outbound_response(details)
    return InboundMessageResponse(**_common_fields(details), repeats=details.message.repeats)


def to_details_response(
    details: MessageDetails, waiting: WaitingFor | None
) -> OutboundMessageDetailsResponse | InboundMessageResponse:
    """Return a message with all that is known of it."""
    if details.message.direction is Direction.INBOUND:
        return InboundMessageResponse(**_common_fields(details), repeats=details.message.repeats)
    reports = [_to_report(item) for item in details.reports]
    return OutboundMessageDetailsResponse(
        **_outbound_fields(details), reports=reports, waiting_for=_to_waiting(waiting)
    )


def _outbound_fields(details: MessageDetails) -> dict[str, Any]:
    message = details.message
    return {
        **_common_fields(details),
        "max_attempts": message.max_attempts,
        "if_uncertain": message.if_uncertain,
        "attempts": [_to_attempt(item) for item in details.attempts],
        "reached": message.reached,
        "due_at": message.due_at,
        "cancel_requested_at": message.cancel_requested_at,
    }


def _common_fields(details: MessageDetails) -> dict[str, Any]:
    message = details.message
    own_form = {
        "from_": message.from_number,
        "to": message.to_number,
        "route": _to_route(message.route),
        "error": _to_error(message.error),
        "attachments": [_to_attachment(item) for item in details.attachments],
    }
    alike = _MessageResponse.model_fields.keys() - own_form.keys()
    return own_form | {name: getattr(message, name) for name in alike}


def _to_route(route: Route) -> RouteResponse | None:
    if route.device_id is None and route.tag is None:
        return None
    return RouteResponse(device_id=route.device_id, tag=route.tag)


def _to_error(error: MessageError | None) -> MessageErrorResponse | None:
    return MessageErrorResponse(code=error.code, message=error.message) if error else None


def _to_attachment(attachment: Attachment) -> AttachmentResponse:
    return AttachmentResponse(
        id=attachment.id,
        content_type=attachment.content_type,
        content_id=attachment.content_id,
        filename=attachment.filename,
        size_bytes=attachment.size_bytes,
        sha256=attachment.sha256,
        url=f"/v1/attachments/{attachment.id}",
    )


def _to_attempt(attempt: Attempt) -> AttemptResponse:
    return AttemptResponse(
        wire_id=attempt.wire_id,
        number=attempt.number,
        device_id=attempt.device_id,
        status=attempt.status,
        offers=attempt.offers,
        first_offered_at=attempt.first_offered_at,
        last_offered_at=attempt.last_offered_at,
        lease_until=None if attempt.lease_until >= NEVER else attempt.lease_until,
        error=_to_error(attempt.error),
    )


def _to_waiting(waiting: WaitingFor | None) -> WaitingForResponse | None:
    if waiting is None:
        return None
    return WaitingForResponse(reason=waiting.reason, detail=waiting.detail, until=waiting.until)


def _to_report(report: ReportRecord) -> ReportResponse:
    return ReportResponse(
        wire_id=report.wire_id,
        status=report.raw_status,
        reason=report.reason,
        received_at=report.received_at,
        applied=report.applied,
    )
