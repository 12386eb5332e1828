"""How the simulated EnvayaSMS forwards messages, as seen on the real one."""

from datetime import timedelta

import pytest

from gateway_hub.simulator.phone import (
    HttpAnswer,
)
from tests.adapters.envaya.simulator.simulating import (
    LADDER,
    NOTHING,
    NOTHING_XML,
    Script,
    fields_of,
    make_phone,
)
from tests.simulator.driving import START, Driver, json_answer, xml_answer


def test_an_incoming_sms_is_tried_five_times_in_a_day_and_an_hour_and_then_given_up() -> None:
    phone = make_phone()
    phone.receive_sms("+255700000077", "retry me", START)
    driver = Driver(phone, Script(rest=json_answer(b"{}", 500)))
    tries = driver.advance(days=5)
    assert driver.seconds_of(tries) == LADDER
    assert phone.idle
    assert len(phone.inbound) == 1
    phone.press_retry(driver.now)
    assert [fields_of(r)["message"] for r in driver.advance(days=5)] == ["retry me"]


def test_a_retry_has_a_new_time_log_and_signature_and_nothing_else_new() -> None:
    phone = make_phone()
    phone.receive_sms("+255700000077", "retry me", START)
    first, second = Driver(phone, Script(rest=json_answer(b"{}", 500))).advance(seconds=30)
    changed = {k for k, v in fields_of(first).items() if fields_of(second)[k] != v}
    assert changed == {"now", "log"}
    assert fields_of(second)["log"].splitlines()[-3:] == [
        "Error in server response: java.lang.Exception: HTTP 500",
        "1st failure; retry in 20 seconds",
        "Retrying forwarding SMS from +255700000077",
    ]
    assert dict(first.headers) != dict(second.headers)


def test_an_sms_like_one_that_waits_is_dropped() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "twin", START)
    phone.receive_sms("+1", "twin", START + timedelta(milliseconds=900))
    phone.receive_sms("+1", "twin", START + timedelta(seconds=1))
    driver = Driver(phone, Script())
    assert len(driver.advance(seconds=1)) == 2
    phone.receive_sms("+1", "twin", START)
    assert len(driver.advance(seconds=1)) == 1


def test_two_are_forwarded_at_a_time() -> None:
    driver = Driver(make_phone(), lambda _: None)
    for number in range(5):
        driver.phone.receive_sms("+1", f"in {number}", START)
    first, second = driver.advance(seconds=1)
    driver.answer_now(first, NOTHING)
    driver.answer_now(second, NOTHING)
    assert len(driver.advance(seconds=1)) == 2


@pytest.mark.parametrize(
    ("version", "answer", "forwarded"),
    [
        pytest.param(30, NOTHING, True, id="30-json"),
        pytest.param(30, NOTHING_XML, True, id="30-xml"),
        pytest.param(30, json_answer(b""), True, id="30-empty-json"),
        pytest.param(30, HttpAnswer(200, None, b""), True, id="30-no-type"),
        pytest.param(30, HttpAnswer(200, "text/html", b"<p>"), True, id="30-page"),
        pytest.param(30, json_answer(b"{}", 201), False, id="30-201"),
        pytest.param(30, json_answer(b"{}", 400), False, id="30-400"),
        pytest.param(30, json_answer(b"{}", 503), False, id="30-503"),
        pytest.param(30, HttpAnswer(308, None, b"", "/other"), False, id="30-308"),
        pytest.param(18, NOTHING_XML, True, id="18-xml"),
        pytest.param(18, NOTHING, False, id="18-json"),
        pytest.param(18, HttpAnswer(200, "application/xml", b"<a/>"), False, id="18-other-xml"),
        pytest.param(18, xml_answer(""), False, id="18-empty"),
        pytest.param(
            18,
            xml_answer("<response><messages> </messages></response>"),
            False,
            id="18-white-space-in-messages",
        ),
        pytest.param(17, NOTHING_XML, True, id="17-xml"),
        pytest.param(17, NOTHING, True, id="17-json-as-text"),
        pytest.param(17, HttpAnswer(200, "text/plain", b"OK"), True, id="17-plain"),
        pytest.param(17, HttpAnswer(200, None, b""), False, id="17-empty"),
        pytest.param(17, HttpAnswer(200, "text/html", b"<p><br></p>"), False, id="17-page"),
    ],
)
def test_what_counts_as_forwarded_differs_by_version(
    version: int, answer: HttpAnswer, forwarded: bool
) -> None:
    phone = make_phone(version)
    phone.receive_sms("+1", "hello", START)
    Driver(phone, Script(rest=answer)).advance(seconds=0)
    assert (phone.inbound == []) is forwarded
    assert phone.lost == []


def test_a_broken_answer_to_a_forwarded_sms_logs_a_failure_but_is_not_tried_again() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    driver = Driver(phone, Script(rest=json_answer(b"")))
    assert len(driver.advance(days=2)) == 1
    phone.test_connection(driver.now)
    (test,) = driver.advance(seconds=1)
    assert "1st failure; retry in 20 seconds" in fields_of(test)["log"]


def test_call_and_sent_notices_are_off_unless_set() -> None:
    phone = make_phone(forwards_calls=False, forwards_sent=False)
    phone.receive_call("+1", START)
    phone.type_sms("+1", "hi", START)
    assert phone.idle
    old = make_phone(18)
    old.type_sms("+1", "hi", START)
    assert old.idle


def test_a_try_by_hand_takes_the_place_of_the_one_that_was_to_come() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    driver = Driver(phone, Script(rest=json_answer(b"{}", 500)))
    driver.advance(seconds=10)
    phone.press_retry(driver.now)
    tries = driver.advance(seconds=400)
    assert driver.seconds_of(tries) == [10, 310]
