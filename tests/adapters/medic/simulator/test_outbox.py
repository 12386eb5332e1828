"""How the simulated CHT app keeps its messages, as seen on the real one."""

import json
from typing import Any

import pytest

from gateway_hub.simulator.phone import (
    NoAnswer,
)
from gateway_hub.simulator.radio import RadioOptions
from tests.adapters.medic.simulator.simulating import (
    EMPTY,
    Script,
    drive,
    make_messages,
    make_phone,
    medic_phone,
    offer,
    receive_offline,
    sizes_of,
    statuses_in,
    updates_of,
)
from tests.simulator.driving import Driver, json_answer


def test_a_message_is_told_unsent_pending_sent_and_delivered() -> None:
    driver = drive(make_phone(), offer(*make_messages(1)))
    assert statuses_in(driver.advance(minutes=2)) == ["UNSENT", "PENDING", "SENT", "DELIVERED"]
    (sent,) = driver.phone.air
    assert (sent.wire_id, sent.to, sent.text, sent.parts) == (
        "m0",
        "+255700000001",
        "text 0",
        1,
    )
    assert driver.phone.idle


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"id": 42, "to": 255700000001, "content": 12345}, ("42", "255700000001", "12345")),
        ({"id": None, "to": "15015", "content": None}, ("null", "15015", "null")),
        ({"id": "", "to": "+255 700-000 001", "content": ""}, ("", "+255700000001", "")),
        ({"id": "u", "to": "+1", "content": "नमस्ते 😀"}, ("u", "+1", "नमस्ते 😀")),
    ],
)
def test_values_are_taken_as_texts(message: dict[str, Any], expected: tuple[str, ...]) -> None:
    driver = drive(make_phone(), offer(message))
    driver.advance(seconds=30)
    assert [(s.wire_id, s.to, s.text) for s in driver.phone.air] == [expected]


def test_a_message_that_lacks_something_costs_only_itself() -> None:
    good = {"id": "ok", "to": "+1", "content": "good"}
    bad = [{k: v for k, v in good.items() if k != name} for name in good]
    driver = drive(
        make_phone(), json_answer(json.dumps({"messages": [*bad, "x", None, good]}).encode())
    )
    driver.advance(seconds=30)
    assert [sent.wire_id for sent in driver.phone.air] == ["ok"]


def test_a_known_id_is_not_sent_again_but_told_again() -> None:
    driver = drive(make_phone(), offer(*make_messages(1)))
    driver.advance(minutes=3)
    driver.serve = Script(offer(*make_messages(1)), rest=EMPTY)
    driver.advance(minutes=1)
    assert updates_of(driver.advance(minutes=1)[0]) == [("m0", "DELIVERED")]
    assert statuses_in(driver.advance(minutes=5)) == []
    assert len(driver.phone.air) == 1


def test_50_messages_handed_over_are_sent_ten_by_ten() -> None:
    driver = drive(make_phone(), offer(*make_messages(50)))
    driver.advance(seconds=59)
    assert len(driver.phone.air) == 10


def test_20_messages_in_each_answer_are_all_fetched_before_any_is_sent() -> None:
    driver = drive(make_phone(), EMPTY)
    driver.advance(seconds=0)
    receive_offline(driver, 25)
    driver.serve = Script(*[offer(*make_messages(20, first=20 * n)) for n in range(6)])
    polls = driver.advance(minutes=1)
    assert sizes_of(polls) == [
        (10, 0),
        (10, 20),
        (5, 20),
        (0, 20),
        (0, 20),
        (0, 20),
        (0, 20),
        (0, 0),
    ]
    assert (
        sum(message.status == "PENDING" for message in medic_phone(driver).messages.values()) == 10
    )


def test_sending_goes_on_while_the_server_is_away() -> None:
    driver = drive(make_phone(), offer(*make_messages(25)), *[NoAnswer("refused")] * 9)
    driver.advance(minutes=3)
    assert len(driver.phone.air) == 25


def test_ten_that_wait_for_their_next_try_block_all_others() -> None:
    phone = make_phone(radio=RadioOptions(no_service=1))
    driver = drive(phone, offer(*make_messages(10)))
    driver.advance(minutes=1)
    while phone.messages["m9"].soft_failures < 6:  # the next try is 15 minutes away
        driver.advance(minutes=1)
    driver.serve = Script(offer(*make_messages(1, first=99)))
    driver.advance(minutes=10)
    assert phone.messages["m99"].soft_failures == 0
    driver.advance(minutes=10)
    assert phone.messages["m99"].soft_failures > 0


def test_offering_a_message_again_pushes_its_own_retry_away() -> None:
    phone = make_phone(radio=RadioOptions(no_service=1))
    driver = Driver(phone, Script(rest=offer(*make_messages(1))))
    driver.advance(hours=3)
    # One failure, then at each poll the minutes begin anew.
    assert phone.messages["m0"].soft_failures <= 2


def test_a_failed_message_is_sent_when_a_person_presses_retry() -> None:
    phone = make_phone(radio=RadioOptions(generic=1))
    driver = drive(phone, offer(*make_messages(1)))
    driver.advance(minutes=3)
    phone.press_retry(driver.now)
    assert statuses_in(driver.advance(minutes=4)) == ["UNSENT", "PENDING", "FAILED"]


def test_a_message_that_was_never_reported_on_stays_pending_until_a_person_presses_retry() -> None:
    phone = make_phone(radio=RadioOptions(silence=1, left_in_silence=1, delivered=0))
    driver = drive(phone, offer(*make_messages(1)))
    driver.advance(days=3)
    phone.press_retry(driver.now)
    driver.advance(hours=1)
    assert [sent.wire_id for sent in phone.air] == ["m0"]
    phone.retry_message("m0", driver.now)
    driver.advance(hours=1)
    assert [sent.wire_id for sent in phone.air] == ["m0", "m0"]


def test_ids_are_forgotten_with_old_data() -> None:
    phone = make_phone()
    driver = drive(phone, offer(*make_messages(1)))
    driver.advance(days=6)
    phone.delete_old_data(driver.now)
    assert "m0" in phone.messages
    driver.advance(days=2)
    phone.delete_old_data(driver.now)
    driver.serve = Script(offer(*make_messages(1)))
    driver.advance(minutes=2)
    assert len(phone.air) == 2
