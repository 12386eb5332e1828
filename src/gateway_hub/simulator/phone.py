"""A simulated phone seen from outside, and what every kind of it is built of.

A phone does no I/O and reads no clock: who drives it says what time it is, puts its requests on
the network and brings back the answers. Given the same seed and the same calls it does the same.
"""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from gateway_hub.simulator.steps import Step

NoAnswerKind = Literal["refused", "cut", "timeout", "unknown_host"]
"""How a request ends without an answer.

``refused`` stands for a reset too: the apps' HTTP stacks give up at both. ``cut`` is a connection
closed before the first byte of an answer, which they take for a stale one and repeat by themselves.
"""


Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request to put on the network; *token* names it when its answer is brought back."""

    token: int
    method: str
    url: str
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer; *location* is that of a redirect.

    The ``Content-Encoding`` of *body* is undone if the request asked for one, and only then.

    Redirects are not to be followed on the phone's behalf: each app does it in its own way.
    """

    status: int
    content_type: str | None
    body: bytes
    location: str | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """The end of a request that got no answer."""

    kind: NoAnswerKind


@dataclass(frozen=True, slots=True)
class SentSms:
    """An SMS that left the radio, *at* the time of its last part; *parts* is how many left.

    *wire_id* is None if the server gave none.
    """

    wire_id: str | None
    to: str
    text: str
    parts: int
    at: datetime


@dataclass(frozen=True, slots=True)
class MmsAttachment:
    """A part of an MMS as the phone has it."""

    content_type: str
    data: bytes
    filename: str | None = None
    content_id: str | None = None


class SimulatedPhone(Protocol):
    """What one drives a phone by, whatever its protocol.

    *air* is what really left the radio, whether or not it was ever reported. *lost* is what the
    app believes the server has, because a page answered the GET that its POST was redirected to.
    In *airplane* mode neither radio nor network work; it may be set at any time, and requests
    already handed out are their driver's to end.
    """

    name: str
    airplane: bool
    air: list[SentSms]
    lost: list[Step]

    @property
    def idle(self) -> bool:
        """Whether nothing more will happen by itself but polls that have nothing to tell."""
        ...

    def next_wakeup(self) -> datetime | None:
        """Return the earliest moment at which `run` has something to do; a past one means now.

        To be asked again after every call of another method.
        """
        ...

    def run(self, now: datetime) -> list[HttpRequest]:
        """Do all that is due by *now* and return the requests to put on the network."""
        ...

    def take_answer(self, token: int, answer: HttpAnswer | NoAnswer, now: datetime) -> None:
        """Take the end of the request *token*; one that the phone gave up on is ignored."""
        ...

    def receive_sms(self, contact: str, text: str, now: datetime) -> None:
        """Receive an SMS; *contact* may be empty, a name, or any address."""
        ...

    def receive_mms(self, contact: str, parts: Sequence[MmsAttachment], now: datetime) -> None:
        """Receive an MMS."""
        ...

    def receive_call(self, contact: str, now: datetime) -> None:
        """Miss a call; an empty *contact* is a hidden one."""
        ...

    def type_sms(self, to: str, text: str, now: datetime) -> None:
        """Send an SMS by hand from the phone's own messaging app; it is not part of *air*."""
        ...

    def press_retry(self, now: datetime) -> None:
        """Press the app's button that tries again what it had given up."""
        ...

    def restart(self, now: datetime) -> None:
        """Lose power and come back: only what the app keeps on disk is left."""
        ...


class Alarm:
    """Something a phone will do by itself, until it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[datetime], None]) -> None:
        self.action: Callable[[datetime], None] | None = action

    def cancel(self) -> None:
        """Forget it; harmless if it is over."""
        self.action = None


class Agenda:
    """A phone's alarms in order of time; equal times keep the order in which they were set."""

    def __init__(self) -> None:
        self._alarms: list[tuple[datetime, int, Alarm]] = []
        self._set = 0

    def add(self, at: datetime, action: Callable[[datetime], None]) -> Alarm:
        """Have *action* called with the time at which it happens, *at* or later."""
        alarm = Alarm(action)
        self._set += 1
        heapq.heappush(self._alarms, (at, self._set, alarm))
        return alarm

    @property
    def next_at(self) -> datetime | None:
        """The time of the first alarm; None if there is none."""
        while self._alarms and self._alarms[0][2].action is None:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def run_due(self, now: datetime) -> None:
        """Do what is due by *now*, also what becomes due by doing it."""
        while self._alarms and self._alarms[0][0] <= now:
            action = heapq.heappop(self._alarms)[2].action
            if action is not None:
                action(now)

    def clear(self) -> None:
        """Forget all alarms."""
        self._alarms.clear()


class Outgoing:
    """Requests a phone has made that nobody has fetched yet."""

    def __init__(self) -> None:
        self.since: datetime | None = None
        self._requests: list[HttpRequest] = []
        self._made = 0

    def add(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        now: datetime,
    ) -> int:
        """Add a request and return its token."""
        self._made += 1
        self._requests.append(HttpRequest(self._made, method, url, headers, body))
        self.since = self.since or now
        return self._made

    def take(self) -> list[HttpRequest]:
        """Return the requests in order and keep none."""
        taken, self._requests, self.since = self._requests, [], None
        return taken


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the first of *moments*, None if there is none."""
    return min((moment for moment in moments if moment is not None), default=None)
