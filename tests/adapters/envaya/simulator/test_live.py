"""How EnvayaSMS on a real network is set up, and what is told of its posts and their answers."""

import random
from typing import Any

import pytest

from gateway_hub.adapters.envaya.simulator import EnvayaPhone
from gateway_hub.adapters.envaya.simulator.live import KIND
from gateway_hub.simulator.kinds import PhoneSetup, SetupError
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest, MmsAttachment
from gateway_hub.simulator.radio import Radio
from gateway_hub.simulator.steps import Step
from tests.adapters.envaya.simulator.simulating import (
    CANONICAL,
    NOTHING,
    NOTHING_XML,
    NUMBER,
    PASSWORD,
    URL,
    Script,
    answer_with,
    fields_of,
    make_message,
    make_phone,
    offer,
    offering,
)
from tests.simulator.driving import START, Driver, json_answer, xml_answer


def make_live(**setup: Any) -> EnvayaPhone:
    """Return a phone that is set up like this."""
    rng = random.Random(1)
    given = {"name": "p", "server_url": URL, "phone_number": NUMBER, "password": PASSWORD} | setup
    phone = KIND.make(PhoneSetup(**given), rng, Radio(rng), START)
    assert isinstance(phone, EnvayaPhone)
    return phone


def poll_of(version: int = 30) -> HttpRequest:
    """Return the first poll of a phone."""
    return make_live(app_version=str(version)).run(START)[0]


def forward_of(version: int = 30) -> HttpRequest:
    """Return the post of a phone that has received an SMS."""
    phone = make_phone(version)
    phone.receive_sms("+255700000002", "Habari", START)
    return phone.run(START)[0]


def report_of(version: int = 30) -> HttpRequest:
    """Return the post of a phone that has sent an SMS."""
    answer = offering(make_message(1)) if version >= 28 else xml_answer(CANONICAL.format("x"))
    driver = Driver(make_phone(version, poll_seconds=3600), Script(answer))
    requests = driver.advance(seconds=10)
    (request,) = [r for r in requests if fields_of(r)["action"] == "send_status"]
    return request


def test_a_phone_is_the_newest_unless_it_is_told_otherwise() -> None:
    assert fields_of(make_live().run(START)[0])["version"] == "30"
    assert fields_of(make_live(app_version="17").run(START)[0])["version"] == "17"


@pytest.mark.parametrize("version", ["17", "18", "28", "29", "30"])
def test_a_phone_is_any_version_that_differs(version: str) -> None:
    assert fields_of(make_live(app_version=version).run(START)[0])["version"] == version


def test_a_phone_asks_as_often_as_it_is_set_to() -> None:
    assert make_live().settings["outgoing_interval"] == 60
    assert make_live(poll_seconds=7).settings["outgoing_interval"] == 7


WRONG = [
    {"password": None},
    {"phone_number": None},
    {"username": "u"},
    {"app_version": "16"},
    {"app_version": "19"},
    {"app_version": "27"},
    {"app_version": "31"},
    {"app_version": "new"},
]


@pytest.mark.parametrize("setup", WRONG)
def test_a_setup_that_the_app_cannot_have_is_refused(setup: dict[str, Any]) -> None:
    with pytest.raises(SetupError):
        make_live(**setup)


@pytest.mark.parametrize(("version", "answer"), [(30, NOTHING), (18, NOTHING_XML)])
def test_a_poll_asks_for_work(version: int, answer: HttpAnswer) -> None:
    request = poll_of(version)
    assert KIND.describe_request(request) == [Step("asked")]
    assert KIND.describe_answer(request, answer) == [Step("nothing")]


def test_a_forwarded_sms_does_not_ask_for_work() -> None:
    assert KIND.describe_request(forward_of()) == []
    assert KIND.describe_answer(forward_of(), NOTHING) == [
        Step("forwarded", contact="+255700000002", text="Habari")
    ]


@pytest.mark.parametrize(("version", "answer"), [(30, NOTHING), (17, HttpAnswer(200, None, b""))])
def test_a_report_is_told_when_it_is_answered(version: int, answer: HttpAnswer) -> None:
    assert KIND.describe_answer(report_of(version), answer) == [
        Step("reported", wire_id="m1", status="sent")
    ]


def test_a_failure_is_told_with_its_reason() -> None:
    driver = offer(make_phone(), offering(make_message(1, message="")))
    steps = [step for _, r in driver.seen for step in KIND.describe_answer(r, NOTHING)]
    reason = "Message body is empty"
    assert Step("reported", wire_id="m1", status="failed", detail=reason) in steps


