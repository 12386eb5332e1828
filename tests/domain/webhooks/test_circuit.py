"""A webhook endpoint that fails is left alone, probed, and in the end disabled."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.domain.webhooks.circuit import (
    CLOSED,
    FAILING_FOR,
    OPENS_AFTER,
    PROBE_TIME,
    Circuit,
    CircuitState,
    DisableReason,
    begin_attempt,
    end_attempt,
    find_disable_reason,
)
from gateway_hub.domain.webhooks.outcomes import Fault, Outcome
from gateway_hub.domain.webhooks.retries import next_attempt_at

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FINE = Outcome.of_status(204)
FAILED = Outcome.of_status(500)
SILENT = Outcome.unreachable(Fault.TIMED_OUT)


def after(*outcomes: Outcome, circuit: Circuit = CLOSED, now: datetime = NOW) -> Circuit:
    for outcome in outcomes:
        circuit = end_attempt(circuit, outcome, now)
    return circuit


def test_it_stays_closed_while_failures_are_few() -> None:
    circuit = after(*[FAILED] * (OPENS_AFTER - 1))
    assert circuit.state is CircuitState.CLOSED
    assert circuit.admits(NOW)
    assert begin_attempt(circuit, NOW) == circuit


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    circuit = after(*[FAILED, SILENT] * OPENS_AFTER)
    assert circuit.state is CircuitState.OPEN
    assert not circuit.admits(NOW)
    assert not circuit.admits(NOW + timedelta(seconds=1))
    with pytest.raises(ValueError, match="admits no"):
        begin_attempt(circuit, NOW)


def test_a_success_in_between_starts_the_count_anew() -> None:
    failures = [FAILED] * (OPENS_AFTER - 1)
    assert after(*failures, FINE, *failures).state is CircuitState.CLOSED


def test_one_probe_is_made_and_no_more() -> None:
    circuit = after(*[FAILED] * OPENS_AFTER)
    assert circuit.until is not None
    later = circuit.until
    probing = begin_attempt(circuit, later)
    assert probing.state is CircuitState.HALF_OPEN
    assert not probing.admits(later)
    assert not probing.admits(later + PROBE_TIME - timedelta(seconds=1))


def test_a_probe_that_never_ends_makes_room_for_another() -> None:
    circuit = after(*[FAILED] * OPENS_AFTER)
    assert circuit.until is not None
    probing = begin_attempt(circuit, circuit.until)
    again = circuit.until + PROBE_TIME
    assert begin_attempt(probing, again).until == again + PROBE_TIME


def test_a_probe_that_succeeds_closes_it() -> None:
    circuit = after(*[FAILED] * OPENS_AFTER)
    assert circuit.until is not None
    assert after(FINE, circuit=begin_attempt(circuit, circuit.until)) == CLOSED


def test_a_probe_that_fails_opens_it_for_longer_up_to_five_minutes() -> None:
    circuit, now, pauses = after(*[FAILED] * OPENS_AFTER), NOW, []
    for _ in range(8):
        assert circuit.until is not None
        pauses.append(circuit.until - now)
        now = circuit.until
        circuit = end_attempt(begin_attempt(circuit, now), SILENT, now)
        assert circuit.state is CircuitState.OPEN
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] == timedelta(minutes=5)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_throttling_opens_it_at_once_for_as_long_as_was_asked(status: int) -> None:
    asked = timedelta(hours=1)
    circuit = after(Outcome.of_status(status, retry_after=asked))
    assert circuit.state is CircuitState.OPEN
    assert circuit.until == NOW + asked
    assert after(Outcome.of_status(status)).state is CircuitState.OPEN


def test_throttling_without_a_time_does_not_hold_up_the_first_retry() -> None:
    assert after(Outcome.of_status(503)).until == NOW + timedelta(seconds=5)


def test_stragglers_of_an_open_circuit_do_not_keep_it_open() -> None:
    circuit = after(*[FAILED] * OPENS_AFTER)
    later = NOW + timedelta(seconds=10)
    assert after(FAILED, circuit=circuit, now=later).until == circuit.until
    asked = Outcome.of_status(429, retry_after=timedelta(hours=1))
    assert after(asked, circuit=circuit, now=later).until == later + timedelta(hours=1)
    assert after(FINE, circuit=circuit, now=later) == CLOSED


def test_gone_disables_at_once() -> None:
    gone = Outcome.of_status(410)
    assert find_disable_reason(after(gone), gone, NOW) is DisableReason.GONE


def test_nothing_but_failures_for_five_days_disables() -> None:
    first = after(FAILED)
    almost, enough = NOW + FAILING_FOR - timedelta(seconds=1), NOW + FAILING_FOR
    assert find_disable_reason(after(FAILED, circuit=first, now=almost), FAILED, almost) is None
    circuit = after(FAILED, circuit=first, now=enough)
    assert find_disable_reason(circuit, FAILED, enough) is DisableReason.FAILING


def test_one_success_within_the_five_days_keeps_it_enabled() -> None:
    circuit = after(FAILED, FINE)
    later = NOW + FAILING_FOR
    circuit = after(FAILED, circuit=circuit, now=later)
    assert find_disable_reason(circuit, FAILED, later) is None
    assert find_disable_reason(after(FINE), FINE, later) is None


@dataclass
class WaitingEvent:
    due: datetime
    attempts: int = 0


@dataclass
class World:
    """A webhook endpoint with a backlog, one attempt at a time, in virtual time."""

    rng: Random
    good_share: float
    circuit: Circuit = CLOSED
    now: datetime = NOW
    delivered: int = 0
    dead: int = 0
    disabled: bool = False
    waiting: list[WaitingEvent] = field(default_factory=list)

    def run(self) -> None:
        while self.waiting and not self.disabled:
            event = min(self.waiting, key=lambda item: item.due)
            self.now = max(self.now, event.due, self.circuit.until or self.now)
            self._attempt(event)

    def _attempt(self, event: WaitingEvent) -> None:
        self.circuit = begin_attempt(self.circuit, self.now)
        outcome = FINE if self.rng.random() < self.good_share else FAILED
        self.circuit = end_attempt(self.circuit, outcome, self.now)
        event.attempts += 1
        if outcome.is_delivered:
            self.delivered += 1
            self.waiting.remove(event)
        elif (due := next_attempt_at(event.attempts, outcome, self.rng, self.now)) is None:
            assert event.attempts == 10
            self.dead += 1
            self.waiting.remove(event)
        else:
            event.due = due
        self.disabled = find_disable_reason(self.circuit, outcome, self.now) is not None


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.5, 0.95, 1.0]), st.integers(1, 60))
def test_every_event_ends_delivered_dead_or_with_its_endpoint(
    seed: int, good_share: float, backlog: int
) -> None:
    world = World(Random(seed), good_share)
    world.waiting = [WaitingEvent(NOW + timedelta(seconds=number)) for number in range(backlog)]
    world.run()
    left = len(world.waiting)
    assert world.delivered + world.dead + left == backlog
    assert world.disabled or left == 0
    if good_share == 1.0:
        assert world.delivered == backlog
    if good_share == 0.0:
        assert world.now - NOW <= FAILING_FOR + timedelta(hours=27)
