"""All there is to judge a seed by: what was seen while it ran, and what is on disk at its end."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from gateway_hub.domain.clock import from_epoch_ms
from gateway_hub.simulator.phone import SentSms
from tests.simulation.ledger import Ledger, Submission
from tests.simulation.scenario import PhonePlan


@dataclass(frozen=True, slots=True)
class PhoneEnd:
    """A phone as it was left: what it sent, and when it restarted."""

    plan: PhonePlan
    device_id: str
    air: list[SentSms]
    restarts: list[datetime]


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """A message to be sent, as it is on disk."""

    id: str
    status: str
    attempt_count: int
    max_attempts: int
    if_uncertain: str
    text: str
    segments: int
    device_protocol: str | None
    expires_at: datetime | None
    send_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wire:
    """An attempt, as it is on disk."""

    message_id: str
    device_id: str
    number: int
    status: str
    given_at: datetime
    asked_back_at: int | None


class Case:
    """The evidence, and short ways to look into it.

    From *healed_at* on nothing went wrong. *air* is what really left, by message id.
    """

    def __init__(
        self,
        ledger: Ledger,
        phones: dict[str, PhoneEnd],
        read: Callable[[str], list[Any]],
        *,
        healed_at: datetime,
        ended_at: datetime,
    ) -> None:
        self.ledger = ledger
        self.phones = phones
        self.read = read
        self.healed_at = healed_at
        self.ended_at = ended_at
        self.messages = {message.id: message for message in map(_to_message, read(_MESSAGES))}
        self._submissions = {item.draft.text: item for item in ledger.submissions}
        self.wires = {row[0]: _to_wire(row) for row in read(_WIRES)}
        self.air: dict[str, list[SentSms]] = {id_: [] for id_ in self.messages}
        for phone in phones.values():
            for sent in phone.air:
                self._note_sent(sent)

    def fault(self, kind: str, detail: str) -> None:
        """Note that something is wrong."""
        self.ledger.fault(kind, detail)

    def name(self, message_id: str) -> str:
        """Return a short name of a message."""
        return self.ledger.label(message_id)

    def name_wire(self, wire_id: str) -> str:
        """Return a short name of an attempt."""
        wire = self.wires[wire_id]
        return f"{self.name(wire.message_id)}/{wire.number}"

    def submission_of(self, message_id: str) -> Submission | None:
        """Return what was asked for as this message, also if nobody was told that it is stored."""
        return self._submissions.get(self.messages[message_id].text)

    def resends_until(self, message_id: str, moment: datetime) -> int:
        """Return how often a person may have had a message sent again by then."""
        return sum(when <= moment for when in self.ledger.resent_at[message_id])

    def is_asked_back(self, message_id: str) -> bool:
        """Say whether a phone was asked to give the message back: it is not offered again then."""
        return any(wire.asked_back_at is not None for wire in self.attempts_of(message_id))

    def attempts_of(self, message_id: str) -> list[Wire]:
        """Return the attempts of a message."""
        return [wire for wire in self.wires.values() if wire.message_id == message_id]

    def _note_sent(self, sent: SentSms) -> None:
        wire = self.wires.get(sent.wire_id or "")
        if wire is None:
            self.fault("unexpected", f"{sent.text!r} was sent as {sent.wire_id}, not on disk")
            return
        self.air[wire.message_id].append(sent)
        if self.messages[wire.message_id].text != sent.text:
            self.fault("unexpected", f"{self.name(wire.message_id)} was sent as {sent.text!r}")


_COLUMNS = [column.name for column in fields(OutboundMessage)]
_MESSAGES = (
    f"SELECT {', '.join(_COLUMNS)} FROM messages"  # noqa: S608 - our own words
    " WHERE direction = 'outbound' ORDER BY id"
)
_WIRES = (
    "SELECT wire_id, message_id, device_id, number, status, first_offered_at, cancel_requested_at"
    " FROM attempts"
)


def _to_message(row: Any) -> OutboundMessage:
    values = dict(zip(_COLUMNS, row, strict=True))
    times = {name: _moment(values[name]) for name in ("expires_at", "send_at")}
    return OutboundMessage(**values | times)


def _to_wire(row: Any) -> Wire:
    _, message_id, device_id, number, status, given_ms, asked_back_ms = row
    return Wire(message_id, device_id, number, status, from_epoch_ms(given_ms), asked_back_ms)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else from_epoch_ms(ms)
