"""What the simulated CHT app sends and tells of it, as seen on the real one."""

from dataclasses import replace
from itertools import pairwise

import pytest

from gateway_hub.adapters.medic.simulator import MedicOptions
from gateway_hub.adapters.medic.simulator.sender import divide_for_cdma
from gateway_hub.simulator.radio import RadioOptions
from tests.adapters.medic.simulator.simulating import (
    body_of,
    drive,
    make_messages,
    make_phone,
    offer,
    statuses_in,
    updates_of,
)


@pytest.mark.parametrize("to", ["null", "", "+255(700)000001", "MPESA", "12+34"])
def test_a_number_that_is_none_fails_without_being_sent(to: str) -> None:
    driver = drive(make_phone(), offer({"id": "ok", "to": to, "content": "good"}))
    posts = driver.advance(minutes=1)
    assert updates_of(posts[-1]) == [
        ("ok", "UNSENT"),
        ("ok", "PENDING"),
        ("destination.invalid", "ok", "FAILED"),
    ]
    assert driver.phone.air == []


@pytest.mark.parametrize(
    ("radio", "told"),
    [
        pytest.param(
            RadioOptions(generic=1, error_codes=(38,)),
            ["UNSENT", "PENDING", "FAILED generic; errorCode=38"],
            id="generic",
        ),
        pytest.param(
            RadioOptions(generic=1, error_codes=(None,)),
            ["UNSENT", "PENDING", "FAILED generic; no errorCode supplied"],
            id="generic-without-code",
        ),
        pytest.param(RadioOptions(no_service=1), ["UNSENT", "PENDING", "UNSENT"], id="no-service"),
        pytest.param(RadioOptions(null_pdu=1), ["UNSENT", "PENDING", "UNSENT"], id="null-pdu"),
        pytest.param(RadioOptions(radio_off=1), ["UNSENT", "PENDING", "UNSENT"], id="radio-off"),
        pytest.param(RadioOptions(silence=1), ["UNSENT", "PENDING"], id="silence"),
    ],
)
def test_failures_are_told_as_recorded(radio: RadioOptions, told: list[str]) -> None:
    driver = drive(make_phone(radio=radio), offer(*make_messages(1)))
    updates = [u for post in driver.advance(seconds=119) for u in body_of(post)["updates"]]
    shown = [" ".join([u["status"], *([u["reason"]] if "reason" in u else [])]) for u in updates]
    assert shown == told


def test_that_delivery_failed_is_told_of_a_message_still_pending_only() -> None:
    given_up = RadioOptions(delivered=0, undeliverable=1)
    driver = drive(make_phone(radio=given_up), offer(*make_messages(1)))
    assert statuses_in(driver.advance(minutes=5)) == ["UNSENT", "PENDING", "SENT"]
    unheard = replace(given_up, silence=1, left_in_silence=1)
    driver = drive(make_phone(radio=unheard), offer(*make_messages(1)))
    told = [u for post in driver.advance(minutes=5) for u in body_of(post)["updates"]]
    assert told[-1]["reason"] == "Delivery failed: SM Validity Period Expired"


def test_a_result_that_the_app_does_not_know_is_final() -> None:
    radio = RadioOptions(limit_parts=1, over_limit="refuse")
    driver = drive(make_phone(radio=radio), offer(*make_messages(2)))
    updates = [u for post in driver.advance(minutes=2) for u in body_of(post)["updates"]]
    assert {"status": "FAILED", "id": "m1", "reason": "unknown; resultCode=5"} in updates


def test_soft_failures_are_tried_20_times_ever_further_apart_and_then_final() -> None:
    radio = RadioOptions(no_service=1, report_seconds=(1, 1))
    driver = drive(make_phone(radio=radio), offer(*make_messages(1)))
    posts = driver.advance(hours=20)
    told = [u for post in posts for u in body_of(post)["updates"]]
    assert [u["status"] for u in told].count("PENDING") == 21
    assert told[-1] == {"status": "FAILED", "id": "m0", "reason": "no-service"}
    tried = [
        at
        for at, post in driver.seen
        if any(u["status"] == "PENDING" for u in body_of(post)["updates"])
    ]
    minutes = [(b - a).total_seconds() / 60 for a, b in pairwise(tried)]
    # 1 minute x n^1.5 after the failure, at the next poll; told at the poll after that.
    assert minutes[:5] == [2, 3, 6, 9, 12]
    assert minutes[-1] == 90


def test_of_a_long_sms_the_first_part_to_be_reported_speaks_for_all() -> None:
    phone = make_phone(radio=RadioOptions(no_service=0.5), seed=3)
    driver = drive(phone, offer({"id": "long", "to": "+1", "content": "x" * 1600}))
    driver.advance(seconds=59)
    told = statuses_in(driver.advance(seconds=1))
    assert told[:2] == ["UNSENT", "PENDING"]
    assert len(told) <= 4
    (sent,) = phone.air
    assert 0 < sent.parts < 11


def test_with_each_part_reporting_a_later_failure_makes_a_sent_message_unsent() -> None:
    options = MedicOptions(every_part_reports=True)
    phone = make_phone(radio=RadioOptions(no_service=0.5), options=options, seed=3)
    driver = drive(phone, offer({"id": "long", "to": "+1", "content": "x" * 1600}))
    driver.advance(seconds=59)
    told = statuses_in(driver.advance(seconds=1))
    assert told.count("UNSENT") > 1


@pytest.mark.parametrize(
    ("content", "pieces"),
    [
        pytest.param("x" * 140, ["x" * 140], id="one"),
        pytest.param("x" * 141, ["1/1 " + "x" * 136], id="tail-of-5-cut"),
        pytest.param("x" * 272, ["1/2 " + "x" * 136, "2/2 " + "x" * 136], id="two-full"),
        pytest.param("न" * 100, ["1/1 " + "न" * 66], id="unicode-cut"),
        pytest.param("x" * 1360, [f"{n}/10 " + "x" * 135 for n in range(1, 11)], id="ten"),
    ],
)
def test_cdma_mode_divides_by_itself_and_cuts_the_tail(content: str, pieces: list[str]) -> None:
    assert divide_for_cdma(content) == pieces


def test_cdma_mode_sends_what_it_divided() -> None:
    driver = drive(
        make_phone(options=MedicOptions(cdma=True)),
        offer({"id": "c", "to": "+1", "content": "x" * 300}),
    )
    driver.advance(minutes=1)
    (sent,) = driver.phone.air
    assert (sent.parts, sent.text) == (2, "1/2 " + "x" * 136 + "2/2 " + "x" * 136)
