"""The outbound half of a simulated EnvayaSMS app: what it sends, when, and what it says of that.

After ``Outbox.java``, ``OutgoingMessage.java``, ``OutgoingSms.java``, ``App.java`` and
``MessageStatusNotifier.java`` of 3.0.1.
"""

import heapq
from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from gateway_hub.adapters.envaya.simulator.commands import AnswerError, CommandSend
from gateway_hub.adapters.envaya.simulator.inbound import RetryLadder, State
from gateway_hub.adapters.envaya.simulator.limit import MAX_PARTS, HourlyLimit
from gateway_hub.domain.segments import segment
from gateway_hub.simulator.phone import Agenda, Alarm, SentSms
from gateway_hub.simulator.radio import PartOutcome, Radio, SendResult, find_departure

_MAX_SENDING = 2
_MAX_REMEMBERED = 100
_SEND_TIMEOUT = timedelta(seconds=30)
_CANCELLABLE = frozenset({State.NONE, State.QUEUED, State.SCHEDULED})

_FAILURES = {
    SendResult.GENERIC: "generic failure",
    SendResult.RADIO_OFF: "radio off",
    SendResult.NO_SERVICE: "no service",
    SendResult.NULL_PDU: "null PDU",
}
_STATUS_LINES = {
    "sent": "sent successfully",
    "failed": "could not be sent ({error})",
    "cancelled": "cancelled",
}


class Surroundings(Protocol):
    """What the app around the outbox does for it."""

    airplane: bool
    air: list[SentSms]

    def log(self, line: str, now: datetime) -> None:
        """Write a line into the app's log."""
        ...

    def report_status(self, sms_id: str, status: str, error: str, now: datetime) -> None:
        """Tell the server of a message."""
        ...

    def report_limit(self, now: datetime) -> None:
        """Tell the server that the limit is reached."""
        ...


@dataclass(slots=True, eq=False)
class OutboundSms:
    """A message to send; *number* is its place in the order of arrival."""

    id: str | None
    to: str
    text: str
    priority: int
    number: int
    is_on_disk: bool
    state: State = State.NONE
    ladder: RetryLadder = field(default_factory=RetryLadder)
    timeout: Alarm | None = None

    @property
    def key(self) -> str:
        """What the app tells messages apart by; one without an id is like no other."""
        return f"_o{self.number}" if self.id is None else self.id

    @property
    def parts(self) -> int:
        """How many radio SMS it takes."""
        return segment(self.text).segments


