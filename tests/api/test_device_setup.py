"""What people are told to type into their phones."""

from datetime import UTC, datetime

import pytest

from gateway_hub.api.device_setup import describe_setup, to_issued_response
from gateway_hub.domain.devices import Device, Protocol
from gateway_hub.services.devices import IssuedCredentials
from tests.captures import Capture, load_captures

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _userinfo(capture: Capture) -> str:
    typed = capture.entry.get("credentials") or {}
    return f"{typed.get('username')}:{typed.get('password')}@"


TYPED = [
    capture
    for capture in load_captures("medic")
    if capture.expect == "200" and _userinfo(capture) in capture.server_url
]


def _device(protocol: Protocol, server_url: str | None = None) -> Device:
    return Device("id", "project", "A", protocol, NOW, NOW, phone_number="1", server_url=server_url)


@pytest.mark.parametrize("capture", TYPED, ids=lambda capture: capture.name)
def test_the_url_is_the_one_that_worked_on_a_real_phone(capture: Capture) -> None:
    typed = capture.entry["credentials"]
    device = _device(Protocol.MEDIC, capture.server_url.replace(_userinfo(capture), ""))
    issued = IssuedCredentials(typed["username"], typed["password"], weak=False)
    setup = describe_setup(device, issued, "http://unused.example.test")
    assert setup.server_url == capture.server_url
    assert [(item.field, item.value) for item in setup.fields] == [
        ("Webapp URL", capture.server_url)
    ]


def test_there_is_something_to_compare_with() -> None:
    assert {"basic_special_get", "basic_percent_literal_get"} <= {item.name for item in TYPED}


def test_a_url_of_the_devices_own_goes_before_the_hubs() -> None:
    issued = IssuedCredentials(None, "secret", weak=False)
    own = describe_setup(_device(Protocol.ENVAYA, "http://old.example.test/x"), issued, "http://h")
    assert own.server_url == "http://old.example.test/x"
    assert describe_setup(_device(Protocol.ENVAYA), issued, "http://h").server_url == (
        "http://h/envaya"
    )


@pytest.mark.parametrize(
    ("length", "fits"), [(20, True), (2_000, True), (3_000, False)], ids=["short", "long", "longer"]
)
async def test_a_url_too_long_for_a_qr_code_has_none(length: int, fits: bool) -> None:
    device = _device(Protocol.ENVAYA, "http://h/" + "x" * length)
    told = await to_issued_response(device, IssuedCredentials(None, "s", weak=False), "http://h")
    assert (told.pairing_qr is not None) == fits
    assert told.pairing_qr is None or told.pairing_qr.startswith("<svg")
