"""What the simulated EnvayaSMS makes of failures, as seen on the real one."""

import pytest

from gateway_hub.simulator.phone import (
    HttpAnswer,
    NoAnswer,
)
from tests.adapters.envaya.simulator.simulating import (
    NOTHING,
    NOTHING_XML,
    Script,
    actions_of,
    fields_of,
    make_phone,
    statuses_in,
)
from tests.simulator.driving import START, Driver, json_answer, xml_answer


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize(("version", "crashes"), [(30, 1), (18, 1), (17, 0)])
def test_an_answer_without_a_body_kills_the_app(status: int, version: int, crashes: int) -> None:
    phone = make_phone(version)
    phone.receive_sms("+1", "hello", START)
    bare = HttpAnswer(status, None, b"")
    answers = iter([bare])
    rest = NOTHING if version == 30 else NOTHING_XML
    driver = Driver(phone, lambda _: next(answers, rest))
    driver.advance(seconds=25)
    assert phone.crashes == crashes
    # Version 3 has it on disk, 2.0.5 had it in memory, 2.0.4 lives and tries again.
    assert len(driver.seen) == {30: 2, 18: 1, 17: 2}[version]


def test_a_killed_app_is_started_again_later_each_time() -> None:
    driver = Driver(make_phone(poll_seconds=60), lambda _: HttpAnswer(204, None, b""))
    polls = driver.advance(seconds=40)
    assert driver.seconds_of(polls) == [0, 5, 15, 35]
    driver.serve = Script(rest=NOTHING)
    assert driver.seconds_of(driver.advance(seconds=40)) == [75]
    driver.serve = lambda _: HttpAnswer(204, None, b"")
    assert driver.seconds_of(driver.advance(seconds=62)) == [135, 140]


def test_an_app_that_is_killed_for_ever_is_started_every_ten_minutes() -> None:
    driver = Driver(make_phone(poll_seconds=60), lambda _: HttpAnswer(204, None, b""))
    first, second = driver.seconds_of(driver.advance(hours=3))[-2:]
    assert second - first == 600


def test_an_sms_starts_an_app_that_was_killed() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    ends = [HttpAnswer(204, None, b"")]
    driver = Driver(phone, lambda _: ends.pop() if ends else NOTHING)
    driver.advance(seconds=1)
    assert not phone.idle
    phone.receive_sms("+2", "again", driver.now)
    forwarded = [fields_of(request)["from"] for request in driver.advance(seconds=1)]
    assert forwarded == ["+1", "+2"]
    assert driver.advance(seconds=60) == []


def test_the_log_grows_while_polls_fail_and_is_lost_with_a_failed_incoming() -> None:
    driver = Driver(make_phone(poll_seconds=60), Script(rest=NoAnswer("refused")))
    polls = driver.advance(minutes=5)
    lengths = [len(fields_of(poll)["log"]) for poll in polls]
    assert lengths == sorted(set(lengths))
    driver.serve = Script(rest=json_answer(b"{}", 500))
    driver.phone.receive_sms("+1", "hello", driver.now)
    (incoming,) = driver.advance(seconds=1)
    poll = driver.advance(seconds=59)[-1]
    assert len(fields_of(incoming)["log"]) > lengths[-1]
    assert len(fields_of(poll)["log"]) < lengths[1]


@pytest.mark.parametrize(
    ("end", "told"),
    [
        pytest.param(json_answer(b"{}", 500), 1, id="500"),
        pytest.param(json_answer(b"{}", 403), 1, id="403"),
        pytest.param(NoAnswer("refused"), 1, id="refused"),
        pytest.param(NoAnswer("unknown_host"), 2, id="unknown-host"),
        pytest.param(NoAnswer("timeout"), 2, id="timeout"),
    ],
)
def test_a_lost_report_is_told_again_only_after_these(
    end: HttpAnswer | NoAnswer, told: int
) -> None:
    phone = make_phone()
    phone.report_status("m0", "sent", "", START)
    ends = iter([end])
    driver = Driver(phone, lambda _: next(ends, NOTHING))
    driver.advance(minutes=20)
    phone.test_connection(driver.now)
    driver.advance(minutes=20)
    assert len(statuses_in([request for _, request in driver.seen])) == told


def test_a_report_that_finds_no_server_twice_is_lost() -> None:
    phone = make_phone()
    phone.report_status("m0", "sent", "", START)
    driver = Driver(phone, Script(rest=NoAnswer("unknown_host")))
    driver.advance(minutes=1)
    phone.press_retry(driver.now)
    driver.advance(minutes=1)
    driver.serve = Script()
    phone.press_retry(driver.now)
    phone.test_connection(driver.now)
    driver.advance(hours=1)
    assert len(statuses_in([request for _, request in driver.seen])) == 2


def test_when_the_server_answers_again_all_that_waits_is_told() -> None:
    phone = make_phone(poll_seconds=60)
    driver = Driver(phone, Script(rest=NoAnswer("unknown_host")))
    driver.advance(seconds=50)
    phone.receive_sms("+1", "hello", driver.now)
    phone.report_device("battery_low", driver.now)
    driver.advance(seconds=5)
    driver.serve = Script()
    again = driver.advance(seconds=6)
    assert sorted(actions_of(again)) == ["device_status", "incoming", "outgoing", "outgoing"]


def test_a_slow_server_is_found_by_a_check_and_everything_told_anew() -> None:
    phone = make_phone()
    phone.report_status("m0", "sent", "", START)
    driver = Driver(phone, lambda _: None)
    driver.advance(seconds=60)
    driver.serve = Script()
    assert driver.seconds_of(driver.advance(seconds=10)) == [61]


@pytest.mark.parametrize(
    ("version", "answer", "line"),
    [
        (30, json_answer(b'{"error":{"message":"bad thing"}}', 400), "bad thing"),
        (30, json_answer(b'{"error":"text"}', 400), "HTTP 400"),
        (30, xml_answer("<response><error>bad &amp; thing</error></response>", 403), "bad & thing"),
        (30, HttpAnswer(404, "text/html", b"<p>"), "HTTP 404"),
        (18, xml_answer("<response><error>bad &amp; thing</error></response>", 400), "bad & thing"),
        (17, xml_answer("<response><error>bad</error></response>", 400), "HTTP 400"),
    ],
)
def test_an_error_is_shown_in_the_log(version: int, answer: HttpAnswer, line: str) -> None:
    phone = make_phone(version, poll_seconds=60)
    driver = Driver(phone, Script(answer, rest=NOTHING_XML))
    assert line in fields_of(driver.advance(seconds=60)[-1])["log"].splitlines()
