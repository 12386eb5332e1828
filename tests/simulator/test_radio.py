"""What becomes of SMS by the radio's options."""

import random
from datetime import timedelta

import pytest

from gateway_hub.simulator.radio import (
    DELIVERED,
    FLAKY,
    PERFECT,
    STOCK_ANDROID,
    VALIDITY_EXPIRED,
    PartOutcome,
    Radio,
    RadioOptions,
    SendResult,
    find_departure,
)
from tests.simulator.driving import START


def _send(options: RadioOptions, parts: int = 1, seed: int = 0) -> tuple[PartOutcome, ...]:
    return Radio(random.Random(seed), options).send(parts, START)


def test_a_perfect_radio_sends_reports_and_delivers_every_part_in_order() -> None:
    outcomes = _send(PERFECT, parts=3)
    assert [outcome.part for outcome in outcomes] == [0, 1, 2]
    assert {outcome.result for outcome in outcomes} == {SendResult.OK}
    times = [outcome.left_at for outcome in outcomes]
    assert times == [outcome.reported_at for outcome in outcomes]
    assert times == sorted(times, key=lambda at: at or START)
    assert all(outcome.delivery_status == DELIVERED for outcome in outcomes)


@pytest.mark.parametrize(
    ("options", "result"),
    [
        pytest.param(RadioOptions(generic=1), SendResult.GENERIC, id="generic"),
        pytest.param(RadioOptions(no_service=1), SendResult.NO_SERVICE, id="no_service"),
        pytest.param(RadioOptions(null_pdu=1), SendResult.NULL_PDU, id="null_pdu"),
        pytest.param(RadioOptions(radio_off=1), SendResult.RADIO_OFF, id="radio_off"),
    ],
)
def test_a_failure_is_reported_and_nothing_leaves(
    options: RadioOptions, result: SendResult
) -> None:
    (outcome,) = _send(options)
    assert outcome.result is result
    assert outcome.reported_at is not None
    assert outcome.left_at is None
    assert outcome.delivery_status is None


def test_a_generic_failure_has_one_of_the_error_codes() -> None:
    codes = {_send(RadioOptions(generic=1), seed=seed)[0].error_code for seed in range(20)}
    assert codes == {38, 1, None}


@pytest.mark.parametrize("left", [True, False])
def test_a_silent_part_may_have_left_all_the_same(left: bool) -> None:
    (outcome,) = _send(RadioOptions(silence=1, left_in_silence=float(left)))
    assert outcome.reported_at is None
    assert (outcome.left_at is not None) is left


def test_a_late_report_comes_after_the_sms_left() -> None:
    (outcome,) = _send(RadioOptions(late=1))
    assert outcome.left_at is not None
    assert outcome.reported_at is not None
    assert outcome.reported_at - outcome.left_at >= timedelta(seconds=31)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param(RadioOptions(delivered=1), DELIVERED, id="delivered"),
        pytest.param(
            RadioOptions(delivered=0, undeliverable=1), VALIDITY_EXPIRED, id="undeliverable"
        ),
        pytest.param(RadioOptions(delivered=0), None, id="nothing-heard"),
    ],
)
def test_delivery_is_told_by_the_network_or_not(options: RadioOptions, status: int | None) -> None:
    (outcome,) = _send(options)
    assert outcome.delivery_status == status
    assert (outcome.delivery_reported_at is None) is (status is None)


def test_in_airplane_mode_the_radio_is_off() -> None:
    outcomes = Radio(random.Random(0), PERFECT).send(2, START, airplane=True)
    assert [outcome.result for outcome in outcomes] == [SendResult.RADIO_OFF] * 2
    assert find_departure(outcomes) is None


def test_one_seed_is_one_fate() -> None:
    def fate(seed: int) -> list[tuple[PartOutcome, ...]]:
        radio = Radio(random.Random(seed), FLAKY)
        return [radio.send(2, START) for _ in range(50)]

    assert fate(7) == fate(7)
    assert fate(7) != fate(8)


def test_shares_are_of_all_parts() -> None:
    results = [_send(FLAKY, seed=seed)[0].result for seed in range(4000)]
    assert 280 < results.count(SendResult.NO_SERVICE) < 360
    assert 3100 < results.count(SendResult.OK) < 3350


def test_stock_android_makes_the_31st_part_in_half_an_hour_wait() -> None:
    radio = Radio(random.Random(0), STOCK_ANDROID)
    first = [radio.send(1, START)[0].left_at for _ in range(30)]
    waiting = radio.send(1, START)[0].left_at
    assert all(at is not None and at - START < timedelta(seconds=4) for at in first)
    assert waiting is not None
    assert waiting - START >= timedelta(minutes=30)


def test_those_that_wait_are_let_through_in_their_order() -> None:
    radio = Radio(random.Random(0), RadioOptions(limit_parts=2, report_seconds=(1, 1)))
    left = [radio.send(1, START)[0].left_at for _ in range(6)]
    minutes = [(at - START).total_seconds() // 60 for at in left if at is not None]
    assert minutes == [0, 0, 30, 30, 60, 60]


def test_an_owner_may_refuse_what_is_beyond_the_limit() -> None:
    radio = Radio(random.Random(0), RadioOptions(limit_parts=3, over_limit="refuse"))
    assert radio.send(3, START)[0].result is SendResult.OK
    refused = radio.send(1, START + timedelta(minutes=29))
    assert [outcome.result for outcome in refused] == [SendResult.LIMIT_EXCEEDED]
    assert radio.send(3, START + timedelta(minutes=30))[0].result is SendResult.OK


def test_a_departure_is_the_last_of_the_parts_that_left() -> None:
    one, two = START + timedelta(seconds=1), START + timedelta(seconds=2)
    outcomes = [
        PartOutcome(0, SendResult.OK, left_at=one),
        PartOutcome(1, SendResult.OK, left_at=two),
        PartOutcome(2, SendResult.NO_SERVICE),
    ]
    assert find_departure(outcomes) == (two, 2)
