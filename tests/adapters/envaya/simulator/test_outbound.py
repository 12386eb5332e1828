"""How the simulated EnvayaSMS sends messages, as seen on the real one."""

import pytest

from gateway_hub.simulator.radio import RadioOptions
from tests.adapters.envaya.simulator.simulating import (
    CANONICAL,
    LADDER,
    NOTHING,
    NOTHING_XML,
    Script,
    actions_of,
    fields_of,
    make_message,
    make_phone,
    offer,
    offering,
    poll_once,
    statuses_in,
)
from tests.simulator.driving import START, Driver, xml_answer


def test_a_message_is_sent_and_told_so() -> None:
    driver = offer(make_phone(), offering(make_message(0)))
    assert statuses_in([request for _, request in driver.seen]) == ["m0:sent"]
    (sent,) = driver.phone.air
    assert (sent.wire_id, sent.to, sent.text, sent.parts) == ("m0", "+255700000001", "text 0", 1)
    assert driver.phone.idle


@pytest.mark.parametrize(
    ("version", "action", "takes"),
    [
        (30, "incoming", True),
        (30, "send_status", True),
        (30, "device_status", True),
        (30, "test", False),
        (18, "incoming", True),
        (18, "send_status", False),
        (18, "device_status", False),
        (17, "incoming", True),
        (17, "test", False),
    ],
)
def test_messages_are_taken_from_these_answers(version: int, action: str, takes: bool) -> None:
    phone = make_phone(version)
    work = offering(make_message(0)) if version == 30 else xml_answer(CANONICAL.format("hi"))
    rest = NOTHING if version == 30 else NOTHING_XML
    answers = iter([work])
    driver = Driver(phone, lambda _: next(answers, rest))
    if action == "incoming":
        phone.receive_sms("+1", "hello", START)
    elif action == "send_status":
        phone.report_status("x", "sent", "", START)
    elif action == "device_status":
        phone.report_device("battery_low", START)
    else:
        phone.test_connection(START)
    driver.advance(seconds=10)
    assert (len(phone.air) == 1) is takes


@pytest.mark.parametrize("version", [30, 18])
def test_a_reply_without_recipient_goes_to_the_sender(version: int) -> None:
    reply = (
        offering({"id": "r1", "message": "reply"})
        if version == 30
        else xml_answer('<response><messages><sms id="r1">reply</sms></messages></response>')
    )
    phone = make_phone(version)
    phone.receive_sms("+255700000077", "hello", START)
    Driver(phone, Script(rest=reply)).advance(seconds=10)
    assert (phone.air[0].to, phone.air[0].text) == ("+255700000077", "reply")


def test_a_known_id_is_told_again_but_not_sent_again() -> None:
    driver = offer(make_phone(), offering(make_message(0), make_message(0)))
    driver.serve = Script(offering(make_message(0)))
    assert statuses_in(poll_once(driver)) == ["m0:sent"]
    assert len(driver.phone.air) == 1


def test_one_that_is_being_sent_is_passed_over() -> None:
    phone = make_phone(radio=RadioOptions(report_seconds=(15, 15)))
    driver = offer(phone, *[offering(make_message(0))] * 2)
    driver.advance(seconds=30)
    assert statuses_in([request for _, request in driver.seen]) == ["m0:sent"]


def test_100_ids_are_remembered_and_the_101st_is_sent_twice() -> None:
    phone = make_phone(radio=RadioOptions(report_seconds=(0.01, 0.02)))
    driver = offer(phone, offering(*[make_message(n) for n in range(100)]))
    driver.serve = Script(offering(make_message(0)))
    assert statuses_in(poll_once(driver)) == ["m0:sent"]
    assert len(phone.air) == 100
    driver.advance(hours=2)
    driver.serve = Script(
        offering(make_message(100), make_message(0)),
        offering(make_message(0)),
    )
    poll_once(driver)
    poll_once(driver)
    assert [sent.wire_id for sent in phone.air[100:]] == ["m100", "m0"]


