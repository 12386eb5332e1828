"""What answers and silences mean."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway_hub.domain.webhooks.outcomes import (
    Answer,
    Fault,
    Outcome,
    OutcomeKind,
    parse_retry_after,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
K = OutcomeKind

KINDS = [
    (200, K.DELIVERED),
    (204, K.DELIVERED),
    (299, K.DELIVERED),
    (101, K.REFUSED),
    (300, K.REFUSED),
    (301, K.REFUSED),
    (304, K.REFUSED),
    (308, K.REFUSED),
    (400, K.REFUSED),
    (401, K.REFUSED),
    (404, K.REFUSED),
    (410, K.GONE),
    (429, K.THROTTLED),
    (500, K.REFUSED),
    (501, K.REFUSED),
    (502, K.THROTTLED),
    (503, K.THROTTLED),
    (504, K.THROTTLED),
    (599, K.REFUSED),
    (999, K.REFUSED),
]


@pytest.mark.parametrize(("status", "kind"), KINDS)
def test_a_status_says_what_it_means(status: int, kind: OutcomeKind) -> None:
    outcome = Outcome.of_status(status)
    assert (outcome.kind, outcome.status, outcome.fault) == (kind, status, None)
    assert outcome.is_delivered == (kind is K.DELIVERED)


RETRY_AFTER = [
    ("120", timedelta(seconds=120)),
    (" 120 ", timedelta(seconds=120)),
    ("0", timedelta(0)),
    ("86401", timedelta(hours=24)),
    ("9" * 5000, timedelta(hours=24)),
    ("Sun, 01 Mar 2026 12:10:00 GMT", timedelta(minutes=10)),
    ("Sunday, 01-Mar-26 12:10:00 GMT", timedelta(minutes=10)),
    ("Sun, 01 Mar 2026 14:10:00 +0200", timedelta(minutes=10)),
    ("Sun, 01 Mar 2026 11:00:00 GMT", timedelta(0)),
    ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=24)),
    ("", None),
    ("soon", None),
    ("-5", None),
    ("1.5", None),
    ("١٢", None),
    ("99 Foo 2026", None),
    ("Sun, 01 Mar 99999999999 12:10:00 GMT", None),
]


@pytest.mark.parametrize(("text", "wait"), RETRY_AFTER, ids=[text[:40] for text, _ in RETRY_AFTER])
def test_retry_after_is_seconds_or_a_date_and_bounded(text: str, wait: timedelta | None) -> None:
    assert parse_retry_after(text, NOW) == wait


def test_an_outcome_can_be_read() -> None:
    assert str(Outcome.of_status(500)) == "answered 500"
    assert str(Outcome.of_status(302, location="http://169.254.169.254/")) == (
        "answered 302, and redirects are not followed: http://169.254.169.254/"
    )
    assert str(Outcome.unreachable(Fault.TIMED_OUT)) == "it took too long"
    assert all(str(Outcome.unreachable(fault)) for fault in Fault)


def test_what_strangers_say_is_short_and_one_line() -> None:
    outcome = Outcome.of_status(302, location="http://a\x00\x1b[31m\n\u202e" + "x" * 5000)
    assert outcome.detail is not None
    assert outcome.detail.isprintable()
    assert len(outcome.detail) == 300


def test_an_excerpt_is_text_that_can_be_stored() -> None:
    assert Answer(b"bad \x00\xff signature").excerpt == "bad \ufffd\ufffd signature"
    assert Answer(b"a" * 1023 + "é".encode()).excerpt == "a" * 1023
    assert len(Answer(b"a" * 5000).excerpt) == 1024
    assert Answer(b"\x1f\x8b", content_encoding="GZip").excerpt == ""
    assert Answer(b"ok", content_encoding="identity").excerpt == "ok"


def test_an_answers_body_is_not_in_what_python_shows() -> None:
    assert "s3cret" not in repr(Answer(b"s3cret"))
