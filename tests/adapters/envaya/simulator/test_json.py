"""How the simulated EnvayaSMS reads JSON and obeys it, as seen on the real one."""

import json
from typing import Any

import pytest

from gateway_hub.adapters.envaya.signature import compute_signature
from gateway_hub.adapters.envaya.wire import parse_urlencoded
from gateway_hub.simulator.radio import RadioOptions
from tests.adapters.envaya.simulator.simulating import (
    URL,
    Script,
    answer_with,
    fields_of,
    make_message,
    make_phone,
    offer,
    offering,
    send_event,
    statuses_in,
)
from tests.simulator.driving import START, Driver


@pytest.mark.parametrize(
    ("body", "sent", "told"),
    [
        pytest.param({"id": 42, "to": 255700000001, "message": 7}, "7", ["42:sent"], id="numbers"),
        pytest.param({"id": 1.0, "to": "+1", "message": True}, "true", ["1.0:sent"], id="others"),
        pytest.param({"id": None, "to": "+1", "message": "hi"}, "hi", [], id="null-id"),
        pytest.param({"to": "+1", "message": "hi"}, "hi", [], id="no-id"),
        pytest.param({"id": "m1", "to": None, "message": "hi"}, None, [], id="null-to"),
        pytest.param({"id": "m1", "to": "", "message": "hi"}, None, [], id="empty-to"),
        pytest.param(
            {"id": "m1", "to": "+1", "message": None},
            None,
            ["m1:failed(Message body is empty)"],
            id="null-message",
        ),
        pytest.param(
            {"id": "m1", "to": "+1", "message": "x" * 16_000},
            None,
            ["m1:failed(Message has too many parts (105))"],
            id="too-many-parts",
        ),
        pytest.param(
            {"id": "m1", "to": "+99", "message": "hi"},
            None,
            ["m1:failed(Destination address is not allowed)"],
            id="not-allowed",
        ),
    ],
)
def test_json_messages_are_read_as_recorded(
    body: dict[str, Any], sent: str | None, told: list[str]
) -> None:
    phone = make_phone(refused_numbers=frozenset({"+99"}))
    driver = offer(phone, offering(body))
    assert [one.text for one in phone.air] == ([] if sent is None else [sent])
    assert statuses_in([request for _, request in driver.seen]) == told


@pytest.mark.parametrize(
    ("events", "sent"),
    [
        pytest.param(
            [send_event(make_message(0)), send_event(make_message(1))],
            ["m0", "m1"],
            id="two-events",
        ),
        pytest.param([{"event": "foo"}, send_event(make_message(0))], ["m0"], id="unknown-event"),
        pytest.param([{}, send_event(make_message(0))], [], id="event-without-name"),
        pytest.param(
            [send_event(make_message(0)), {}, send_event(make_message(1))],
            ["m0"],
            id="broken-second",
        ),
        pytest.param([{"event": "log"}, send_event(make_message(0))], [], id="log-without-message"),
        pytest.param(
            [{"event": "cancel"}, send_event(make_message(0))], [], id="cancel-without-id"
        ),
        pytest.param(
            [{"event": "send", "messages": ["x", make_message(0)]}], [], id="message-no-object"
        ),
        pytest.param([{"event": "send", "messages": {}}], [], id="messages-no-list"),
        pytest.param(["x", send_event(make_message(0))], [], id="event-no-object"),
    ],
)
def test_events_are_done_in_order_up_to_the_first_broken_one(
    events: list[Any], sent: list[str]
) -> None:
    phone = make_phone()
    offer(phone, answer_with(*events))
    assert [one.wire_id for one in phone.air] == sent


def test_cancel_takes_back_what_waits_and_is_silent_on_what_is_sent_or_unknown() -> None:
    radio = RadioOptions(report_seconds=(8, 8))
    cancels = [{"event": "cancel", "id": f"m{n}"} for n in (0, 2, 99)]
    offered = send_event(*[make_message(n) for n in range(3)])
    driver = offer(make_phone(radio=radio), answer_with(offered, *cancels))
    told = statuses_in([request for _, request in driver.seen])
    assert sorted(told) == ["m0:sent", "m1:sent", "m2:cancelled(deleted by user)"]


@pytest.mark.parametrize(("waiting", "cancelled"), [(1, 1), (3, 1)])
def test_cancel_all_breaks_with_more_than_one(waiting: int, cancelled: int) -> None:
    offered = send_event(*[make_message(n) for n in range(2 + waiting)])
    radio = RadioOptions(report_seconds=(8, 8))
    driver = offer(make_phone(radio=radio), answer_with(offered, {"event": "cancel_all"}))
    told = statuses_in([request for _, request in driver.seen])
    assert sum("cancelled" in status for status in told) == cancelled


def test_settings_are_in_force_at_once() -> None:
    phone = make_phone(poll_seconds=60)
    settings = {"password": "new", "settings_version": 5, "outgoing_interval": 30, "x": 1.5}
    driver = Driver(phone, Script(answer_with({"event": "settings", "settings": settings})))
    driver.advance(seconds=0)
    request = driver.seen[-1][1]
    fields = parse_urlencoded(request.body)
    assert dict(fields)["settings_version"] == "5"
    assert "Updated app settings" in dict(fields)["log"]
    assert "Unknown setting type for name x" in dict(fields)["log"]
    signature = compute_signature(URL, fields, "new")
    assert dict(request.headers)["X-Request-Signature"] == signature
    assert driver.seconds_of(driver.advance(minutes=1)) == [30, 60]


def test_version_28_knows_no_settings() -> None:
    phone = make_phone(28, poll_seconds=60)
    event = {"event": "settings", "settings": {"outgoing_interval": 5}}
    Driver(phone, Script(answer_with(event))).advance(seconds=10)
    assert phone.settings["outgoing_interval"] == 60


def test_a_server_may_write_into_the_log() -> None:
    phone = make_phone(poll_seconds=60)
    driver = Driver(phone, Script(answer_with({"event": "log", "message": "hello from server"})))
    assert "hello from server" in fields_of(driver.advance(seconds=60)[-1])["log"]


def test_a_command_over_rabbitmq_is_one_event() -> None:
    phone = make_phone()
    phone.take_amqp_command(json.dumps(send_event(make_message(0))).encode(), START)
    phone.take_amqp_command(b"broken", START)
    assert statuses_in(Driver(phone, Script()).advance(seconds=10)) == ["m0:sent"]
