"""The end of the event log, read once by each process for all who follow it there."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.domain.events import Event, EventFilter
from gateway_hub.storage import events as event_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

MOST_WAITING = 1000
"""The most events that are kept for one follower who does not take them."""

_AT_ONCE = 500
_NET_SECONDS = 1.0
_RETRY_AFTER_SECONDS = 30


class Follower:
    """Events of one project as they come, for one who takes them in its own time."""

    def __init__(self, project_id: str, wanted: EventFilter, place: int) -> None:
        self.project_id = project_id
        self.wanted = wanted
        self.place = place
        """All that was wanted up to here has been put aside, unless it was dropped."""
        self.dropped = False
        """Whether it was too slow: of what came after what it can still take it gets nothing."""
        self.ended = False
        """Whether nothing more is to come."""
        self._waiting: deque[Event] = deque()
        self._stirred = asyncio.Event()

    def put(self, events: Sequence[Event], place: int) -> None:
        """Put *events* aside, which are all that was wanted up to *place*."""
        if self.dropped:
            return
        if len(self._waiting) + len(events) > MOST_WAITING:
            self.dropped = True
            self._stirred.set()
            return
        self._waiting.extend(events)
        self.place = place
        if events:
            self._stirred.set()

    def end(self) -> None:
        """Let it know that nothing more comes."""
        self.ended = True
        self._stirred.set()

    async def take(self, seconds: float) -> list[Event]:
        """Return what has come, oldest first, once there is something; none after *seconds*."""
        if not (self._waiting or self.dropped or self.ended):
            self._stirred.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stirred.wait()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


@dataclass(frozen=True, slots=True)
class _News:
    """What was read at once, up to the place *until*, and which of it is about which tag."""

    events: list[Event]
    tagged: dict[str, set[int]]
    until: int

    def pick(self, project_id: str, wanted: EventFilter) -> list[Event]:
        tag = wanted.within_tag
        return [
            event
            for event in self.events
            if event.project_id == project_id
            and wanted.passes(event)
            and (tag is None or event.seq in self.tagged[tag])
        ]


class EventTail:
    """Who follows the log in this process. No follower costs a query of its own."""

    def __init__(self, database: Database, most_streams: int) -> None:
        self._database = database
        self._most_streams = most_streams
        self.open_streams = 0
        """How many read the log, now or as it goes on."""
        self._followers: set[Follower] = set()
        self._place = 0
        self._stirred = asyncio.Event()
        self._reading = asyncio.Lock()
        self.stopping = False

    def rouse(self) -> None:
        """Take in that there may be new events in the log; never waits."""
        if self._followers:
            self._stirred.set()

    def stop(self) -> None:
        """Let all followers go, and take none from now on."""
        self.stopping = True
        for follower in self._followers:
            follower.end()

    def check_room(self) -> None:
        """Raise UnavailableError if one more stream cannot be opened now."""
        if self.stopping:
            raise UnavailableError("The hub is stopping.")
        if self.open_streams >= self._most_streams:
            raise UnavailableError(
                "As many event streams are open as this process takes.",
                code="too_many_streams",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )

    @contextmanager
    def open_stream(self) -> Iterator[None]:
        """Count one who reads the log, from the first page on."""
        self.open_streams += 1
        try:
            yield
        finally:
            self.open_streams -= 1

    @asynccontextmanager
    async def join(self, project_id: str, wanted: EventFilter) -> AsyncIterator[Follower]:
        """Yield a follower who gets all that comes after its first place."""
        async with self._reading:
            if not self._followers:
                self._place = (await self._database.read(event_rows.find_bounds)).last
            follower = Follower(project_id, wanted, self._place)
            self._followers.add(follower)
        self._stirred.set()
        try:
            if self.stopping:
                follower.end()
            yield follower
        finally:
            self._followers.discard(follower)

    async def follow(self) -> None:
        """Wait for new events, and hand them to all who want them."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_NET_SECONDS if self._followers else None):
                await self._stirred.wait()
        self._stirred.clear()
        more = True
        while more and self._followers:
            async with self._reading:
                more = await self._hand_out()

    async def _hand_out(self) -> bool:
        """Hand out the next events; say whether there may be more."""
        tags = {item.wanted.within_tag for item in self._followers}

        async def query(tx: Transaction) -> _News:
            events = await event_rows.list_after(tx, self._place, limit=_AT_ONCE)
            until = events[-1].seq if events else self._place
            tagged = {
                tag: await event_rows.find_tagged(tx, tag, after=self._place, until=until)
                for tag in tags
                if tag is not None and events
            }
            return _News(events, tagged, until)

        news = await self._database.read(query)
        self._place = news.until
        for follower in self._followers:
            follower.put(news.pick(follower.project_id, follower.wanted), news.until)
        return len(news.events) == _AT_ONCE
