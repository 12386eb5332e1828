"""How one attempt of a webhook delivery ended, as a value: nothing an endpoint does is an error."""

import codecs
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus

from gateway_hub.domain.text import clean_inbound_text

LONGEST_RETRY_AFTER = timedelta(hours=24)
EXCERPT_BYTES = 1_024
_LONGEST_DETAIL = 300
_MOST_DIGITS = 9


class OutcomeKind(StrEnum):
    """What the end of an attempt means for what is done next."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    THROTTLED = "throttled"
    GONE = "gone"
    UNREACHABLE = "unreachable"


class Fault(StrEnum):
    """Why there was no whole answer."""

    BAD_URL = "bad_url"
    NAME_NOT_FOUND = "name_not_found"
    FORBIDDEN_ADDRESS = "forbidden_address"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMED_OUT = "timed_out"
    CONNECTION_LOST = "connection_lost"
    BAD_ANSWER = "bad_answer"


_FAULTS: dict[Fault, str] = {
    Fault.BAD_URL: "the URL cannot be used",
    Fault.NAME_NOT_FOUND: "the host's name has no address",
    Fault.FORBIDDEN_ADDRESS: "the host's address may not be reached",
    Fault.CONNECT_FAILED: "no connection could be made",
    Fault.TLS_FAILED: "TLS could not be agreed on",
    Fault.TIMED_OUT: "it took too long",
    Fault.CONNECTION_LOST: "the connection was lost before the answer ended",
    Fault.BAD_ANSWER: "what came back is not an HTTP answer",
}
_THROTTLED = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_FIRST_GOOD, _FIRST_REDIRECT, _FIRST_REFUSAL = 200, 300, 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt: with a *status* if there was an answer, else with a *fault*."""

    kind: OutcomeKind
    status: int | None = None
    fault: Fault | None = None
    detail: str | None = None
    retry_after: timedelta | None = None

    @classmethod
    def of_status(
        cls, status: int, *, retry_after: timedelta | None = None, location: str | None = None
    ) -> "Outcome":
        """Return the outcome of an attempt that was answered with *status*.

        *location* is where a redirect leads; nobody goes there.
        """
        kind = _judge(status)
        if kind in {OutcomeKind.DELIVERED, OutcomeKind.GONE}:
            retry_after = None
        detail = _short(location) if _is_redirect(status) else None
        return cls(kind, status=status, detail=detail, retry_after=retry_after)

    @classmethod
    def unreachable(cls, fault: Fault, detail: str | None = None) -> "Outcome":
        """Return the outcome of an attempt that got no whole answer."""
        return cls(OutcomeKind.UNREACHABLE, fault=fault, detail=_short(detail))

    @property
    def is_delivered(self) -> bool:
        """Whether the webhook endpoint has the event."""
        return self.kind is OutcomeKind.DELIVERED

    def __str__(self) -> str:
        """The outcome in words, for whoever looks after the webhook endpoint."""
        words = _FAULTS[self.fault] if self.fault else f"answered {self.status}"
        if self.status is not None and _is_redirect(self.status):
            words += ", and redirects are not followed"
        return f"{words}: {self.detail}" if self.detail else words


@dataclass(frozen=True, slots=True)
class Answer:
    """The body of an answer as it came, never unpacked: 64 KiB, or 1 KiB of one known as longer."""

    body: bytes = field(repr=False)
    is_whole: bool = True
    content_encoding: str | None = None

    @property
    def is_encoded(self) -> bool:
        """Whether the body is compressed, although it was asked not to be."""
        return (self.content_encoding or "identity").strip().lower() != "identity"

    @property
    def excerpt(self) -> str:
        """The beginning as text, to be shown to whoever looks for the reason of a failure."""
        if self.is_encoded:
            return ""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        return clean_inbound_text(decoder.decode(self.body[:EXCERPT_BYTES]))[0]


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """All there is to keep of one attempt."""

    outcome: Outcome
    duration_ms: int
    answer: Answer | None = None


def parse_retry_after(text: str, now: datetime) -> timedelta | None:
    """Return how long a ``Retry-After`` header asks to wait, at most 24 hours, or None.

    It is a number of seconds or a date (RFC 9110, 10.2.3); anything else asks for nothing.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        asked = timedelta(seconds=int(text)) if len(text) <= _MOST_DIGITS else LONGEST_RETRY_AFTER
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        asked = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return max(timedelta(0), min(asked, LONGEST_RETRY_AFTER))


def _judge(status: int) -> OutcomeKind:
    if _FIRST_GOOD <= status < _FIRST_REDIRECT:
        return OutcomeKind.DELIVERED
    if status == HTTPStatus.GONE:
        return OutcomeKind.GONE
    return OutcomeKind.THROTTLED if status in _THROTTLED else OutcomeKind.REFUSED


def _is_redirect(status: int) -> bool:
    return _FIRST_REDIRECT <= status < _FIRST_REFUSAL


def _short(detail: str | None) -> str | None:
    if not detail:
        return None
    cleaned = "".join(c if c.isprintable() else " " for c in clean_inbound_text(detail)[0])
    return cleaned[:_LONGEST_DETAIL]
