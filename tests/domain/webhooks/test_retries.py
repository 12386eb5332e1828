"""When a webhook delivery is tried again."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from gateway_hub.domain.webhooks.outcomes import Fault, Outcome
from gateway_hub.domain.webhooks.retries import MOST_ATTEMPTS, next_attempt_at

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FAILED = Outcome.of_status(500)

PROMISED = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600]


@pytest.mark.parametrize(("attempt", "seconds"), list(enumerate(PROMISED, 1)))
def test_each_attempt_comes_when_it_was_promised(attempt: int, seconds: int) -> None:
    waits = []
    for seed in range(200):
        at = next_attempt_at(attempt, FAILED, Random(seed), NOW)
        assert at is not None
        waits.append((at - NOW).total_seconds())
    assert min(waits) >= 0.9 * seconds
    assert max(waits) <= 1.1 * seconds
    assert max(waits) - min(waits) > 0.15 * seconds


def test_after_the_tenth_attempt_it_is_dead() -> None:
    assert MOST_ATTEMPTS == 10
    for attempt in (10, 11, 1000):
        assert next_attempt_at(attempt, FAILED, Random(1), NOW) is None


@pytest.mark.parametrize(
    "outcome",
    [
        pytest.param(Outcome.of_status(400), id="refused"),
        pytest.param(Outcome.of_status(302), id="redirected"),
        pytest.param(Outcome.of_status(429), id="throttled"),
        pytest.param(Outcome.unreachable(Fault.NAME_NOT_FOUND), id="name-not-found"),
        pytest.param(Outcome.unreachable(Fault.FORBIDDEN_ADDRESS), id="forbidden"),
    ],
)
def test_every_failure_but_gone_is_tried_again(outcome: Outcome) -> None:
    at = next_attempt_at(1, outcome, Random(1), NOW)
    assert at is not None
    assert timedelta(seconds=4) < at - NOW < timedelta(seconds=6)


def test_what_is_gone_is_dead_at_once() -> None:
    assert next_attempt_at(1, Outcome.of_status(410), Random(1), NOW) is None


def test_retry_after_is_never_undercut() -> None:
    hour = timedelta(hours=1)
    outcome = Outcome.of_status(429, retry_after=hour)
    for seed in range(200):
        at = next_attempt_at(1, outcome, Random(seed), NOW)
        assert at is not None
        assert hour <= at - NOW <= 1.1 * hour


def test_retry_after_brings_nothing_forward() -> None:
    outcome = Outcome.of_status(503, retry_after=timedelta(seconds=1))
    at = next_attempt_at(3, outcome, Random(1), NOW)
    assert at is not None
    assert at - NOW >= timedelta(minutes=27)


def test_only_a_failure_is_followed_by_an_attempt() -> None:
    with pytest.raises(ValueError, match="failed"):
        next_attempt_at(1, Outcome.of_status(200), Random(1), NOW)
    with pytest.raises(ValueError, match="failed"):
        next_attempt_at(0, FAILED, Random(1), NOW)
