"""Connections, time-outs and redirects, as seen on the HTTP client of the real app."""

from datetime import timedelta

from gateway_hub.simulator.phone import (
    HttpAnswer,
    HttpRequest,
    NoAnswer,
)
from gateway_hub.simulator.steps import Step
from tests.adapters.envaya.simulator.simulating import (
    NOTHING,
    Script,
    envaya_phone,
    fields_of,
    make_message,
    make_phone,
    offering,
    statuses_in,
)
from tests.simulator.driving import START, Driver


def test_a_poll_may_be_held_for_55_seconds_but_not_for_63() -> None:
    driver = Driver(make_phone(poll_seconds=3600), lambda _: None)
    (held,) = driver.advance(seconds=55)
    driver.serve = Script()
    driver.answer_now(held, offering(make_message(0)))
    assert statuses_in(driver.advance(seconds=10)) == ["m0:sent"]
    driver.serve = lambda _: None
    driver.advance_to(START + timedelta(hours=1))
    held = driver.seen[-1][1]
    driver.advance(seconds=63)
    driver.answer_now(held, offering(make_message(1)))
    assert [message.id for message in envaya_phone(driver).outbound] == []


def test_at_most_two_requests_are_out_at_a_time() -> None:
    driver = Driver(make_phone(poll_seconds=3600), lambda _: None)
    driver.advance(seconds=1)
    for number in range(3):
        driver.phone.receive_sms("+1", f"in {number}", driver.now)
    (first,) = driver.advance(seconds=1)
    driver.answer_now(first, NOTHING)
    assert len(driver.advance(seconds=1)) == 1


def test_a_request_that_waited_for_a_connection_tells_when_it_was_made() -> None:
    driver = Driver(make_phone(), lambda _: None)
    for number in range(2):
        driver.phone.receive_sms("+1", f"in {number}", driver.now)
    first, _ = driver.advance(seconds=1)
    envaya_phone(driver).report_device("battery_low", driver.now)
    driver.advance(seconds=20)
    driver.answer_now(first, NOTHING)
    (waited,) = driver.advance(seconds=0)
    made_at = int(fields_of(waited)["now"]) - int(fields_of(first)["now"])
    assert made_at == 1000


def test_a_redirected_forward_is_a_get_whose_answer_loses_it() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    ends = [HttpAnswer(302, None, b"", "/other"), HttpAnswer(200, "text/html", b"<p>")]
    driver = Driver(phone, lambda _: ends.pop(0))
    post, get = driver.advance(seconds=1)
    assert (get.method, get.url, get.body) == ("GET", "http://hub.example.test:8080/other", b"")
    signature = ("X-Request-Signature", dict(post.headers)["X-Request-Signature"])
    assert signature in get.headers
    assert phone.lost == [Step("lost", contact="+1", text="hello")]
    assert phone.inbound == []


def test_a_request_closed_without_an_answer_is_sent_four_times_in_all() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    requests = Driver(phone, Script(rest=NoAnswer("cut"))).advance(seconds=10)
    assert len(requests) == 4
    assert len({(request.headers, request.body) for request in requests}) == 1


def test_a_refused_request_is_not_sent_again_by_itself() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    assert len(Driver(phone, Script(rest=NoAnswer("refused"))).advance(seconds=10)) == 1


def test_a_308_is_not_followed() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "hello", START)
    driver = Driver(phone, Script(rest=HttpAnswer(308, None, b"", "/other")))
    assert len(driver.advance(seconds=10)) == 1
    assert len(phone.inbound) == 1


def test_a_redirected_status_is_lost_too() -> None:
    def serve(request: HttpRequest) -> HttpAnswer:
        if request.method == "POST" and b"action=send_status" in request.body:
            return HttpAnswer(302, None, b"", "/other")
        return offering(make_message(1)) if b"action=outgoing" in request.body else NOTHING

    phone = make_phone(poll_seconds=3600)
    Driver(phone, serve).advance(seconds=10)
    assert phone.lost == [Step("lost", wire_id="m1", status="sent")]
