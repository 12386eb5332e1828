"""Messages as the API speaks of them."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from gateway_hub.api import examples
from gateway_hub.api.fields import GivenFields, GivenId, Tag
from gateway_hub.api.pages import PageQuery, PageResponse
from gateway_hub.api.times import GivenMoment, Moment
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import (
    Attachment,
    Attempt,
    Direction,
    IfUncertain,
    Message,
    MessageDetails,
    MessageDraft,
    MessageError,
    MessageType,
    ReportRecord,
    Route,
)
from gateway_hub.domain.segments import Encoding

_ONE_OF_BOTH = {
    "oneOf": [
        {"required": [wanted], "properties": {wanted: {"type": "string"}, other: {"type": "null"}}}
        for wanted, other in (("device_id", "tag"), ("tag", "device_id"))
    ]
}


class RouteRequest(GivenFields):
    """Which devices may send: one, or those with a tag; exactly one of the two."""

    model_config = ConfigDict(json_schema_extra=_ONE_OF_BOTH)

    device_id: GivenId | None = None
    tag: Tag | None = None

    @model_validator(mode="after")
    def _check_one_given(self) -> Self:
        if (self.device_id is None) == (self.tag is None):
            raise PydanticCustomError(
                "one_of", "A route names either a device_id or a tag, not both, not neither"
            )
        return self


class SendMessageRequest(GivenFields):
    """A message to be sent."""

    model_config = ConfigDict(json_schema_extra=examples.shown(examples.SEND_MESSAGE))

    to: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The recipient's phone number or short code; E.164 is safest."
    )
    text: Annotated[str, StringConstraints(min_length=1, max_length=16_000)]
    route: RouteRequest | None = Field(
        None, description="Which devices may send it; any of the project's if not given."
    )
    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000)] = Field(
        0, description="Higher goes first."
    )
    send_at: GivenMoment | None = Field(None, description="Not before this time.")
    expires_at: GivenMoment | None = Field(
        None, description="Not after this time: `expired` if no device took it by then."
    )
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = Field(
        1, description="How often to try anew after a final failure."
    )
    if_uncertain: IfUncertain = Field(
        IfUncertain.WAIT,
        description="What to do when it may or may not have been sent: `wait` never sends twice.",
    )
    reference: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        None, description="Your own id for it; need not be unique."
    )
    metadata: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=500)],
    ] = Field(default_factory=dict, max_length=50, description="Kept and returned as given.")

    def to_draft(self) -> MessageDraft:
        """Return what is asked for, in the domain's words."""
        route = self.route or RouteRequest.model_construct()
        return MessageDraft(
            to=self.to,
            text=self.text,
            route=Route(device_id=route.device_id, tag=route.tag),
            priority=self.priority,
            send_at=self.send_at,
            expires_at=self.expires_at,
            max_attempts=self.max_attempts,
            if_uncertain=self.if_uncertain,
            reference=self.reference,
            metadata=self.metadata,
        )


class MessageListQuery(PageQuery):
    """Which messages to list; a filter that is not given lets all through."""

    direction: Direction | None = None
    status: Status | None = None
    type: MessageType | None = None
    device_id: GivenId | None = None
    contact: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        None, description="The other party's number in any spelling, or its name as it came."
    )
    tag: Tag | None = Field(
        None, description="Routed to this tag, or through a device that has it now."
    )
    reference: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    created_after: GivenMoment | None = None
    created_before: GivenMoment | None = None
    q: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Part of the text, in upper or lower case."
    )


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
    lease_until: Moment
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

    model_config = ConfigDict(json_schema_extra=examples.shown(examples.INBOUND_MESSAGE))

    direction: Literal[Direction.INBOUND]
    repeats: int = Field(description="How often the phone forwarded it again.")


class OutboundMessageResponse(_MessageResponse):
    """A message that a phone is to send."""

    model_config = ConfigDict(json_schema_extra=examples.shown(examples.OUTBOUND_MESSAGE))

    direction: Literal[Direction.OUTBOUND]
    max_attempts: int
    if_uncertain: IfUncertain
    attempts: list[AttemptResponse]
    reached: dict[str, str] = Field(description="When it first had each status.")


class OutboundMessageDetailsResponse(OutboundMessageResponse):
    """An outbound message with every report about it."""

    model_config = ConfigDict(json_schema_extra=examples.shown(examples.OUTBOUND_MESSAGE_DETAILS))

    reports: list[ReportResponse]


MessageResponse = Annotated[
    OutboundMessageResponse | InboundMessageResponse, Field(discriminator="direction")
]
MessageDetailsResponse = Annotated[
    OutboundMessageDetailsResponse | InboundMessageResponse, Field(discriminator="direction")
]


class MessagePageResponse(PageResponse[MessageResponse]):
    """One page of messages."""

    model_config = ConfigDict(
        json_schema_extra=examples.shown(examples.page_of(examples.OUTBOUND_MESSAGE))
    )


def to_outbound_response(details: MessageDetails) -> OutboundMessageResponse:
    """Return an outbound message as the API tells it."""
    return OutboundMessageResponse.model_construct(**_outbound_fields(details))


def to_message_response(
    details: MessageDetails,
) -> OutboundMessageResponse | InboundMessageResponse:
    """Return a message as lists tell it."""
    if details.message.direction is Direction.OUTBOUND:
        return to_outbound_response(details)
    return InboundMessageResponse.model_construct(
        **_common_fields(details), repeats=details.message.repeats
    )


def to_details_response(
    details: MessageDetails,
) -> OutboundMessageDetailsResponse | InboundMessageResponse:
    """Return a message with all that is known of it."""
    if details.message.direction is Direction.OUTBOUND:
        return OutboundMessageDetailsResponse.model_construct(
            **_outbound_fields(details), reports=[_to_report(item) for item in details.reports]
        )
    return InboundMessageResponse.model_construct(
        **_common_fields(details), repeats=details.message.repeats
    )
