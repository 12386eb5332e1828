"""Routes of the event log: read it page by page, or be told as it grows."""

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from gateway_hub.api.authentication import MessagesReader, is_still_valid
from gateway_hub.api.context import HubDependency
from gateway_hub.api.event_models import (
    EventFilterFields,
    EventListQuery,
    EventPageResponse,
    EventResponse,
    EventStreamQuery,
    to_event_filter,
)
from gateway_hub.api.event_streams import HEARTBEAT_SECONDS, EventStream, render_stream
from gateway_hub.api.fields import PathId
from gateway_hub.api.middleware import IS_HEAD
from gateway_hub.api.openapi import EXPIRED, STREAMED
from gateway_hub.api.routes import ApiRoute
from gateway_hub.domain.events import render_envelope
from gateway_hub.services.event_log import EARLIEST, LATEST

router = APIRouter(prefix="/events", tags=["Events"], route_class=ApiRoute)

_MOST_ID_CHARACTERS = 64


@router.get(
    "",
    summary="List events",
    operation_id="event_list",
    response_model=EventPageResponse,
    responses=EXPIRED,
)
async def list_events(
    hub: HubDependency, caller: MessagesReader, query: Annotated[EventListQuery, Query()]
) -> Response:
    """List events, oldest first: this is a log, to be read on from where you are.

    Whoever asks again with each `next_cursor` misses none and gets none twice. Events of one
    message come in order; nothing is promised about the order of others.
    """
    wanted = to_event_filter(caller, query)
    start = await hub.events.find_start(caller.project_id, query.cursor or EARLIEST)
    page = await hub.events.read(caller.project_id, wanted, after=start, limit=query.limit)
    cursor = hub.events.cursors.seal(caller.project_id, page.reached)
    told = b",".join(render_envelope(event) for event in page.events)
    more = b"false" if page.at_end else b"true"
    body = b'{"data":[%b],"next_cursor":"%b","has_more":%b}' % (told, cursor.encode(), more)
    return Response(body, media_type="application/json")


# Before the event that would be called "stream".
@router.get(
    "/stream",
    summary="Follow events",
    operation_id="event_stream",
    response_class=StreamingResponse,
    responses=STREAMED,
)
async def stream_events(
    hub: HubDependency,
    caller: MessagesReader,
    query: Annotated[EventStreamQuery, Query()],
    request: Request,
    last_event_id: Annotated[
        str | None,
        Header(
            max_length=_MOST_ID_CHARACTERS,
            description="The last `id` of a stream before; it counts for more than `cursor`.",
        ),
    ] = None,
) -> Response:
    """Send events as they happen: `event` is the type, `data` the event, `id` its cursor.

    Every 15 seconds without one there is a comment, with the cursor that has been reached. Before
    the hub ends a stream it sends `stream.ended` with the reason (`too_slow`, `stopping`,
    `not_allowed`) and the cursor to go on from.
    """
    wanted = to_event_filter(caller, query)
    hub.events.check_room()
    start = await hub.events.find_start(caller.project_id, last_event_id or query.cursor or LATEST)
    if IS_HEAD in request.scope:
        return Response(media_type=EventStream.media_type)
    news = hub.events.follow(caller.project_id, wanted, after=start, seconds=HEARTBEAT_SECONDS)

    async def is_allowed() -> bool:
        return await is_still_valid(request)

    return EventStream(render_stream(news, hub.events.cursors, caller.project_id, is_allowed))


@router.get(
    "/{event_id}", summary="Get an event", operation_id="event_get", response_model=EventResponse
)
async def get_event(hub: HubDependency, caller: MessagesReader, event_id: PathId) -> Response:
    """Return an event, for as long as it is kept."""
    wanted = to_event_filter(caller, EventFilterFields())
    event = await hub.events.get(caller.project_id, wanted, event_id)
    return Response(render_envelope(event), media_type="application/json")
