"""The inbound half of a simulated EnvayaSMS app: what waits to be forwarded, two at a time.

After ``Inbox.java``, ``IncomingMessage.java`` and ``QueuedMessage.java`` of 3.0.1.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from typing import Literal

from gateway_hub.simulator.phone import Agenda, Alarm, MmsAttachment

Log = Callable[[str, datetime], None]
Action = Callable[[datetime], None]

_MAX_FORWARDING = 2
_RETRIES = (
    ("1st failure; retry in 20 seconds", timedelta(seconds=20)),
    ("2nd failure; retry in 5 minutes", timedelta(minutes=5)),
    ("3rd failure; retry in 1 hour", timedelta(hours=1)),
    ("4th failure: retry in 1 day", timedelta(days=1)),
)
_GIVING_UP = "5th failure: giving up"


class State(Enum):
    """What a queued message waits for; ``NONE`` is nothing, not even a retry."""

    NONE = auto()
    QUEUED = auto()
    BUSY = auto()
    SCHEDULED = auto()
    DONE = auto()


class RetryLadder:
    """How often a message failed, and its next try; a fifth failure is the last that counts."""

    __slots__ = ("_alarm", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._alarm: Alarm | None = None

    def climb(self, agenda: Agenda, try_again: Action, log: Log, now: datetime) -> State:
        """Count a failure, set the alarm of the next try, and return what is waited for then."""
        self.failures += 1
        if self.failures > len(_RETRIES):
            log(_GIVING_UP, now)
            return State.NONE
        line, delay = _RETRIES[self.failures - 1]
        log(line, now)
        # Android knows an alarm by its message: a new one takes the place of the old.
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = agenda.add(now + delay, try_again)
        return State.SCHEDULED


@dataclass(slots=True, eq=False)
class InboundMessage:
    """A message to be forwarded; *contact* is the recipient of one typed by hand."""

    type: Literal["sms", "mms", "call"]
    contact: str
    text: str
    timestamp_ms: int
    created_at: datetime
    typed_by_hand: bool = False
    attachments: tuple[MmsAttachment, ...] = ()
    mms_number: int = 0
    state: State = State.NONE
    ladder: RetryLadder = field(default_factory=RetryLadder)

    @property
    def key(self) -> tuple[object, ...]:
        """What the app tells messages apart by."""
        if self.type == "mms":
            return ("mms", self.mms_number)
        return (self.type, self.typed_by_hand, self.contact, self.timestamp_ms, self.text)

    @property
    def display_type(self) -> str:
        """What the app's log calls it."""
        return "call" if self.type == "call" else self.type.upper()

    def description(self) -> str:
        """Return what the app's log calls it when it tries again."""
        if self.typed_by_hand:
            return f"Sent {self.display_type} to {self.contact}"
        return f"{self.display_type} from {self.contact}"


class Inbox:
    """Messages that the server does not have yet, the given-up ones included."""

    def __init__(
        self, agenda: Agenda, log: Log, forward: Callable[[InboundMessage, datetime], None]
    ) -> None:
        self._agenda = agenda
        self._log = log
        self._forward = forward
        self._messages: dict[tuple[object, ...], InboundMessage] = {}
        self._queue: deque[InboundMessage] = deque()
        self._forwarding = 0

    @property
    def messages(self) -> list[InboundMessage]:
        """All that is there, oldest first."""
        return list(self._messages.values())

    def take(self, message: InboundMessage, now: datetime) -> None:
        """Take a message, unless one just like it is waiting."""
        if message.key in self._messages:
            self._log(f"Duplicate incoming {message.display_type}, skipping", now)
            return
        self._messages[message.key] = message
        message.state, message.ladder = State.NONE, RetryLadder()
        self._log(f"Received {message.display_type}", now)
        self._enqueue(message, now)

    def mark_forwarded(self, message: InboundMessage, now: datetime) -> None:
        """Forget a message: the server has it."""
        message.state = State.DONE
        self._messages.pop(message.key, None)
        self._forwarding -= 1
        self._dequeue(now)

    def fail(self, message: InboundMessage, now: datetime) -> None:
        """Have a message forwarded again, unless it failed too often.

        A failure of one that is forwarded already counts all the same: the app then forwards one
        more than two at a time.
        """
        try_again = partial(self._try_again, message.key)
        message.state = message.ladder.climb(self._agenda, try_again, self._log, now)
        self._forwarding -= 1
        self._dequeue(now)

    def retry_all(self, now: datetime) -> None:
        """Forward at once what waits for its time or was given up."""
        for message in self.messages:
            self._enqueue(message, now)

    def clear(self) -> None:
        """Forget everything."""
        self._messages.clear()
        self._queue.clear()
        self._forwarding = 0

    def _try_again(self, key: tuple[object, ...], now: datetime) -> None:
        if key in self._messages:
            self._enqueue(self._messages[key], now)

    def _enqueue(self, message: InboundMessage, now: datetime) -> None:
        if message.state in (State.SCHEDULED, State.NONE):
            message.state = State.QUEUED
            self._queue.append(message)
            self._dequeue(now)

    def _dequeue(self, now: datetime) -> None:
        if self._forwarding >= _MAX_FORWARDING or not self._queue:
            return
        message = self._queue.popleft()
        self._forwarding += 1
        message.state = State.BUSY
        if message.ladder.failures:
            self._log(f"Retrying forwarding {message.description()}", now)
        self._forward(message, now)
