"""What callers say of messages: to be sent, and which to list."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from gateway_hub.api.fields import WHOLE, GivenFields, GivenId, Tag, WebhookUrl
from gateway_hub.api.pages import PageQuery
from gateway_hub.api.times import GivenMoment
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import (
    Direction,
    IfUncertain,
    MessageDraft,
    MessageType,
    Route,
)
from gateway_hub.domain.segments import transliterate

_ONE_OF_BOTH: JsonDict = {
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


Transliterate = Annotated[
    bool,
    Field(
        strict=True,
        description="Whether to put plain quotes, dashes and spaces for typographic ones, where "
        "that makes the text GSM-7 in no more segments; else it stays as it is.",
    ),
]


class SendMessageRequest(GivenFields):
    """A message to be sent."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=64)] = Field(
        description="The recipient's phone number or short code; E.164 is safest."
    )
    text: Annotated[str, StringConstraints(min_length=1, max_length=16_000)]
    transliterate: Transliterate = False
    route: RouteRequest | None = Field(
        None, description="Which devices may send it; any of the project's if not given."
    )
    priority: Annotated[int, Field(strict=True, ge=-1000, le=1000), WHOLE] = Field(
        0, description="Higher goes first."
    )
    send_at: GivenMoment | None = Field(None, description="Not before this time.")
    expires_at: GivenMoment | None = Field(
        None, description="Not after this time: `expired` if no device took it by then."
    )
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=10), WHOLE] = Field(
        1, description="How often to try anew after a final failure."
    )
    if_uncertain: IfUncertain | None = Field(
        None,
        description="What to do when it may or may not have been sent: `wait` never sends it "
        "twice, `resend` sends it again; the project's own if not given.",
    )
    reference: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        None, description="Your own id for it; need not be unique."
    )
    status_callback: WebhookUrl | None = Field(
        None,
        description="A URL of yours that hears of each status of this message, signed like "
        "a webhook; see docs/webhooks.md.",
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
            text=transliterate(self.text) if self.transliterate else self.text,
            route=Route(device_id=route.device_id, tag=route.tag),
            priority=self.priority,
            send_at=self.send_at,
            expires_at=self.expires_at,
            max_attempts=self.max_attempts,
            if_uncertain=self.if_uncertain,
            reference=self.reference,
            metadata=self.metadata,
            status_callback=self.status_callback,
        )


class EstimateRequest(GivenFields):
    """A message to be looked ahead for; nothing is sent."""

    to: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    text: Annotated[str, StringConstraints(min_length=1, max_length=16_000)]
    transliterate: Transliterate = False
    route: RouteRequest | None = None

    def to_route(self) -> Route:
        """Return the route, in the services' words."""
        route = self.route or RouteRequest.model_construct()
        return Route(device_id=route.device_id, tag=route.tag)


class MessageFilterFields(GivenFields):
    """Which messages; a filter that is not given lets all through."""

    direction: Direction | None = None
    status: Status | None = None
    type: MessageType | None = None
    device_id: GivenId | None = None
    contact: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        None, description="The other party's number in any spelling, or its name as it came."
    )
    tag: Tag | None = Field(
        None, description="Routed to this tag or to a device that has it now, or through one."
    )
    reference: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None
    created_after: GivenMoment | None = None
    created_before: GivenMoment | None = None
    q: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Part of the text, in upper or lower case."
    )


class MessageListQuery(MessageFilterFields, PageQuery):
    """Which messages to list."""
