"""Reading the event log: a page after a cursor, or all that comes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from gateway_hub.domain.errors import (
    CursorExpiredError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
)
from gateway_hub.domain.events import Event, EventFilter
from gateway_hub.services.event_tail import EventTail, Follower
from gateway_hub.services.log_cursors import LogCursors
from gateway_hub.storage import events as event_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.events import EventPage, LogBounds
from gateway_hub.storage.transactions import Transaction

LATEST = "latest"
"""In place of a cursor: where the log ends now."""

EARLIEST = "earliest"
"""In place of a cursor: where the log begins."""

_PAGE = 200
_STOPPING = "stopping"
_TOO_SLOW = "too_slow"


@dataclass(frozen=True, slots=True)
class NewsOfLog:
    """What a follower is told: *events*, after which it stands at *place*.

    *ending*: why nothing more comes; whoever wants more goes on from *place*.
    """

    events: list[Event]
    place: int
    ending: str | None = None


class InvalidCursorError(InvalidInputError):
    """A cursor that the log never gave to this project."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        detail = "The cursor is not one of this event log."
        super().__init__(detail, fields=(FieldProblem("/cursor", self.code, detail),))


class EventLog:
    """The log as the callers of one project read it."""

    def __init__(self, database: Database, cursors: LogCursors, tail: EventTail) -> None:
        self._database = database
        self._tail = tail
        self.cursors = cursors

    def check_room(self) -> None:
        """Raise UnavailableError if `follow` cannot be begun by one more now."""
        self._tail.check_room()

    async def find_start(self, project_id: str, cursor: str) -> int:
        """Return the place after which *cursor*, or one of the two words, says to read.

        Raises InvalidCursorError, and CursorExpiredError if events after it have been removed.
        """
        bounds: LogBounds = await self._database.read(event_rows.find_bounds)
        if cursor == EARLIEST:
            return bounds.removed
        if cursor == LATEST:
            return bounds.last
        place = self.cursors.find_place(project_id, cursor)
        if place is None:
            raise InvalidCursorError
        if place < bounds.removed:
            raise CursorExpiredError("Events that came after the cursor have been removed.")
        if place > bounds.last:
            raise CursorExpiredError("The log has been restored to before the cursor.")
        return place

    async def read(
        self, project_id: str, wanted: EventFilter, *, after: int, limit: int
    ) -> EventPage:
        """Return up to *limit* events after that place, oldest first."""

        async def query(tx: Transaction) -> EventPage:
            return await event_rows.list_events(tx, project_id, wanted, after=after, limit=limit)

        return await self._database.read(query)

    async def get(self, project_id: str, wanted: EventFilter, event_id: str) -> Event:
        """Return an event. Raises NotFoundError."""

        async def query(tx: Transaction) -> Event | None:
            return await event_rows.find_event(tx, project_id, wanted, event_id)

        event = await self._database.read(query)
        if event is None:
            raise NotFoundError("There is no such event.")
        return event

    async def follow(
        self, project_id: str, wanted: EventFilter, *, after: int, seconds: float
    ) -> AsyncGenerator[NewsOfLog, None]:
        """Yield all events after that place as they come, and no news every *seconds* without any.

        What was there before is read page by page. A follower who takes too little of what comes is
        dropped: the last it hears is why. No connection to the database is held meanwhile.
        """
        with self._tail.open_stream():
            async for news in self._follow(project_id, wanted, after, seconds):
                yield news

    async def _follow(
        self, project_id: str, wanted: EventFilter, place: int, seconds: float
    ) -> AsyncGenerator[NewsOfLog, None]:
        while not self._tail.stopping:
            async for page in self._catch_up(project_id, wanted, place):
                place = page.reached
                if page.events:
                    yield NewsOfLog(page.events, place)
            async with self._tail.join(project_id, wanted) as follower:
                # What came between the last page and the joining is in neither.
                page = await self.read(project_id, wanted, after=place, limit=_PAGE)
                place = page.reached
                yield NewsOfLog(page.events, place)
                if page.at_end:
                    async for news in _take_from(follower, place, seconds):
                        yield news
                    return
        yield NewsOfLog([], place, _STOPPING)

    async def _catch_up(
        self, project_id: str, wanted: EventFilter, place: int
    ) -> AsyncGenerator[EventPage, None]:
        at_end = False
        while not (at_end or self._tail.stopping):
            page = await self.read(project_id, wanted, after=place, limit=_PAGE)
            yield page
            place, at_end = page.reached, page.at_end


async def _take_from(
    follower: Follower, place: int, seconds: float
) -> AsyncGenerator[NewsOfLog, None]:
    """Yield what comes to *follower* after *place*, up to which it has read the log itself."""
    while True:
        taken = await follower.take(seconds)
        events = [event for event in taken if event.seq > place]
        ending = _why_ended(follower)
        if ending is None:
            place = max(place, follower.place)
        elif events:
            place = events[-1].seq
        yield NewsOfLog(events, place, ending)
        if ending is not None:
            return


def _why_ended(follower: Follower) -> str | None:
    if follower.dropped:
        return _TOO_SLOW
    return _STOPPING if follower.ended else None
