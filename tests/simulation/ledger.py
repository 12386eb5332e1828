"""What everyone outside the hub saw and was told, and what the disk held at that moment."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree import ElementTree

from gateway_hub.domain.clock import from_epoch_ms
from gateway_hub.domain.messages import MessageDraft
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest

Trace = Callable[[str], None]

_GOOD = 200
_BUSY = 503


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that must never be; *kind* is a column of the verdict."""

    kind: str
    detail: str


@dataclass(slots=True)
class Submission:
    """A message a backend asked for; *message_id* None: it was refused, or nobody knows."""

    number: int
    draft: MessageDraft
    at: datetime
    outcome: str = "unknown"
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Handover:
    """A message in an answer, with what the disk said of it when the answer was written.

    It was handed over the first time at *given_at*, and the last time at *handed_at*.
    """

    wire_id: str
    message_id: str
    number: int
    offers: int
    given_at: datetime
    handed_at: datetime
    segments: int


@dataclass(slots=True)
class Answer:
    """What the hub said to one request of a phone."""

    phone: str
    arrived_at: datetime
    said_at: datetime
    status: int
    request_body: bytes
    contacts: tuple[str, ...] = ()
    handovers: tuple[Handover, ...] = ()
    told_something: bool = False


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request of a phone that came to an end without a good answer: whatever it did, may be."""

    phone: str
    arrived_at: datetime
    ended_at: datetime


@dataclass(slots=True)
class Pause:
    """A time in which a device was paused, as far as anyone was told."""

    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """A phone took a message it did not know (any more) from an answer."""

    phone: str
    handover: Handover
    at: datetime


@dataclass(slots=True)
class Told:
    """What a post of a phone says: contacts of what it forwards, reports as (wire id, word)."""

    contacts: tuple[str, ...] = ()
    reports: tuple[tuple[str, str], ...] = ()


class Ledger:
    """Facts as they happen; what is wrong on the spot is a fault at once."""

    def __init__(self, disk: sqlite3.Connection, trace: Trace) -> None:
        """Look things up on *disk*, by a connection that sees only what is committed."""
        self._disk = disk
        self._trace = trace
        self._by_id: dict[str, Submission] = {}
        self.faults: list[Fault] = []
        self.submissions: list[Submission] = []
        self.answers: list[Answer] = []
        self.takes: list[Take] = []
        self.unanswered: list[Unanswered] = []
        self.cancelled_at: dict[str, datetime] = {}
        self.resent_at: defaultdict[str, list[datetime]] = defaultdict(list)
        self.pauses: defaultdict[str, list[Pause]] = defaultdict(list)
        self.received: dict[str, str] = {}
        """The phone that received each inbound message, by its contact, which is used once."""
        self.told: set[str] = set()
        self.held_when_taken: list[tuple[Take, str]] = []
        self.sent_again: Counter[str] = Counter()
        """SMS that left more than once through no fault of the hub, by the reason."""

    def fault(self, kind: str, detail: str) -> None:
        """Note that something is wrong."""
        self._trace(f"FAULT {kind}: {detail}")
        self.faults.append(Fault(kind, detail))

    def find_submission(self, message_id: str) -> Submission | None:
        """Return what a backend asked for under that id."""
        return self._by_id.get(message_id)

    def note_submitted(self, submission: Submission, result: tuple[str, Any]) -> None:
        """Note what the backend was told; what it was told is done must be on disk."""
        submission.outcome, value = result
        self._trace(f"submit #{submission.number}: {submission.outcome}")
        if submission.outcome == "done":
            submission.message_id = value.id
            self._by_id[value.id] = submission
            found = self._disk.execute("SELECT text FROM messages WHERE id = ?", [value.id])
            if found.fetchone() != (submission.draft.text,):
                self.fault("lost", f"#{submission.number} was answered and is not on disk")

    def note_cancelled(self, message_id: str, result: tuple[str, Any], now: datetime) -> None:
        """Note the answer to a cancel."""
        outcome, value = result
        became = value.message.status if outcome == "done" else value
        self._trace(f"cancel {self.label(message_id)}: {outcome} {became}")
        if outcome == "done" and became == "cancelled":
            self.cancelled_at.setdefault(message_id, now)

    def note_resent(self, message_id: str, result: tuple[str, Any], now: datetime) -> None:
        """Note the answer to a resend; one nobody knows of may have been done."""
        outcome, _ = result
        self._trace(f"resend {self.label(message_id)}: {outcome}")
        if outcome != "refused":
            self.resent_at[message_id].append(now)
            self.cancelled_at.pop(message_id, None)

    def note_pause(
        self,
        phone: str,
        result: tuple[str, Any],
        asked_at: datetime,
        now: datetime,
        *,
        paused: bool,
    ) -> None:
        """Note that a device was to be paused, or to go on: it may do so as soon as it is asked."""
        if paused and result[0] == "done":
            self.pauses[phone].append(Pause(now))
        for pause in self.pauses[phone]:
            if not paused and pause.until is None:
                pause.until = asked_at

    def note_answer(
        self, phone: str, request: HttpRequest, answer: HttpAnswer, arrived: datetime, now: datetime
    ) -> Answer:
        """Note what the hub wrote to a phone, lost on its way or not."""
        noted = Answer(phone, arrived, now, answer.status, request.body)
        self.answers.append(noted)
        if answer.status == _GOOD:
            told = read_post(request)
            noted.contacts = told.contacts
            noted.told_something = bool(told.contacts or told.reports)
            self._check_stored(phone, told)
            offers = read_offers(answer)
            noted.handovers = tuple(filter(None, (self._look_up(phone, *it) for it in offers)))
            noted.told_something |= bool(noted.handovers)
        elif answer.status != _BUSY:
            self.fault("refused", f"{phone} was answered {answer.status}: {answer.body[:200]!r}")
        self._trace(f"answer to {phone}: {answer.status} {self._describe(noted)}")
        return noted

    def note_unanswered(self, phone: str, arrived: datetime, now: datetime) -> None:
        """Note that a request has ended, and its phone was told nothing, or to come again."""
        self.unanswered.append(Unanswered(phone, arrived, now))

    def note_takes(
        self, answer: Answer, wire_ids: Iterable[str], at: datetime, held_by: Callable[[str], str]
    ) -> None:
        """Note which messages of *answer* the phone did not know.

        *held_by* names the phones that still try to send a message, by its id.
        """
        by_id = {item.wire_id: item for item in answer.handovers}
        for wire_id in wire_ids:
            if wire_id not in by_id:
                self.fault("unexpected", f"{answer.phone} took {wire_id}, which is not on disk")
                continue
            take = Take(answer.phone, by_id[wire_id], at)
            self._trace(f"{answer.phone} takes {self.label_of(take.handover)}")
            others = held_by(take.handover.message_id)
            if others:
                self.held_when_taken.append((take, others))
            self.takes.append(take)

    def label(self, message_id: str) -> str:
        """Return a short name of a message."""
        found = self.find_submission(message_id)
        return f"#{found.number}" if found else message_id

    def label_of(self, handover: Handover) -> str:
        """Return a short name of a message and its attempt."""
        return f"{self.label(handover.message_id)}/{handover.number}"

    def _describe(self, answer: Answer) -> str:
        offered = ", ".join(
            f"{self.label_of(item)} (offer {item.offers})" for item in answer.handovers
        )
        heard = f"stored {', '.join(answer.contacts)} " if answer.contacts else ""
        return f"{heard}{offered}"

    def _check_stored(self, phone: str, told: Told) -> None:
        for contact in told.contacts:
            self.told.add(contact)
            count = self._count(
                "SELECT count(*) FROM messages WHERE direction = 'inbound'"
                " AND (from_number = :contact OR to_number = :contact)",
                contact=contact,
            )
            if count == 0:
                self.fault("lost", f"{phone} forwarded {contact}, got a 200, and it is not on disk")
        for wire_id, word in told.reports:
            count = self._count(
                "SELECT (SELECT count(*) FROM reports WHERE wire_id = :wire_id"
                " AND raw_status = :word) + (SELECT count(*) FROM quarantine)",
                wire_id=wire_id,
                word=word,
            )
            if count == 0:
                self.fault("lost", f"{phone} reported {word}, got a 200, and it is not on disk")

    def _look_up(self, phone: str, wire_id: str, to: str, text: str) -> Handover | None:
        row = self._disk.execute(
            "SELECT a.message_id, a.number, a.offers, a.first_offered_at, a.last_offered_at,"
            " m.segments, m.text, m.to_number, d.name"
            " FROM attempts a JOIN messages m ON m.id = a.message_id"
            " JOIN devices d ON d.id = a.device_id WHERE a.wire_id = ?",
            [wire_id],
        ).fetchone()
        if row is None:
            self.fault("unexpected", f"{phone} was offered {wire_id} ({text!r}), not on disk")
            return None
        message_id, number, offers, first_ms, last_ms, segments, *stored, device = row
        given_at, handed_at = from_epoch_ms(first_ms), from_epoch_ms(last_ms)
        handover = Handover(wire_id, message_id, number, offers, given_at, handed_at, segments or 1)
        if [text, to, phone] != [*stored, device.rpartition("-")[2]]:
            self.fault("unexpected", f"{phone} was offered {text!r} to {to}: on disk {row!r}")
        return handover

    def _count(self, query: str, **parameters: str) -> int:
        return int(self._disk.execute(query, parameters).fetchone()[0])


def read_post(request: HttpRequest) -> Told:
    """Return what a phone says in a post, read as its protocol is documented."""
    if request.body.startswith(b"{"):
        document = json.loads(request.body)
        return Told(
            tuple(item["from"] for item in document["messages"]),
            tuple((item["id"], item["status"]) for item in document["updates"]),
        )
    fields = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
    match fields.get("action"):
        case "incoming":
            return Told(contacts=(fields["from"],))
        case "forward_sent":
            return Told(contacts=(fields["to"],))
        case "send_status":
            return Told(reports=((fields["id"], fields["status"]),))
    return Told()


def read_offers(answer: HttpAnswer) -> list[tuple[str, str, str]]:
    """Return ``(wire id, recipient, text)`` of each message in an answer, as documented."""
    if answer.body.startswith(b"<"):
        found = ElementTree.fromstring(answer.body).iter("sms")  # noqa: S314 - the hub's own
        return [(sms.get("id", ""), sms.get("to", ""), sms.text or "") for sms in found]
    document = json.loads(answer.body)
    if "events" in document:
        sent = [event for event in document["events"] if event["event"] == "send"]
        listed = [item for event in sent for item in event["messages"]]
        return [(item["id"], item["to"], item["message"]) for item in listed]
    return [(item["id"], item["to"], item["content"]) for item in document["messages"]]
