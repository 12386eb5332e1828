"""The parts that phones are built of."""

from datetime import timedelta

from gateway_hub.simulator.phone import Agenda, Outgoing, earliest
from tests.simulator.driving import START

SECOND = timedelta(seconds=1)


def test_alarms_ring_in_order_of_time_and_then_of_being_set() -> None:
    agenda, rung = Agenda(), list[str]()
    agenda.add(START + SECOND, lambda _: rung.append("late"))
    agenda.add(START, lambda _: rung.append("first"))
    agenda.add(START, lambda _: rung.append("second"))
    assert agenda.next_at == START
    agenda.run_due(START)
    assert rung == ["first", "second"]
    assert agenda.next_at == START + SECOND


def test_an_alarm_is_told_the_time_at_which_it_rings() -> None:
    agenda, told = Agenda(), list[object]()
    agenda.add(START, told.append)
    agenda.run_due(START + SECOND)
    assert told == [START + SECOND]


def test_what_becomes_due_by_an_alarm_is_done_with_it() -> None:
    agenda, rung = Agenda(), list[str]()

    def set_another(now: object) -> None:
        agenda.add(START, lambda _: rung.append("another"))

    agenda.add(START, set_another)
    agenda.run_due(START)
    assert rung == ["another"]


def test_a_cancelled_alarm_neither_rings_nor_is_waited_for() -> None:
    agenda, rung = Agenda(), list[str]()
    agenda.add(START, lambda _: rung.append("cancelled")).cancel()
    assert agenda.next_at is None
    agenda.run_due(START)
    assert rung == []


def test_requests_are_taken_once_and_never_share_a_token() -> None:
    outgoing = Outgoing()
    first = outgoing.add("GET", "http://hub/", (), b"", START)
    second = outgoing.add("GET", "http://hub/", (), b"", START + SECOND)
    assert first != second
    assert outgoing.since == START
    assert [request.token for request in outgoing.take()] == [first, second]
    assert outgoing.take() == []


def test_with_nothing_to_fetch_nothing_is_waited_for() -> None:
    outgoing = Outgoing()
    outgoing.add("GET", "http://hub/", (), b"", START)
    outgoing.take()
    assert outgoing.since is None


def test_the_earliest_of_no_moments_is_none() -> None:
    assert earliest(None, None) is None
    assert earliest(None, START + SECOND, START) == START