class Outbox:
    """Messages that are not sent yet, the given-up ones included, and the last ids that are.

    *keeps_on_disk* is so since 3.0; *refused* are recipients the app may not send to.
    """

    def __init__(
        self,
        app: Surroundings,
        agenda: Agenda,
        radio: Radio,
        *,
        keeps_on_disk: bool,
        refused: Container[str] = (),
    ) -> None:
        self._app = app
        self._agenda = agenda
        self._radio = radio
        self._keeps_on_disk = keeps_on_disk
        self._refused = refused
        self._numbers = 0
        self._clear()

    def _clear(self) -> None:
        self._messages: dict[str, OutboundSms] = {}
        self._queue: list[tuple[int, int, OutboundSms]] = []
        self._remembered: deque[str] = deque(maxlen=_MAX_REMEMBERED)
        self._limit = HourlyLimit()
        self._sending = 0
        self._not_before: datetime | None = None

    @property
    def messages(self) -> list[OutboundSms]:
        """All that is there, oldest first."""
        return list(self._messages.values())

    def take(self, command: CommandSend, now: datetime) -> None:
        """Take a message from the server, unless its id is known.

        One that is sent is reported once more; one that is not, given up or not, is passed over.
        """
        self._numbers += 1
        sms = OutboundSms(
            command.id,
            command.to,
            command.text,
            command.priority,
            self._numbers,
            self._keeps_on_disk,
        )
        problem = self._find_problem(sms)
        if problem is not None:
            self._report(sms, "failed", now, problem)
        elif sms.key in self._messages:
            pass
        elif sms.key in self._remembered:
            self._report(sms, "sent", now)
        else:
            self._messages[sms.key] = sms
            self._enqueue(sms, now)

    def cancel(self, sms_id: str, now: datetime) -> None:
        """Give a message back; nothing happens if it is unknown, or with the radio."""
        sms = self._messages.get(sms_id)
        if sms is not None and sms.state in _CANCELLABLE:
            self._delete(sms, now)
            self._dequeue(now)

    def cancel_all(self, now: datetime) -> None:
        """Give messages back; raises AnswerError after the first if there are more.

        The app deletes from the map it is going through.
        """
        messages = self.messages
        for sms in messages:
            if sms.state not in _CANCELLABLE:
                continue
            self._delete(sms, now)
            if sms is not messages[-1]:
                raise AnswerError("java.util.ConcurrentModificationException")

    def retry_all(self, now: datetime) -> None:
        """Send at once what waits for its time or was given up."""
        self._not_before = None
        for sms in self.messages:
            self._enqueue(sms, now)
        self._dequeue(now)

    def restart(self, now: datetime) -> None:
        """Lose what is not on disk: what was sent, what had failed, and all counts."""
        kept = [sms for sms in self.messages if sms.is_on_disk]
        self._clear()
        for sms in kept:
            self.take(CommandSend(sms.id, sms.to, sms.text, sms.priority), now)

    def _find_problem(self, sms: OutboundSms) -> str | None:
        """Return why a message can never be sent."""
        if not sms.to:
            return "Destination address is empty"
        if sms.to in self._refused:
            return "Destination address is not allowed"
        if not sms.text:
            return "Message body is empty"
        if sms.parts > MAX_PARTS:
            return f"Message has too many parts ({sms.parts})"
        return None

    def _report(self, sms: OutboundSms, status: str, now: datetime, error: str = "") -> None:
        line = _STATUS_LINES[status].format(error=error)
        if sms.id is None:
            self._app.log(f"SMS {line}", now)
            return
        self._app.log(f"Notifying server SMS {line}", now)
        self._app.report_status(sms.id, status, error, now)

    def _delete(self, sms: OutboundSms, now: datetime) -> None:
        del self._messages[sms.key]
        if sms.state is State.QUEUED:
            self._queue = [entry for entry in self._queue if entry[2] is not sms]
            heapq.heapify(self._queue)
        sms.state = State.DONE
        self._report(sms, "cancelled", now, "deleted by user")
        self._app.log(f"SMS to {sms.to} deleted", now)

    def _enqueue(self, sms: OutboundSms, now: datetime) -> None:
        if sms.state in (State.SCHEDULED, State.NONE):
            heapq.heappush(self._queue, (-sms.priority, sms.number, sms))
            sms.state = State.QUEUED
            self._dequeue(now)

    def _dequeue(self, now: datetime) -> None:
        """Send one message, if it may be sent now."""
        is_too_early = self._not_before is not None and self._not_before > now
        if is_too_early or self._sending >= _MAX_SENDING or not self._queue:
            return
        sms = self._queue[0][2]
        not_before = self._limit.count(sms.parts, now)
        if not_before is not None:
            self._wait_for_limit(not_before, now)
            return
        heapq.heappop(self._queue)
        self._sending += 1
        sms.state = State.BUSY
        self._send(sms, now)
        sms.timeout = self._agenda.add(now + _SEND_TIMEOUT, partial(self._time_out, sms.key))

    def _wait_for_limit(self, not_before: datetime, now: datetime) -> None:
        self._app.log(
            f"Can't send outgoing SMS: maximum limit of {MAX_PARTS} in 1 hour reached", now
        )
        self._app.log("To increase this limit, install an expansion pack.", now)
        self._app.report_limit(now)
        self._not_before = not_before
        seconds = int((not_before - now).total_seconds())
        self._app.log(f"Waiting for {seconds} seconds", now)
        self._agenda.add(not_before, self._dequeue)

    def _send(self, sms: OutboundSms, now: datetime) -> None:
        is_first = sms.ladder.failures == 0
        self._app.log("Sending SMS" if is_first else f"Retrying sending SMS to {sms.to}", now)
        if sms.parts > 1:
            self._app.log(f"(Multipart message with {sms.parts} parts)", now)
        outcomes = self._radio.send(sms.parts, now, airplane=self._app.airplane)
        departure = find_departure(outcomes)
        if departure is not None:
            at, left = departure
            sent = SentSms(sms.id, sms.to, sms.text, left, at)
            self._agenda.add(at, lambda _: self._app.air.append(sent))
        # The first part speaks for all.
        if outcomes[0].reported_at is not None:
            heard = partial(self._hear, sms.key, outcomes[0])
            self._agenda.add(outcomes[0].reported_at, heard)

    def _hear(self, key: str, outcome: PartOutcome, now: datetime) -> None:
        """Take what the radio says, also when the app had given up waiting for it."""
        sms = self._messages.get(key)
        if sms is None:
            return
        if outcome.result is SendResult.OK:
            self._mark_sent(sms, now)
        else:
            self._fail(sms, _FAILURES.get(outcome.result, "unknown error"), now)

    def _time_out(self, key: str, now: datetime) -> None:
        sms = self._messages.get(key)
        if sms is not None:
            self._fail(sms, "Timeout while attempting to send message", now)

    def _mark_sent(self, sms: OutboundSms, now: datetime) -> None:
        sms.state = State.DONE
        _cancel(sms.timeout)
        self._report(sms, "sent", now)
        del self._messages[sms.key]
        if sms.id is not None:
            self._remembered.append(sms.id)
        self._sending -= 1
        self._dequeue(now)

    def _fail(self, sms: OutboundSms, error: str, now: datetime) -> None:
        _cancel(sms.timeout)
        try_again = partial(self._try_again, sms.key)
        sms.state = sms.ladder.climb(self._agenda, try_again, self._app.log, now)
        self._report(sms, "failed", now, error)
        sms.is_on_disk = False
        self._sending -= 1
        self._dequeue(now)

    def _try_again(self, key: str, now: datetime) -> None:
        if key in self._messages:
            self._enqueue(self._messages[key], now)


def _cancel(alarm: Alarm | None) -> None:
    if alarm is not None:
        alarm.cancel()
