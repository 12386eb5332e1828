"""The table of moves, held against the promises made of it."""

from collections.abc import Iterable, Iterator
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.lifecycle import CANCELLABLE, Status, is_final, may_move

S = Status

FORWARD = [
    S.SCHEDULED,
    S.QUEUED,
    S.DISPATCHED,
    S.ACCEPTED,
    S.PENDING,
    S.SENT,
    S.DELIVERED,
]
RANK = {status: rank for rank, status in enumerate(FORWARD)}

wishes = st.lists(st.sampled_from(list(Status)), max_size=30)


def exits(status: Status) -> set[Status]:
    """Return where a message in *status* may go."""
    return {new for new in Status if may_move(status, new)}


def walk(start: Status, wished: Iterable[Status]) -> Iterator[Status]:
    """Go through the statuses a message takes when each move is tried in turn."""
    current = start
    yield current
    for new in wished:
        if may_move(current, new):
            current = new
            yield current


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_in_the_table(status: Status) -> None:
    assert exits(status) <= set(Status)


@pytest.mark.parametrize("status", list(Status))
def test_a_repeated_report_moves_nothing(status: Status) -> None:
    assert not may_move(status, status)


@given(st.sampled_from(FORWARD), wishes)
def test_no_sequence_of_moves_goes_backwards_unless_uncertainty_lay_between(
    start: Status, wished: list[Status]
) -> None:
    furthest = RANK[start]
    for status in walk(start, wished):
        if status is S.UNCERTAIN:
            # Which status the uncertainty began in is not in the table; it never was further
            # back than a hand-over, since only phones can be silent.
            furthest = RANK[S.ACCEPTED]
        elif status in RANK:
            assert RANK[status] >= furthest
            furthest = RANK[status]


@given(wishes)
def test_a_message_once_handed_over_never_waits_in_the_queue_again(wished: list[Status]) -> None:
    seen = list(walk(S.DISPATCHED, wished))
    assert not {S.SCHEDULED, S.QUEUED, S.DISPATCHED} & set(seen[1:])


@pytest.mark.parametrize("status", [S.DELIVERED, S.CANCELLED, S.EXPIRED, S.RECEIVED])
def test_an_end_has_no_way_out(status: Status) -> None:
    assert exits(status) == set()


def test_a_failure_is_lifted_only_by_good_news_from_the_network() -> None:
    assert exits(S.FAILED) == {S.SENT, S.DELIVERED}


def test_uncertainty_is_ended_by_any_word_of_the_phone() -> None:
    expected = {S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED, S.FAILED, S.CANCELLED}
    assert exits(S.UNCERTAIN) == expected


def test_only_what_was_handed_over_and_not_sent_becomes_uncertain() -> None:
    before = {status for status in Status if may_move(status, S.UNCERTAIN)}
    assert before == {S.DISPATCHED, S.ACCEPTED, S.PENDING}


def test_only_what_was_not_handed_over_expires() -> None:
    before = {status for status in Status if may_move(status, S.EXPIRED)}
    assert before == {S.SCHEDULED, S.QUEUED}


def test_what_was_sent_is_never_told_failed_or_cancelled() -> None:
    assert exits(S.SENT) == {S.DELIVERED}


def test_an_inbound_message_is_received_from_the_start() -> None:
    assert not any(may_move(status, S.RECEIVED) for status in Status)


@pytest.mark.parametrize(
    "reports", list(permutations([S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED])), ids=" ".join
)
def test_reports_in_any_order_end_as_in_the_right_order(reports: tuple[Status, ...]) -> None:
    assert list(walk(S.DISPATCHED, reports))[-1] is S.DELIVERED


def test_a_message_can_be_taken_back_for_certain_until_a_phone_has_it() -> None:
    assert {S.SCHEDULED, S.QUEUED} == CANCELLABLE
    assert all(may_move(status, S.CANCELLED) for status in CANCELLABLE)


@pytest.mark.parametrize(
    ("status", "through_medic", "through_envaya"),
    [
        (S.SCHEDULED, False, False),
        (S.QUEUED, False, False),
        (S.DISPATCHED, False, False),
        (S.ACCEPTED, False, False),
        (S.PENDING, False, False),
        (S.SENT, False, True),
        (S.DELIVERED, True, True),
        (S.FAILED, True, True),
        (S.UNCERTAIN, True, True),
        (S.CANCELLED, True, True),
        (S.EXPIRED, True, True),
        (S.RECEIVED, True, True),
    ],
)
def test_a_message_is_final_when_no_more_is_expected(
    status: Status, through_medic: bool, through_envaya: bool
) -> None:
    assert is_final(status, Protocol.MEDIC) is through_medic
    assert is_final(status, Protocol.ENVAYA) is through_envaya
    assert is_final(status, None) is through_medic
