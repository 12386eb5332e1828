"""The simulated CHT app's requests against recorded ones, and what it takes for success."""

from datetime import timedelta

import pytest

from gateway_hub.adapters.medic.credentials import parse_basic
from gateway_hub.adapters.medic.simulator import MedicOptions
from gateway_hub.adapters.medic.simulator.http import InboundSms, render_post
from gateway_hub.adapters.medic.simulator.outbox import StatusUpdate, WireStatus
from gateway_hub.domain.clock import from_epoch_ms
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest, NoAnswer
from tests.adapters.medic.simulator.simulating import body_of, drive, make_phone
from tests.captures import Capture, load_captures
from tests.simulator.driving import START, json_answer

_BY_THE_STACK = {"Host", "Connection", "Content-Length"}
RECORDED = [c for c in load_captures("medic") if "okhttp" in c.entry["http_stack"]]
POSTS = [capture for capture in RECORDED if capture.method == "POST"]


def _first_request(capture: Capture) -> HttpRequest:
    agent = capture.find_header("user-agent") or ""
    options = MedicOptions(poll_seconds=None, user_agent=agent)
    phone = make_phone(capture.server_url, options=options)
    if capture.method == "GET":
        phone.verify_server(START)
    else:
        phone.receive_sms("+1", "hello", START)
    return phone.run(START)[0]


@pytest.mark.parametrize("capture", RECORDED, ids=lambda capture: capture.name)
def test_every_recorded_head_is_made_of_the_url_as_typed(capture: Capture) -> None:
    request = _first_request(capture)
    target = "/" + request.url.partition("//")[2].partition("/")[2]
    assert (request.method, target) == (capture.method, capture.target)
    recorded = [pair for pair in capture.headers if pair[0] not in _BY_THE_STACK]
    assert list(request.headers) == recorded


@pytest.mark.parametrize("capture", POSTS, ids=lambda capture: capture.name)
def test_every_recorded_body_is_written_byte_for_byte(capture: Capture) -> None:
    recorded = capture.entry["json"]
    messages = [
        InboundSms(
            one["id"],
            one["from"],
            one["content"],
            from_epoch_ms(one["sms_sent"]),
            from_epoch_ms(one["sms_received"]),
        )
        for one in recorded["messages"]
    ]
    updates = [
        StatusUpdate(number, one["id"], WireStatus(one["status"]), one.get("reason"))
        for number, one in enumerate(recorded["updates"])
    ]
    assert render_post(messages, updates) == capture.body


def test_an_sms_is_told_with_the_times_of_network_and_phone() -> None:
    phone = make_phone(options=MedicOptions(poll_seconds=None))
    phone.receive_sms("+255700000205", "hi", START + timedelta(milliseconds=345))
    (message,) = body_of(phone.run(START)[0])["messages"]
    assert message.pop("id").count("-") == 4
    assert message == {
        "from": "+255700000205",
        "content": "hi",
        "sms_sent": 1772366400000,
        "sms_received": 1772366400345,
    }


def test_half_a_surrogate_pair_arrives_as_a_question_mark() -> None:
    phone = make_phone()
    phone.receive_sms("+1", "x\ud83dy", START)
    (request, *_) = drive(phone).advance(seconds=0)
    assert body_of(request)["messages"][0]["content"] == "x?y"


def test_an_app_before_1_7_1_sends_the_password_as_typed() -> None:
    phone = make_phone("http://gw:p!ö@hub/medic", options=MedicOptions(encodes_password=False))
    (request,) = drive(phone).advance(seconds=0)
    found = parse_basic(dict(request.headers)["Authorization"])
    assert found is not None
    assert found.raw_password == "p!ö".encode("latin-1")


def test_a_user_name_alone_has_no_colon() -> None:
    (request,) = drive(make_phone("http://gw@hub/medic")).advance(seconds=0)
    assert dict(request.headers)["Authorization"] == "Basic Z3c="


def test_an_at_sign_in_the_query_is_taken_for_that_of_the_host() -> None:
    (request,) = drive(make_phone("http://gw:pw@hub/medic?x=a@b")).advance(seconds=0)
    assert request.url == "http://b/"


@pytest.mark.parametrize(
    ("answer", "forwarded"),
    [
        pytest.param(json_answer(b"{}"), True, id="200-empty-object"),
        pytest.param(json_answer(b"{}", 201), True, id="201"),
        pytest.param(json_answer(b"{}", 206), True, id="206"),
        pytest.param(HttpAnswer(200, None, b"{}"), True, id="200-without-type"),
        pytest.param(json_answer(b'{"messages":null}'), True, id="200-messages-null"),
        pytest.param(json_answer(b'{"messages":{}}'), True, id="200-messages-object"),
        pytest.param(json_answer(b'{"error":true}'), True, id="200-error-true"),
        pytest.param(json_answer(b"", 204), False, id="204"),
        pytest.param(json_answer(b""), False, id="200-empty-body"),
        pytest.param(json_answer(b"[]"), False, id="200-list"),
        pytest.param(json_answer(b"null"), False, id="200-null"),
        pytest.param(HttpAnswer(200, "text/html", b"<html>"), False, id="200-page"),
        pytest.param(json_answer(b"{}", 307), False, id="307"),
        pytest.param(json_answer(b"{}", 400), False, id="400"),
        pytest.param(json_answer(b"{}", 503), False, id="503"),
        pytest.param(NoAnswer("refused"), False, id="refused"),
        pytest.param(NoAnswer("cut"), False, id="cut"),
    ],
)
def test_what_makes_the_app_forget_what_it_told(
    answer: HttpAnswer | NoAnswer, forwarded: bool
) -> None:
    phone = make_phone(options=MedicOptions(poll_seconds=None))
    phone.receive_sms("+1", "hello", START)
    drive(phone, answer).advance(seconds=0)
    assert phone.idle is forwarded


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (json_answer(b'{"message":"bad request text"}', 400), "400: bad request text"),
        (json_answer(b"{}", 400), "400: unknown"),
        (json_answer(b'{"message":null}', 400), "400: null"),
        (HttpAnswer(400, "text/plain", b"plain words"), "400: plain words"),
        (json_answer(b"{}", 300), "300: unknown"),
    ],
)
def test_an_error_is_shown_as_seen_on_the_app(answer: HttpAnswer, shown: str) -> None:
    phone = make_phone()
    drive(phone, answer).advance(seconds=0)
    assert phone.last_error == f"Received error from server: {shown}"


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (json_answer(b'{"medic-gateway":true}'), "ok"),
        (json_answer(b'{"medic-gateway":"true"}'), "ok"),
        (json_answer(b'{"medic-gateway":true}', 299), "ok"),
        (json_answer(b'{"medic-gateway":1}'), "app_not_found"),
        (json_answer(b"{}"), "app_not_found"),
        (HttpAnswer(401, None, b""), "unauthorised"),
        (json_answer(b"{}", 404), "app_not_found"),
        (NoAnswer("unknown_host"), "server_not_found"),
    ],
)
def test_verification_says_what_the_settings_screen_says(
    answer: HttpAnswer | NoAnswer, result: str
) -> None:
    phone = make_phone(options=MedicOptions(poll_seconds=None))
    phone.verify_server(START)
    drive(phone, answer).advance(seconds=0)
    assert phone.verification == result
