"""Webhook endpoints and deliveries, as callers give them and as the API tells of them."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from gateway_hub.api.device_models import Tags
from gateway_hub.api.fields import LEFT_OUT, WHOLE, GivenFields, GivenId, WebhookUrl
from gateway_hub.api.pages import PageQuery, PageResponse
from gateway_hub.api.times import GivenMoment, Moment
from gateway_hub.domain.events import EventType
from gateway_hub.domain.webhooks.circuit import CircuitState, DisableReason
from gateway_hub.domain.webhooks.deliveries import DeliveryStatus, WebhookAttempt, WebhookDelivery
from gateway_hub.domain.webhooks.endpoints import (
    EndpointKind,
    EndpointState,
    WebhookEndpoint,
    describe_endpoint,
)
from gateway_hub.domain.webhooks.outcomes import Fault, OutcomeKind
from gateway_hub.services.webhook_endpoints import EndpointDraft
from gateway_hub.services.webhook_history import Replay

_DAY_SECONDS = 86_400

_Subscribable = Literal[
    "*",
    EventType.MESSAGE_RECEIVED,
    EventType.MESSAGE_SCHEDULED,
    EventType.MESSAGE_QUEUED,
    EventType.MESSAGE_DISPATCHED,
    EventType.MESSAGE_ACCEPTED,
    EventType.MESSAGE_PENDING,
    EventType.MESSAGE_SENT,
    EventType.MESSAGE_DELIVERED,
    EventType.MESSAGE_FAILED,
    EventType.MESSAGE_UNCERTAIN,
    EventType.MESSAGE_CANCELLED,
    EventType.MESSAGE_EXPIRED,
    EventType.DEVICE_ONLINE,
    EventType.DEVICE_OFFLINE,
    EventType.DEVICE_STATUS,
    EventType.WEBHOOK_ENDPOINT_DISABLED,
]

Events = Annotated[list[_Subscribable], Field(min_length=1, max_length=20)]
Description = Annotated[str, StringConstraints(min_length=1, max_length=500)]


_REPLAYED_BY = {"since": "string", "event_ids": "array", "status": "string"}
_ONE_OF_THREE: JsonDict = {
    "oneOf": [
        {
            "required": [wanted],
            "properties": {
                name: {"type": kind if name == wanted else "null"}
                for name, kind in _REPLAYED_BY.items()
            },
        }
        for wanted in _REPLAYED_BY
    ]
}


class CreateWebhookEndpointRequest(GivenFields):
    """A URL that is to be told what happens."""

    url: WebhookUrl = Field(
        description="Begins with https://; where it may lead: docs/webhooks.md."
    )
    events: Events = Field(description="Types of events, or `*` for all.")
    tags: Tags = Field(
        default_factory=list,
        description="Only events of devices that have one of these tags, or of messages routed to "
        "one; all if none is given.",
    )
    description: Description | None = None

    def to_draft(self) -> EndpointDraft:
        """Return what is asked for, in the services' words."""
        return EndpointDraft(
            url=self.url,
            events=_without_repeats(self.events),
            tags=tuple(self.tags),
            description=self.description,
        )


class UpdateWebhookEndpointRequest(GivenFields):
    """What to change; a field left out stays, null takes its value away."""

    url: WebhookUrl = LEFT_OUT
    events: Events = LEFT_OUT
    tags: Tags = LEFT_OUT
    description: Description | None = None
    state: Literal[EndpointState.ENABLED, EndpointState.PAUSED] = LEFT_OUT

    def to_changes(self) -> dict[str, Any]:
        """Return the fields that were given, in the services' words."""
        changes: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "events" in changes:
            changes["events"] = _without_repeats(self.events)
        if "tags" in changes:
            changes["tags"] = tuple(self.tags)
        return changes


class RotateSecretRequest(GivenFields):
    """How to change the secret."""

    overlap_seconds: Annotated[int, Field(strict=True, ge=0, le=7 * _DAY_SECONDS), WHOLE] = Field(
        _DAY_SECONDS, description="How long webhooks are signed with the old one too."
    )


class ReplayRequest(GivenFields):
    """What to send again: exactly one of the three."""

    model_config = ConfigDict(json_schema_extra=_ONE_OF_THREE)

    since: GivenMoment | None = Field(
        None,
        description="All events from this time on that it was sent, or asks for and never got.",
    )
    event_ids: Annotated[list[GivenId], Field(min_length=1, max_length=200)] | None = Field(
        None, description="These events."
    )
    status: Literal[DeliveryStatus.DEAD] | None = Field(None, description="All that are `dead`.")

    @model_validator(mode="after")
    def _check_one_given(self) -> Self:
        given = [name for name in _REPLAYED_BY if getattr(self, name) is not None]
        if len(given) != 1:
            raise PydanticCustomError("one_of", "A replay names one of since, event_ids and status")
        return self

    def to_replay(self) -> Replay:
        """Return what is asked for, in the services' words."""
        return Replay(
            since=self.since,
            event_ids=tuple(dict.fromkeys(self.event_ids or ())),
            dead=self.status is not None,
        )