COMMANDS = [
    pytest.param(
        {"event": "send", "messages": [make_message(1)]},
        Step("given", wire_id="m1", contact="+255700000001", text="text 1"),
        id="send",
    ),
    pytest.param(
        {"event": "cancel", "id": "m1"},
        Step("commanded", wire_id="m1", detail="cancel"),
        id="cancel",
    ),
    pytest.param({"event": "cancel_all"}, Step("commanded", detail="cancel all"), id="cancel-all"),
    pytest.param(
        {"event": "log", "message": "hi"}, Step("commanded", text="hi", detail="log"), id="log"
    ),
    pytest.param(
        {"event": "settings", "settings": {"password": "secret", "keep_in_inbox": True}},
        Step("commanded", text="keep_in_inbox, password", detail="settings"),
        id="settings-without-values",
    ),
]


@pytest.mark.parametrize(("event", "step"), COMMANDS)
def test_each_command_is_told(event: dict[str, Any], step: Step) -> None:
    assert KIND.describe_answer(poll_of(), answer_with(event)) == [step]


def test_a_reply_without_recipient_goes_to_the_sender() -> None:
    reply = {"id": "m1", "message": "Asante"}
    steps = KIND.describe_answer(forward_of(), offering(reply))
    assert steps[1] == Step("given", wire_id="m1", contact="+255700000002", text="Asante")


def test_commands_before_a_mistake_are_told_and_then_the_mistake() -> None:
    answer = answer_with({"event": "send", "messages": [make_message(1)]}, "no event")
    first, second = KIND.describe_answer(poll_of(), answer)
    assert first.name == "given"
    assert (second.name, second.http_status) == ("not_understood", 200)


def test_only_version_3_has_forwarded_what_gets_an_answer_it_cannot_read() -> None:
    page = HttpAnswer(200, "application/json", b"<html>")
    assert [s.name for s in KIND.describe_answer(forward_of(30), page)] == [
        "forwarded",
        "not_understood",
    ]
    page = HttpAnswer(200, "text/xml", b"<html>")
    assert [s.name for s in KIND.describe_answer(forward_of(18), page)] == ["not_understood"]


def test_a_page_that_the_app_passes_over_is_no_command_of_the_server() -> None:
    page = HttpAnswer(200, "text/html", b"<html>")
    forwarded, warned = KIND.describe_answer(forward_of(), page)
    assert (forwarded.name, warned.name) == ("forwarded", "not_understood")
    assert "'Warning: Unknown response type text/html'" in str(warned.detail)


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_of_which_the_app_dies_is_told_as_a_crash(status: int) -> None:
    bare = HttpAnswer(status, None, b"")
    assert KIND.describe_answer(forward_of(), bare) == [Step("crashed", http_status=status)]
    (told,) = KIND.describe_answer(forward_of(17), bare)
    assert told.name == "refused"


REFUSALS = [
    pytest.param(
        json_answer(b'{"error":{"message":"No."}}', 403),
        Step("refused", http_status=403, detail="No."),
        id="with-a-reason",
    ),
    pytest.param(json_answer(b"<", 403), Step("refused", http_status=403), id="unreadable"),
    pytest.param(HttpAnswer(404, "text/html", b""), Step("refused", http_status=404), id="page"),
    pytest.param(json_answer(b"{}", 500), Step("refused", http_status=500), id="server-error"),
    pytest.param(HttpAnswer(201, None, b""), Step("refused", http_status=201), id="created"),
    pytest.param(
        HttpAnswer(302, None, b"", "/x"),
        Step("redirected", http_status=302, detail="/x"),
        id="redirect",
    ),
]


@pytest.mark.parametrize(("answer", "step"), REFUSALS)
def test_of_an_answer_that_is_no_200_nothing_is_taken(answer: HttpAnswer, step: Step) -> None:
    (told,) = KIND.describe_answer(forward_of(), answer)
    assert (told.name, told.http_status) == (step.name, step.http_status)
    assert step.detail in (told.detail, None)


def test_an_mms_is_forwarded_too() -> None:
    phone = make_phone()
    phone.receive_mms("+255700000002", [MmsAttachment("image/png", b"x")], START)
    (request,) = phone.run(START)
    assert [step.name for step in KIND.describe_answer(request, NOTHING)] == ["forwarded"]


def test_the_get_after_a_redirect_tells_of_no_post() -> None:
    phone = make_phone()
    phone.receive_sms("+255700000002", "Habari", START)
    (request,) = phone.run(START)
    phone.take_answer(request.token, HttpAnswer(302, None, b"", "/x"), START)
    (again,) = phone.run(START)
    assert KIND.describe_request(again) == []
    assert KIND.describe_answer(again, NOTHING) == []
