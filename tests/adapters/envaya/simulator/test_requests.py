"""The simulated EnvayaSMS's requests against those recorded from the real one."""

import random

import pytest

from gateway_hub.adapters.envaya.signature import compute_signature
from gateway_hub.adapters.envaya.simulator import EnvayaPhone
from gateway_hub.adapters.envaya.simulator.settings import EnvayaOptions
from gateway_hub.adapters.envaya.wire import parse_urlencoded
from gateway_hub.simulator.phone import (
    HttpRequest,
    MmsAttachment,
)
from gateway_hub.simulator.radio import Radio
from tests.adapters.envaya.simulator.simulating import (
    PASSWORD,
    URL,
    Script,
    make_phone,
    read_multipart,
)
from tests.captures import Capture, get_capture, load_captures
from tests.simulator.driving import START, Driver

_SIMULATED = {"17", "18", "30"}
_OF_THE_MOMENT = {"now", "timestamp", "log", "age"}


def _is_simulated(capture: Capture) -> bool:
    """Say whether a phone of ours can do what was recorded, in a urlencoded form.

    A text that is null, and Debian's HTTP client, are beyond it.
    """
    entry = capture.entry
    is_form = not entry["files"] and entry["http_stack"].startswith("AOSP")
    is_known = entry["client"].startswith("EnvayaSMS") and capture.name not in _BEYOND_US
    return is_form and is_known and entry["fields"].get("version") in _SIMULATED


_BEYOND_US = {"forward_sent_null_body", "amqp_started"}
RECORDED = [capture for capture in load_captures("envaya") if _is_simulated(capture)]


def _phone_of(capture: Capture) -> EnvayaPhone:
    fields = capture.entry["fields"]
    agent = capture.find_header("user-agent") or ""
    rng = random.Random(1)
    options = EnvayaOptions(
        fields["phone_number"],
        capture.entry["password"],
        int(fields["version"]),
        poll_seconds=60 if fields["action"] == "outgoing" else 0,
        model=agent.partition("SDK 10; ")[2].removesuffix(")"),
        battery=int(fields["battery"]) if "battery" in fields else None,
        power=int(fields["power"]) if "power" in fields else None,
        network=fields.get("network"),
        phone_id=fields.get("phone_id", ""),
        phone_token=fields.get("phone_token", ""),
    )
    phone = EnvayaPhone(
        "envaya", capture.server_url, rng=rng, radio=Radio(rng), now=START, options=options
    )
    phone.settings["settings_version"] = int(fields.get("settings_version", 0))
    return phone


def _repeat(phone: EnvayaPhone, fields: dict[str, str]) -> HttpRequest:
    """Have *phone* do what *fields* tell of; a poll it does by itself."""
    match fields["action"]:
        case "incoming" if fields["message_type"] == "call":
            phone.receive_call(fields["from"], START)
        case "incoming":
            phone.receive_sms(fields["from"], fields["message"], START)
        case "forward_sent":
            phone.type_sms(fields["to"], fields["message"], START)
        case "send_status":
            phone.report_status(fields["id"], fields["status"], fields["error"], START)
        case "device_status":
            phone.report_device(fields["status"], START)
        case "test":
            phone.test_connection(START)
    return phone.run(START)[0]


@pytest.mark.parametrize("capture", RECORDED, ids=lambda capture: capture.name)
def test_every_recorded_form_is_told_alike(capture: Capture) -> None:
    """Fields, their order, address and agent; times and log are those of the moment."""
    recorded: dict[str, str] = capture.entry["fields"]
    request = _repeat(_phone_of(capture), recorded)
    fields = parse_urlencoded(request.body)
    told = dict(fields)
    expected = {k: told[k] if k in _OF_THE_MOMENT else v for k, v in recorded.items()}
    assert fields == list(expected.items())
    origin, _, target = request.url.partition("//")[2].partition("/")
    assert (origin.partition("@")[2] or origin, f"/{target}") == (
        capture.find_header("host"),
        capture.target,
    )
    headers = dict(request.headers)
    assert headers["User-Agent"] == capture.find_header("user-agent")
    assert headers["Content-Type"] == capture.find_header("content-type")
    signature = compute_signature(capture.server_url, fields, capture.entry["password"])
    assert headers["X-Request-Signature"] == signature


def test_an_sms_is_encoded_byte_for_byte_as_recorded() -> None:
    recorded = get_capture("envaya", "sms_emoji")
    phone = make_phone()
    phone.receive_sms("+255700000102", recorded.entry["fields"]["message"], START)
    (request,) = Driver(phone, Script()).advance(seconds=0)
    assert request.body.partition(b"&timestamp")[0] == recorded.body.partition(b"&timestamp")[0]


def test_an_mms_is_a_multipart_form_with_its_files() -> None:
    recorded = get_capture("envaya", "mms_3parts").entry
    phone = make_phone()
    phone.receive_mms(
        recorded["fields"]["from"],
        [
            MmsAttachment("application/smil", b"<smil/>", "smil.xml", "<smil>"),
            MmsAttachment(
                "text/plain", recorded["fields"]["message"].encode(), "text_0.txt", "<1>"
            ),
            MmsAttachment("image/jpeg", b"\xff\xd8\r\n--\r\n\x00", "Image001.jpg", "<2>"),
        ],
        START,
    )
    (request,) = Driver(phone, Script()).advance(seconds=0)
    fields, files = read_multipart(request)
    told = dict(fields)
    expected = {k: told[k] if k in _OF_THE_MOMENT else v for k, v in recorded["fields"].items()}
    assert fields == list(expected.items())
    assert files == [
        ("part0", "smil.xml", "application/smil; charset=UTF-8", b"<smil/>"),
        (
            "part1",
            "text_0.txt",
            "text/plain; charset=UTF-8",
            recorded["fields"]["message"].encode(),
        ),
        ("part2", "Image001.jpg", "image/jpeg", b"\xff\xd8\r\n--\r\n\x00"),
    ]
    signature = compute_signature(URL, fields, PASSWORD)
    assert dict(request.headers)["X-Request-Signature"] == signature
