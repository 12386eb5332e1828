"""A phone's clock against a wall's clock that is set by hand."""

from datetime import timedelta

from gateway_hub.simulator.pace import PhoneClock
from tests.simulator.driving import START


class Wall:
    """A clock that only goes when it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def make_clock(speed: float) -> tuple[PhoneClock, Wall]:
    wall = Wall()
    return PhoneClock(speed, start=START, seconds=wall), wall


def passed(clock: PhoneClock) -> float:
    return (clock.now() - START).total_seconds()


def test_a_clock_goes_as_fast_as_the_walls() -> None:
    clock, wall = make_clock(1)
    wall.seconds += 60
    assert passed(clock) == 60
    assert clock.seconds_until(START + timedelta(seconds=90)) == 30


def test_a_fast_clock_has_less_to_wait() -> None:
    clock, wall = make_clock(20)
    wall.seconds += 3
    assert passed(clock) == 60
    assert clock.seconds_until(START + timedelta(seconds=90)) == 1.5


def test_a_moment_that_is_past_is_not_waited_for() -> None:
    clock, wall = make_clock(20)
    wall.seconds += 3
    assert clock.seconds_until(START) == 0


def test_a_fast_clock_waits_for_an_answer_in_real_time() -> None:
    clock, wall = make_clock(20)
    with clock.waiting():
        wall.seconds += 25
        assert passed(clock) == 25
        assert clock.seconds_until(START + timedelta(seconds=60)) == 35
    wall.seconds += 1
    assert passed(clock) == 45


def test_a_fast_clock_waits_until_the_last_answer_is_there() -> None:
    clock, wall = make_clock(20)
    with clock.waiting():
        with clock.waiting():
            wall.seconds += 1
        wall.seconds += 1
        assert passed(clock) == 2
    wall.seconds += 1
    assert passed(clock) == 22


def test_times_are_whole_milliseconds() -> None:
    clock, wall = make_clock(1)
    wall.seconds += 0.0017
    assert clock.now() == START + timedelta(milliseconds=1)
