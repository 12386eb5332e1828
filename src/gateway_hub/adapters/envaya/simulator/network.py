"""The HTTP client under a simulated EnvayaSMS app: Apache's, as Android 2.3 to 5 ship it.

After ``DefaultRequestDirector``, ``DefaultHttpRequestRetryHandler``, ``DefaultRedirectHandler`` and
``ConnPerRouteBean`` of Android, with the time limits of the app's ``App.java``.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urljoin

from gateway_hub.adapters.envaya.simulator.inbound import InboundMessage
from gateway_hub.adapters.envaya.simulator.log import NO_LOG, LogText
from gateway_hub.adapters.envaya.simulator.requests import Fields
from gateway_hub.simulator.phone import Headers, HttpAnswer, MmsAttachment, NoAnswer, Outgoing

READ_TIMEOUT = timedelta(seconds=60)
_MAX_CONNECTIONS = 2
_MAX_REPEATS = 3
_MAX_REDIRECTS = 100
_REDIRECTS = frozenset({301, 302, 303, 307})


@dataclass(slots=True)
class Task:
    """Something the app tells its server.

    *head* and *tail* are its own fields: those before and after ``version``. One that *repeats* is
    kept for later if the server cannot be reached; *log* is what it took from the app's log.
    """

    action: str
    head: Fields
    tail: Fields = ()
    repeats: bool = False
    message: InboundMessage | None = None
    attachments: tuple[MmsAttachment, ...] = ()
    log: LogText = NO_LOG


@dataclass(slots=True)
class _Flight:
    task: Task
    method: str
    url: str
    headers: Headers
    body: bytes
    deadline: datetime
    repeats: int = 0
    redirects: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A task, how it ended, and whether that was the answer to a GET it was redirected to."""

    task: Task
    end: HttpAnswer | NoAnswer
    was_redirected: bool


class Network:
    """At most two requests at a time; others are ready and signed, and wait for a connection."""

    def __init__(self) -> None:
        self.outgoing = Outgoing()
        self._flights: dict[int, _Flight] = {}
        self._waiting: deque[_Flight] = deque()

    @property
    def tasks(self) -> Iterator[Task]:
        """The tasks under way or waiting."""
        yield from (flight.task for flight in (*self._flights.values(), *self._waiting))

    @property
    def next_deadline(self) -> datetime | None:
        """When the first read times out."""
        # All are given the same time, so the oldest request is the first to end.
        return next((flight.deadline for flight in self._flights.values()), None)

    def post(self, task: Task, url: str, headers: Headers, body: bytes, now: datetime) -> None:
        """Send the post of *task*, as soon as there is a connection."""
        self._waiting.append(_Flight(task, "POST", url, headers, body, now))
        self._use_connections(now)

    def take_answer(self, token: int, end: HttpAnswer | NoAnswer, now: datetime) -> Ended | None:
        """Return what *end* ends; None if it goes on, or was given up before."""
        flight = self._flights.pop(token, None)
        if flight is None:
            return None
        if isinstance(end, NoAnswer):
            goes_on = self._repeat(flight, end, now)
        else:
            goes_on = self._follow(flight, end, now)
        self._use_connections(now)
        return None if goes_on else Ended(flight.task, end, flight.redirects > 0)

    def time_out(self, now: datetime) -> list[Ended]:
        """Return what has waited for an answer for too long."""
        late = [token for token, flight in self._flights.items() if flight.deadline <= now]
        ended = [self.take_answer(token, NoAnswer("timeout"), now) for token in late]
        return [one for one in ended if one is not None]

    def forget(self) -> None:
        """Give up everything."""
        self.outgoing.take()
        self._flights.clear()
        self._waiting.clear()

    def _use_connections(self, now: datetime) -> None:
        while self._waiting and len(self._flights) < _MAX_CONNECTIONS:
            self._put_on_network(self._waiting.popleft(), now)

    def _put_on_network(self, flight: _Flight, now: datetime) -> None:
        flight.deadline = now + READ_TIMEOUT
        token = self.outgoing.add(flight.method, flight.url, flight.headers, flight.body, now)
        self._flights[token] = flight

    def _repeat(self, flight: _Flight, end: NoAnswer, now: datetime) -> bool:
        """Send the same bytes again if the connection was closed without an answer."""
        if end.kind != "cut" or flight.repeats >= _MAX_REPEATS:
            return False
        flight.repeats += 1
        self._put_on_network(flight, now)
        return True

    def _follow(self, flight: _Flight, answer: HttpAnswer, now: datetime) -> bool:
        """Go where a redirect points, by GET, with the signature but without the form."""
        if answer.status not in _REDIRECTS or not answer.location:
            return False
        if flight.redirects >= _MAX_REDIRECTS:
            return False
        flight.redirects += 1
        flight.method, flight.body = "GET", b""
        flight.url = urljoin(flight.url, answer.location)
        flight.headers = tuple(pair for pair in flight.headers if pair[0] != "Content-Type")
        self._put_on_network(flight, now)
        return True
