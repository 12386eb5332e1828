"""Events as the API tells of them, and what is asked for."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from gateway_hub.api.fields import GivenFields, GivenId
from gateway_hub.api.pages import PageQuery
from gateway_hub.api.times import Moment
from gateway_hub.domain.access import Principal, Scope
from gateway_hub.domain.errors import PermissionDeniedError
from gateway_hub.domain.events import EventFilter, EventType

_SCOPES: Mapping[str, Scope] = {
    "message": Scope.MESSAGES_READ,
    "device": Scope.DEVICES_READ,
    "webhook_endpoint": Scope.WEBHOOKS_READ,
}
"""What a key needs to be told of a kind of thing."""


class EventFilterFields(GivenFields):
    """Which events."""

    type: EventType | None = Field(None, description="Events of this type only.")
    message_id: GivenId | None = Field(None, description="Events of this message only.")
    device_id: GivenId | None = Field(
        None, description="Events of this device, and of messages that go through it."
    )


class EventListQuery(EventFilterFields, PageQuery):
    """Which events to list."""

    cursor: GivenId | None = Field(
        None,
        description="`next_cursor` of an answer before; or `earliest`, as if not given: from the "
        "oldest event that is kept; or `latest`: only what comes from now on.",
    )


class EventStreamQuery(EventFilterFields):
    """Which events to send, and from where on."""

    cursor: GivenId | None = Field(
        None,
        description="A cursor of the list or of a stream, or `earliest`; or `latest`, as if "
        "neither this nor `Last-Event-ID` is given: only what comes from now on.",
    )


class EventResponse(BaseModel):
    """Something that happened."""

    id: str
    type: EventType
    timestamp: Moment
    project_id: str
    data: dict[str, Any] = Field(
        description="The message, device or webhook endpoint as it was then: as the API tells of "
        "it, a message without `attempts`, `reports` and `waiting_for`, a device without `backlog` "
        "and `budget_left`."
    )


class EventPageResponse(BaseModel):
    """Events, oldest first."""

    data: list[EventResponse]
    next_cursor: str = Field(
        description="What gets the events after these: there always is one, to go on with later."
    )
    has_more: bool = Field(
        description="Whether the log goes on now. With a filter a page may hold few events, or "
        "none, and yet there are more."
    )


def to_event_filter(caller: Principal, query: EventFilterFields) -> EventFilter:
    """Return which events *query* asks for, of what *caller* may be told of.

    Raises PermissionDeniedError for a type that the caller may not be told of at all.
    """
    types = frozenset(item for item in EventType if caller.may(_SCOPES[item.partition(".")[0]]))
    if query.type is not None:
        if query.type not in types:
            scope = _SCOPES[query.type.partition(".")[0]]
            raise PermissionDeniedError(f"The API key lacks the scope {scope}.")
        types = frozenset({query.type})
    return EventFilter(
        types=None if len(types) == len(EventType) else types,
        message_id=query.message_id,
        device_id=query.device_id,
        within_tag=caller.tag,
    )
