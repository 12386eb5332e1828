"""Redirects and closed connections, as seen on the HTTP stack of the real app."""

import pytest

from gateway_hub.adapters.medic.simulator import MedicOptions
from gateway_hub.simulator.phone import (
    HttpAnswer,
    NoAnswer,
)
from tests.adapters.medic.simulator.simulating import EMPTY, drive, make_phone
from tests.simulator.driving import START, json_answer


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirected_post_is_a_get_whose_answer_loses_messages(status: int) -> None:
    phone = make_phone(options=MedicOptions(poll_seconds=None))
    phone.receive_sms("+1", "hello", START)
    driver = drive(phone, HttpAnswer(status, None, b"", "/other"), json_answer(b"{}"))
    _, get = driver.advance(seconds=0)
    assert (get.method, get.url, get.body) == ("GET", "http://hub.example.test:8080/other", b"")
    assert "Content-Type" not in dict(get.headers)
    assert [(step.name, step.contact, step.text) for step in phone.lost] == [
        ("lost", "+1", "hello")
    ]
    assert phone.idle


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(HttpAnswer(307, None, b"", "/other"), id="307"),
        pytest.param(HttpAnswer(308, None, b"", "/other"), id="308"),
        pytest.param(HttpAnswer(302, None, b"", "https://hub.example.test/other"), id="to-https"),
    ],
)
def test_other_redirects_of_a_post_are_errors(answer: HttpAnswer) -> None:
    phone = make_phone(options=MedicOptions(poll_seconds=None))
    phone.receive_sms("+1", "hello", START)
    assert len(drive(phone, answer).advance(seconds=0)) == 1
    assert phone.lost == []
    assert not phone.idle


def test_a_post_cut_on_a_used_connection_is_sent_again_unasked() -> None:
    phone = make_phone()
    driver = drive(phone, EMPTY, NoAnswer("cut"), EMPTY)
    driver.advance(seconds=30)
    driver.phone.receive_sms("+1", "hello", driver.now)
    first, second = driver.advance(seconds=0)
    assert first.body == second.body
    assert phone.last_error is None
    assert phone.idle


def test_a_post_cut_on_a_fresh_connection_is_an_error() -> None:
    phone = make_phone()
    assert len(drive(phone, NoAnswer("cut")).advance(seconds=0)) == 1
    assert phone.last_error is not None


def test_a_post_cut_on_the_fresh_connection_too_is_an_error() -> None:
    phone = make_phone()
    driver = drive(phone, EMPTY, NoAnswer("cut"), NoAnswer("cut"))
    driver.advance(seconds=30)
    phone.receive_sms("+1", "hello", driver.now)
    assert len(driver.advance(seconds=0)) == 2
    assert phone.last_error is not None