class WebhookEndpointListQuery(PageQuery):
    """Which webhook endpoints to list."""

    kind: EndpointKind | None = None


class WebhookDeliveryListQuery(PageQuery):
    """Which webhook deliveries to list."""

    status: DeliveryStatus | None = None


class CircuitResponse(BaseModel):
    """What is remembered of the latest attempts: one that fails is left alone for a while."""

    state: CircuitState
    failures: int = Field(description="In a row.")
    failing_since: Moment | None
    until: Moment | None = Field(description="When it is tried again; null: at once.")


class WebhookEndpointResponse(BaseModel):
    """A URL that is told what happens."""

    id: str
    kind: EndpointKind = Field(
        description="`callback`: stands for the `status_callback` URLs of one scheme, host, port."
    )
    url: str
    events: list[str]
    tags: list[str]
    description: str | None
    state: EndpointState = Field(
        description="`paused`: events wait. `disabled`, by the hub: they do not."
    )
    disabled_reason: DisableReason | None
    circuit: CircuitResponse
    previous_secret_until: Moment | None = Field(
        description="Until when webhooks are signed with the secret before this one, too."
    )
    created_at: Moment
    updated_at: Moment


class SecretWebhookEndpointResponse(WebhookEndpointResponse):
    """A webhook endpoint with its new secret, shown this once."""

    secret: str


class WebhookEndpointPageResponse(PageResponse[WebhookEndpointResponse]):
    """One page of webhook endpoints."""


class ReplayResponse(BaseModel):
    """What is sent again."""

    replayed: int = Field(description="How many events.")


class WebhookDeliveryResponse(BaseModel):
    """An event on its way to a webhook endpoint."""

    id: str
    event_id: str = Field(description="Also the `webhook-id`.")
    event_type: str
    message_id: str | None
    url: str | None = Field(description="Of a callback; null: that of the webhook endpoint.")
    status: DeliveryStatus
    attempt_count: int = Field(description="Since it was last replayed.")
    next_attempt_at: Moment | None
    reply_id: str | None = Field(description="The message that the endpoint replied with.")
    created_at: Moment
    updated_at: Moment


class WebhookDeliveryPageResponse(PageResponse[WebhookDeliveryResponse]):
    """One page of webhook deliveries."""


class WebhookAttemptResponse(BaseModel):
    """One HTTP request of a webhook delivery, and what came of it."""

    number: int
    started_at: Moment
    duration_ms: int
    outcome: OutcomeKind
    http_status: int | None
    fault: Fault | None = Field(description="Why there was no whole answer.")
    detail: str = Field(description="How it ended, for people.")
    excerpt: str | None = Field(description="The first KiB of the answer, as text.")
    reply_problem: str | None = Field(description="Why the reply in the answer was not sent.")


class WebhookDeliveryDetailsResponse(WebhookDeliveryResponse):
    """A webhook delivery with its attempts."""

    attempts: list[WebhookAttemptResponse]


def to_endpoint_response(endpoint: WebhookEndpoint) -> WebhookEndpointResponse:
    """Return a webhook endpoint as the API tells of it."""
    return WebhookEndpointResponse.model_validate(describe_endpoint(endpoint))


def to_secret_response(endpoint: WebhookEndpoint, secret: str) -> SecretWebhookEndpointResponse:
    """Return a webhook endpoint with its new secret."""
    told = describe_endpoint(endpoint) | {"secret": secret}
    return SecretWebhookEndpointResponse.model_validate(told)


def to_delivery_response(delivery: WebhookDelivery) -> WebhookDeliveryResponse:
    """Return a webhook delivery as lists tell of it."""
    return WebhookDeliveryResponse(**_delivery_fields(delivery))


def to_delivery_details(
    delivery: WebhookDelivery, attempts: list[WebhookAttempt]
) -> WebhookDeliveryDetailsResponse:
    """Return a webhook delivery with its attempts."""
    told = [
        WebhookAttemptResponse(
            **{name: getattr(item, name) for name in WebhookAttemptResponse.model_fields}
        )
        for item in attempts
    ]
    return WebhookDeliveryDetailsResponse(**_delivery_fields(delivery), attempts=told)


def _delivery_fields(delivery: WebhookDelivery) -> dict[str, Any]:
    alike = WebhookDeliveryResponse.model_fields.keys() - {"attempt_count"}
    told = {name: getattr(delivery, name) for name in alike}
    if delivery.next_attempt_at is not None:
        # A test is due long before it was made: that is how it comes before all others.
        told["next_attempt_at"] = max(delivery.next_attempt_at, delivery.created_at)
    return told | {"attempt_count": delivery.attempts}


def _without_repeats(events: list[_Subscribable]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(item) for item in events))
