"""How a CHT app on a real network is set up, and what is told of its posts and their answers."""

import random
from base64 import b64encode
from typing import Any

import pytest

from gateway_hub.adapters.medic.simulator.live import KIND
from gateway_hub.simulator.kinds import PhoneSetup, SetupError
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest
from gateway_hub.simulator.radio import Radio
from gateway_hub.simulator.steps import Step
from tests.adapters.medic.simulator.simulating import (
    EMPTY,
    drive,
    make_messages,
    make_phone,
    offer,
)
from tests.simulator.driving import START, json_answer


def first_request(**setup: Any) -> HttpRequest:
    """Return the first request of a phone that is set up like this."""
    rng = random.Random(1)
    given = {"name": "p", "server_url": "http://hub.example.test/medic"} | setup
    phone = KIND.make(PhoneSetup(**given), rng, Radio(rng), START)
    return phone.run(START)[0]


def basic(user_info: str) -> str:
    return "Basic " + b64encode(user_info.encode()).decode()


SETUPS = [
    pytest.param({}, None, id="nothing"),
    pytest.param({"server_url": "http://u:p@h/"}, basic("u:p"), id="in-the-url"),
    pytest.param({"username": "u", "password": "p@/ß"}, basic("u:p%40%2F%C3%9F"), id="apart"),
    pytest.param(
        {"username": "u", "password": "p!", "app_version": "1.7.0"},
        basic("u:p!"),
        id="before-passwords-were-encoded",
    ),
]


@pytest.mark.parametrize(("setup", "authorization"), SETUPS)
def test_a_phone_proves_itself_as_it_was_set_up(
    setup: dict[str, str], authorization: str | None
) -> None:
    assert dict(first_request(**setup).headers).get("Authorization") == authorization


def test_a_phone_names_its_version() -> None:
    assert dict(first_request(app_version="v1.6").headers)["User-Agent"].endswith("/v1.6")


def test_a_phone_asks_as_often_as_it_is_set_to() -> None:
    rng = random.Random(1)
    setup = PhoneSetup("p", "http://hub.example.test/", poll_seconds=7)
    phone = KIND.make(setup, rng, Radio(rng), START)
    (request,) = phone.run(START)
    phone.take_answer(request.token, EMPTY, START)
    due = phone.next_wakeup()
    assert due is not None
    assert (due - START).total_seconds() == 7


@pytest.mark.parametrize(
    "setup", [{"app_version": "new"}, {"server_url": "http://u:p@h/", "username": "u"}]
)
def test_a_setup_that_the_app_cannot_have_is_refused(setup: dict[str, str]) -> None:
    with pytest.raises(SetupError):
        first_request(**setup)


def describe(request: HttpRequest, answer: HttpAnswer) -> list[Step]:
    """Return what is told of a request from its beginning to its end."""
    return KIND.describe_request(request) + KIND.describe_answer(request, answer)


def test_a_post_with_nothing_in_it_asks_for_work() -> None:
    assert describe(first_request(), EMPTY) == [Step("asked"), Step("nothing")]


def test_messages_of_an_answer_are_given() -> None:
    messages = [*make_messages(1), {"id": 7, "to": None, "content": True}, {"id": "m2"}, "x"]
    steps = KIND.describe_answer(first_request(), offer(*messages))  # type: ignore[arg-type]
    incomplete = Step("not_understood", detail="a message without id, to or content")
    assert steps == [
        Step("given", wire_id="m0", contact="+255700000001", text="text 0"),
        Step("given", wire_id="7", contact="null", text="true"),
        incomplete,
        incomplete,
    ]


def test_what_a_post_holds_is_told_when_it_is_answered() -> None:
    phone = make_phone()
    driver = drive(phone, offer(*make_messages(1)))
    driver.advance(seconds=30)
    phone.receive_sms("+255700000002", "Habari", driver.now)
    (request,) = phone.run(driver.now)
    forwarded, *reported, nothing = KIND.describe_answer(request, EMPTY)
    assert (forwarded.name, forwarded.contact) == ("forwarded", "+255700000002")
    assert forwarded.text == "Habari"
    assert [(step.wire_id, step.status, step.detail) for step in reported[:3]] == [
        ("m0", "UNSENT", None),
        ("m0", "PENDING", None),
        ("m0", "SENT", None),
    ]
    assert nothing == Step("nothing")


def test_a_failure_is_told_with_its_reason() -> None:
    driver = drive(make_phone(), offer({"id": "m", "to": "nobody", "content": "x"}))
    requests = driver.advance(seconds=90)
    steps = [step for request in requests for step in KIND.describe_answer(request, EMPTY)]
    assert Step("reported", wire_id="m", status="FAILED", detail="destination.invalid") in steps


ANSWERS = [
    pytest.param(
        json_answer(b'{"error":true,"message":"No: never."}', 401),
        Step("refused", http_status=401, detail="No: never."),
        id="refusal",
    ),
    pytest.param(
        HttpAnswer(502, "text/html", b"<html>"),
        Step("refused", http_status=502, detail="<html>"),
        id="refusal-that-is-a-page",
    ),
    pytest.param(
        HttpAnswer(302, None, b"", "/x"),
        Step("redirected", http_status=302, detail="/x"),
        id="redirect",
    ),
]


@pytest.mark.parametrize(("answer", "step"), ANSWERS)
def test_of_an_answer_that_is_no_success_nothing_is_taken(answer: HttpAnswer, step: Step) -> None:
    phone = make_phone()
    phone.receive_sms("+255700000002", "Habari", START)
    assert KIND.describe_answer(phone.run(START)[0], answer) == [step]


def test_a_page_instead_of_json_is_not_understood() -> None:
    (step,) = KIND.describe_answer(first_request(), HttpAnswer(200, "text/html", b"<html>"))
    assert (step.name, step.http_status) == ("not_understood", 200)


def test_the_answer_to_a_get_tells_of_no_post() -> None:
    phone = make_phone()
    phone.run(START)
    phone.verify_server(START)
    (request,) = phone.run(START)
    assert describe(request, EMPTY) == [Step("nothing")]