def test_without_an_id_nothing_is_told_and_everything_is_sent() -> None:
    no_id = offering({"to": "+1", "message": "no id"})
    driver = offer(make_phone(), no_id, no_id)
    assert actions_of([request for _, request in driver.seen]) == ["outgoing", "outgoing"]
    assert len(driver.phone.air) == 2


def test_two_are_sent_at_a_time_the_rest_by_priority() -> None:
    radio = RadioOptions(report_seconds=(1, 1))
    messages = [make_message(n, priority=p) for n, p in enumerate([0, 0, 1, 5, "3", "bad"])]
    driver = offer(make_phone(radio=radio), offering(*messages))
    assert [sent.wire_id for sent in driver.phone.air] == ["m0", "m1", "m3", "m4", "m2", "m5"]
    assert [(sent.at - START).total_seconds() for sent in driver.phone.air] == [1, 1, 2, 2, 3, 3]


def test_of_105_messages_100_are_sent_in_an_hour_and_the_server_told_once() -> None:
    phone = make_phone(radio=RadioOptions(report_seconds=(0.01, 0.02)))
    driver = offer(phone, offering(*[make_message(n) for n in range(105)]))
    requests = [request for _, request in driver.seen]
    assert len(requests) == 102
    assert len(phone.air) == 100
    (limit,) = [r for r in requests if fields_of(r)["action"] == "device_status"]
    assert fields_of(limit)["status"] == "send_limit_exceeded"
    assert not phone.idle
    driver.advance(seconds=3600)
    assert len(phone.air) == 105


def test_parts_count_towards_the_limit() -> None:
    phone = make_phone(radio=RadioOptions(report_seconds=(0.01, 0.02)))
    long = "x" * 153 * 60
    driver = offer(phone, offering(make_message(0, message=long), make_message(1, message=long)))
    assert [sent.parts for sent in phone.air] == [60]
    driver.advance(hours=2)
    assert [sent.parts for sent in phone.air] == [60, 60]


def test_a_failing_radio_is_tried_five_times_each_told_and_then_nothing_helps_but_a_person() -> (
    None
):
    phone = make_phone(radio=RadioOptions(no_service=1, report_seconds=(0, 0)))
    driver = offer(phone, offering(make_message(0)))
    driver.advance(days=5)
    told = [request for _, request in driver.seen if b"send_status" in request.body]
    assert statuses_in(told) == ["m0:failed(no service)"] * 5
    assert driver.seconds_of(told) == LADDER
    driver.serve = Script(offering(make_message(0)))
    assert statuses_in(poll_once(driver)) == []
    phone.press_retry(driver.now)
    assert statuses_in(driver.advance(minutes=1)) == ["m0:failed(no service)"]


@pytest.mark.parametrize(
    ("radio", "error"),
    [
        (RadioOptions(generic=1), "generic failure"),
        (RadioOptions(null_pdu=1), "null PDU"),
        (RadioOptions(radio_off=1), "radio off"),
        (RadioOptions(limit_parts=1, over_limit="refuse"), "unknown error"),
    ],
)
def test_failures_have_the_words_of_the_app(radio: RadioOptions, error: str) -> None:
    messages = [make_message(0), make_message(1)]
    driver = offer(make_phone(radio=radio), offering(*messages))
    assert f"m1:failed({error})" in statuses_in([request for _, request in driver.seen])


def test_a_silent_radio_is_a_failed_try_after_30_seconds_though_the_sms_may_be_out() -> None:
    phone = make_phone(radio=RadioOptions(silence=1, left_in_silence=1))
    driver = offer(phone, offering(make_message(0)))
    (told,) = driver.advance(seconds=21)
    assert statuses_in([told]) == ["m0:failed(Timeout while attempting to send message)"]
    assert driver.seconds_of([told]) == [30]
    assert len(phone.air) == 1
    driver.advance(days=2)
    assert len(phone.air) == 5


def test_a_report_after_the_timeout_is_taken_and_ends_the_tries() -> None:
    phone = make_phone(radio=RadioOptions(late=1, late_seconds=(35, 35)))
    driver = offer(phone, offering(make_message(0)))
    told = driver.advance(days=2)
    assert [status.partition("(")[0] for status in statuses_in(told)] == ["m0:failed", "m0:sent"]
    assert len(phone.air) == 1
