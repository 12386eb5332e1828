"""What reports do to a message, in any order and number."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Direction, Message, MessageError, MessageType
from gateway_hub.domain.phone_posts import PhoneReport
from gateway_hub.domain.reporting import Outcome, apply_report, move

S = Status
START = datetime(2026, 3, 1, 12, tzinfo=UTC)

# Failed, cancelled and uncertain stand between "pending" and "sent": good news lifts them.
RANK = {
    S.SCHEDULED: 0,
    S.QUEUED: 1,
    S.DISPATCHED: 2,
    S.UNCERTAIN: 3,
    S.ACCEPTED: 4,
    S.PENDING: 5,
    S.FAILED: 6,
    S.CANCELLED: 6,
    S.SENT: 7,
    S.DELIVERED: 8,
}


def _message(status: Status = S.DISPATCHED, error: MessageError | None = None) -> Message:
    return Message(
        id="m",
        project_id="p",
        direction=Direction.OUTBOUND,
        type=MessageType.SMS,
        status=status,
        text="hi",
        created_at=START,
        updated_at=START,
        reached={status.value: "2026-03-01T12:00:00.000Z"},
        error=error,
        attempt_count=1,
    )


def _attempt(status: Status = S.DISPATCHED) -> Attempt:
    return Attempt(
        wire_id="m",
        message_id="m",
        device_id="d",
        number=1,
        status=status,
        offers=1,
        first_offered_at=START,
        last_offered_at=START,
        lease_until=START,
        last_sign_at=START,
    )


def _report(status: Status | None, *, gives_up: bool = True) -> PhoneReport:
    return PhoneReport("m", status, "word", reason="why", gives_up=gives_up)


reports = st.builds(
    _report,
    st.sampled_from([None, S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED, S.FAILED, S.CANCELLED]),
    gives_up=st.booleans(),
)
told = st.lists(st.tuples(reports, st.integers(0, 100_000)), max_size=40)
starts = st.sampled_from([S.DISPATCHED, S.UNCERTAIN])


def _walk(start: Status, given_reports: list[tuple[PhoneReport, int]]) -> list[Outcome]:
    """Return what is so at first and after each report; with each goes the seconds since."""
    now = START
    outcomes = [Outcome(_message(start), _attempt(start), applied=False)]
    for report, seconds in given_reports:
        now += timedelta(seconds=seconds)
        last = outcomes[-1]
        outcomes.append(apply_report(last.message, last.attempt, report, now))
    return outcomes


@given(starts, told)
def test_no_reports_move_a_message_backwards(
    start: Status, given_reports: list[tuple[PhoneReport, int]]
) -> None:
    ranks = [RANK[outcome.message.status] for outcome in _walk(start, given_reports)]
    assert ranks == sorted(ranks)


@given(starts, told)
def test_what_was_delivered_or_cancelled_never_changes(
    start: Status, given_reports: list[tuple[PhoneReport, int]]
) -> None:
    outcomes = _walk(start, given_reports)
    for before, after in pairwise(outcomes):
        if before.message.status in {S.DELIVERED, S.CANCELLED}:
            heard = replace(before.attempt, last_sign_at=after.attempt.last_sign_at)
            assert after == Outcome(before.message, heard, applied=False)


@given(starts, told)
def test_the_times_of_the_statuses_are_added_to_and_never_changed(
    start: Status, given_reports: list[tuple[PhoneReport, int]]
) -> None:
    outcomes = _walk(start, given_reports)
    for before, after in pairwise(outcomes):
        assert before.message.reached.items() <= after.message.reached.items()
        assert after.message.status.value in after.message.reached


@given(starts, told)
def test_a_report_that_is_not_applied_changes_nothing_and_one_that_is_changes_something(
    start: Status, given_reports: list[tuple[PhoneReport, int]]
) -> None:
    outcomes = _walk(start, given_reports)
    for before, after in pairwise(outcomes):
        heard = replace(before.attempt, last_sign_at=after.attempt.last_sign_at)
        same = (after.message, after.attempt) == (before.message, heard)
        assert same is not after.applied


@given(starts, told)
def test_only_bad_news_shows_an_error(
    start: Status, given_reports: list[tuple[PhoneReport, int]]
) -> None:
    for outcome in _walk(start, given_reports):
        message = outcome.message
        if message.status in {S.PENDING, S.SENT, S.DELIVERED}:
            assert message.error is None
            assert outcome.attempt.error is None
        if message.status is S.FAILED:
            assert message.error == MessageError("device_failed", "why")


@given(starts, told)
def test_message_and_its_only_attempt_stay_together(
    start: Status, given_reports: list[tuple[PhoneReport, int]]
) -> None:
    for outcome in _walk(start, given_reports):
        assert outcome.message.status is outcome.attempt.status


@pytest.mark.parametrize(
    ("seconds", "counted"), [(0, 1), (14.999, 1), (15, 2), (20, 2), (86_400, 2), (-3600, 1)]
)
def test_two_failures_close_together_are_one_try(seconds: float, counted: int) -> None:
    first = apply_report(_message(), _attempt(), _report(S.FAILED, gives_up=False), START)
    again = START + timedelta(seconds=seconds)
    second = apply_report(first.message, first.attempt, _report(S.FAILED, gives_up=False), again)
    assert second.attempt.soft_failures == counted
    assert second.applied is (counted == 2)


def test_a_failure_without_a_reason_says_so() -> None:
    report = PhoneReport("m", S.FAILED, "FAILED")
    outcome = apply_report(_message(), _attempt(), report, START)
    assert outcome.message.error == MessageError("device_failed", "the phone gave no reason")


def test_a_report_on_an_old_attempt_does_not_set_back_a_message_that_is_further() -> None:
    outcome = apply_report(_message(S.SENT), _attempt(), _report(S.PENDING), START)
    assert outcome.attempt.status is S.PENDING
    assert outcome.message == _message(S.SENT)


def test_a_status_reached_again_keeps_its_first_time() -> None:
    message = move(_message(S.FAILED), S.SENT, START + timedelta(hours=1))
    again = move(message, S.FAILED, START + timedelta(hours=2))
    assert again.reached == {
        "failed": "2026-03-01T12:00:00.000Z",
        "sent": "2026-03-01T13:00:00.000Z",
    }
    assert again.updated_at == START + timedelta(hours=2)
