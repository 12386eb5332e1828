"""How many parts may be sent in an hour."""

from datetime import timedelta

from gateway_hub.adapters.envaya.simulator.limit import HourlyLimit
from tests.simulator.driving import START

LATER = START + timedelta(minutes=30)
PERIOD = timedelta(hours=1, seconds=5)
JUST_AFTER = timedelta(milliseconds=1)


def test_a_hundred_parts_pass() -> None:
    limit = HourlyLimit()
    assert limit.count(60, START) is None
    assert limit.count(40, START) is None
    assert limit.count(1, START) == START + PERIOD + JUST_AFTER


def test_one_waits_until_as_many_parts_as_it_needs_are_an_hour_old() -> None:
    limit = HourlyLimit()
    limit.count(60, START)
    limit.count(40, LATER)
    assert limit.count(60, LATER) == START + PERIOD + JUST_AFTER
    assert limit.count(61, LATER) == LATER + PERIOD + JUST_AFTER


def test_what_waited_passes_at_the_time_it_was_told() -> None:
    limit = HourlyLimit()
    limit.count(100, START)
    allowed_at = limit.count(1, START)
    assert allowed_at is not None
    assert limit.count(1, allowed_at - JUST_AFTER) == allowed_at
    assert limit.count(1, allowed_at) is None
