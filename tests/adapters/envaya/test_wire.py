"""Forms of the real apps, and forms that are refused."""

import json
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import parse_qsl, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.adapters.envaya.wire import (
    MAX_FIELDS,
    MAX_LOG_BYTES,
    Action,
    FilePart,
    MmsPart,
    WireError,
    detect_version,
    find_field,
    parse_post,
    parse_urlencoded,
)
from tests.captures import Capture, load_captures

CAPTURES = load_captures("envaya")
FORMS = [c for c in CAPTURES if not c.entry["files"]]
MIB = 1024 * 1024

SMS = {
    "action": "incoming",
    "version": "30",
    "phone_number": "+255710000001",
    "from": "+255700000101",
    "message_type": "sms",
    "message": "hello",
    "timestamp": "1321038671000",
}
PARTS = [
    {"name": "part0", "cid": "<1>", "type": "text/plain", "filename": "t.txt"},
    {"name": "part1", "type": "image/jpeg"},
]
FILES = [FilePart("part0", "t.txt", "text/plain"), FilePart("part1", "x.jpg", "image/jpeg")]


def fields_of(capture: Capture) -> list[tuple[str, str]]:
    fields = capture.entry["fields"]
    return [(name, fields[name]) for name in capture.entry["field_order"]]


def files_of(capture: Capture) -> list[FilePart]:
    return [
        FilePart(file["name"], file["filename"], file["headers"]["content-type"])
        for file in capture.entry["files"]
    ]


def sms(**changes: str) -> list[tuple[str, str]]:
    return list({**SMS, **{name.rstrip("_"): value for name, value in changes.items()}}.items())


def mms(parts: object) -> list[tuple[str, str]]:
    text = parts if isinstance(parts, str) else json.dumps(parts)
    return sms(message_type="mms", mms_parts=text)


def refusal(pairs: Sequence[tuple[str, str]], files: Sequence[FilePart] = ()) -> WireError:
    with pytest.raises(WireError) as caught:
        parse_post(pairs, files)
    return caught.value


@pytest.mark.parametrize("capture", FORMS, ids=lambda c: c.name)
def test_a_recorded_form_has_the_recorded_fields(capture: Capture) -> None:
    assert parse_urlencoded(capture.body) == fields_of(capture)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda c: c.name)
def test_a_recorded_post_is_understood(capture: Capture) -> None:
    fields = capture.entry["fields"]

    post = parse_post(fields_of(capture), files_of(capture))

    assert post.action == fields["action"]
    assert post.version == int(fields["version"])
    assert post.phone_number == fields["phone_number"]
    assert post.message == fields.get("message", "")
    assert post.from_ == fields.get("from", "")
    assert post.to == fields.get("to", "")
    assert post.timestamp == (int(fields["timestamp"]) if "timestamp" in fields else None)
    assert post.battery == (int(fields["battery"]) if "battery" in fields else None)
    assert (post.id, post.status) == (fields.get("id", ""), fields.get("status", ""))
    assert len(post.mms_parts or ()) == len(capture.entry["files"])
    assert list(post.fields) == fields_of(capture)


@given(st.lists(st.tuples(st.text(), st.text()), max_size=MAX_FIELDS))
def test_what_a_phone_encodes_is_read_back(pairs: list[tuple[str, str]]) -> None:
    assert parse_urlencoded(urlencode(pairs).encode()) == pairs


@given(st.lists(st.sampled_from(["a", "=", "&", "+", "%41", "%C3%A9", "\\", "\\x41", "é", "\n"])))
def test_a_form_is_read_as_the_standard_library_does(pieces: list[str]) -> None:
    text = "".join(pieces)

    assert parse_urlencoded(text.encode()) == parse_qsl(text, keep_blank_values=True)


@given(st.binary(max_size=200))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with suppress(WireError):
        parse_urlencoded(body)


def test_a_form_that_is_not_utf8_is_read_as_latin_1_throughout() -> None:
    assert parse_urlencoded(b"a=h%E9llo&b=%C3%A9") == [("a", "h\xe9llo"), ("b", "\xc3\xa9")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(b"&".join([b"a=1"] * (MAX_FIELDS + 1)), 413, id="too many fields"),
        pytest.param(b"log=" + b"x" * (MAX_LOG_BYTES + 1), 413, id="log too long"),
        pytest.param(b"message=" + b"x" * (MIB + 1), 413, id="field too long"),
        pytest.param(b"x" * (MIB + 1) + b"=", 413, id="name too long"),
        pytest.param(b"message=" + b"%C3%A9" * (MIB // 2 + 1), 413, id="too long in bytes"),
        pytest.param(b"message=100%", 400, id="percent sign alone"),
        pytest.param(b"message=%zz", 400, id="no hexadecimal"),
    ],
)
def test_a_form_that_asks_too_much_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(WireError) as caught:
        parse_urlencoded(body)

    assert caught.value.http_status == status


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"&".join([b"a=1"] * MAX_FIELDS), id="fields"),
        pytest.param(b"log=" + b"x" * MAX_LOG_BYTES, id="log"),
        pytest.param(b"message=" + b"%C3%A9" * (MIB // 2), id="bytes"),
    ],
)
def test_a_form_at_its_limit_is_taken(body: bytes) -> None:
    assert parse_urlencoded(body)


def test_a_field_of_a_multipart_form_is_bounded_too() -> None:
    assert refusal(sms(network="x" * (MIB + 1))).http_status == 413
    assert refusal([*sms(), *((f"x{n}", "") for n in range(MAX_FIELDS))]).http_status == 413


@pytest.mark.parametrize(
    ("name", "sent", "read"),
    [
        pytest.param("battery", "87", 87, id="number"),
        pytest.param("battery", "", None, id="empty"),
        pytest.param("battery", "-1", None, id="negative"),
        pytest.param("power", "AC", None, id="word"),
        pytest.param("power", "٤", None, id="digit of another script"),
        pytest.param("send_limit", "1e3", None, id="exponent"),
        pytest.param("settings_version", " 5", None, id="space"),
        pytest.param("age", "1_000", None, id="underscore"),
        pytest.param("now", "9223372036854775807", 2**63 - 1, id="64 bits"),
        pytest.param("now", "9223372036854775808", None, id="more than 64 bits"),
        pytest.param("now", "9" * 5000, None, id="more than Python converts"),
        pytest.param("version", "3.0", None, id="version name"),
    ],
)
def test_a_fact_that_makes_no_sense_is_not_taken(name: str, sent: str, read: int | None) -> None:
    assert getattr(parse_post(sms(**{name: sent}), ()), name) == read


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"action": ""}, id="no action"),
        pytest.param({"action": "reboot"}, id="unknown action"),
        pytest.param({"action": "INCOMING"}, id="action in capitals"),
        pytest.param({"action": "forward_sent"}, id="forward_sent without to"),
        pytest.param({"from_": "+1\r\nx"}, id="line end in from"),
        pytest.param({"from_": "+1,message=x"}, id="comma in from"),
        pytest.param({"to": "+1,to=+2"}, id="comma in to"),
        pytest.param({"from_": "1" * 256}, id="long from"),
        pytest.param({"to": "1" * 256}, id="long to"),
        pytest.param({"message": "x" * 100_001}, id="long message"),
        pytest.param({"message_type": "fax"}, id="unknown type"),
        pytest.param({"message_type": "mms"}, id="MMS without a list"),
        pytest.param({"timestamp": "yesterday"}, id="timestamp in words"),
        pytest.param({"timestamp": "-1"}, id="timestamp before 1970"),
        pytest.param({"timestamp": "253402300800000"}, id="timestamp after 9999"),
    ],
)
def test_a_post_that_makes_no_sense_is_refused(changes: dict[str, str]) -> None:
    error = refusal(sms(**changes))

    assert error.http_status == 400
    assert error.detail.endswith(".")


@pytest.mark.parametrize("name", ["from", "message", "action"])
def test_a_message_needs_its_fields(name: str) -> None:
    assert refusal([pair for pair in sms() if pair[0] != name]).http_status == 400


@pytest.mark.parametrize("name", ["message", "phone_number", "invented"])
def test_a_field_given_twice_is_refused(name: str) -> None:
    assert refusal([*sms(invented="1"), (name, "2")]).http_status == 400


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"from_": ""}, id="hidden caller"),
        pytest.param({"from_": "1" * 255}, id="longest from"),
        pytest.param({"message": ""}, id="empty message"),
        pytest.param({"message": "x" * 100_000}, id="longest message"),
        pytest.param({"timestamp": ""}, id="no timestamp"),
        pytest.param({"timestamp": "253402300799999"}, id="last moment of 9999"),
        pytest.param({"message_type": ""}, id="no type"),
        pytest.param({"sim_slot": "2"}, id="unknown field"),
        pytest.param({"mms_parts": "nonsense"}, id="parts of an SMS"),
    ],
)
def test_a_post_at_the_edge_of_sense_is_taken(changes: dict[str, str]) -> None:
    assert parse_post(sms(**changes), ()).message_type == "sms"


def test_a_message_of_the_first_app_is_an_sms() -> None:
    pairs = [pair for pair in sms() if pair[0] != "message_type"]

    assert parse_post(pairs, ()).message_type == "sms"


def test_a_poll_is_not_asked_for_the_fields_of_a_message() -> None:
    post = parse_post(sms(action="outgoing", message_type="fax", timestamp="now"), ())

    assert (post.message_type, post.timestamp) == ("", None)


def test_a_refusal_never_repeats_the_input() -> None:
    secret = "s3cr3t"
    posts = [
        sms(action=secret),
        sms(message_type=secret),
        sms(timestamp=secret),
        sms(from_=f"{secret},"),
        mms(secret),
        [*sms(), (secret, ""), (secret, "")],
    ]

    assert all(secret not in refusal(pairs).detail for pairs in posts)


def test_mms_parts_are_read() -> None:
    assert parse_post(mms(PARTS), FILES).mms_parts == (
        MmsPart("part0", "<1>", "text/plain", "t.txt"),
        MmsPart("part1", None, "image/jpeg", None),
    )


def test_an_mms_of_which_no_part_could_be_read_is_taken() -> None:
    assert parse_post(mms("[]"), ()).mms_parts == ()


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param("", id="empty"),
        pytest.param("nonsense", id="no JSON"),
        pytest.param("{}", id="object"),
        pytest.param('["part0"]', id="text"),
        pytest.param("[null]", id="null"),
        pytest.param("[" * 100_000, id="depth bomb"),
        pytest.param('[{"name":"part0","type":"\\ud800"}]', id="half a surrogate pair"),
        pytest.param("\ud800", id="raw half of a surrogate pair"),
        pytest.param("[" + "9" * 5000 + "]", id="huge number"),
        pytest.param([{"type": "text/plain"}], id="no name"),
        pytest.param([{"name": "part0"}], id="no type"),
        pytest.param([{"name": 0, "type": "text/plain"}], id="number as name"),
        pytest.param([{**PARTS[0], "cid": 5}], id="number as cid"),
        pytest.param([{**PARTS[0], "filename": []}], id="list as filename"),
    ],
)
def test_mms_parts_that_make_no_sense_are_refused(parts: object) -> None:
    assert refusal(mms(parts), FILES).http_status == 400


def test_an_mms_of_too_many_parts_is_refused() -> None:
    parts = [{"name": f"part{n}", "type": "text/plain"} for n in range(33)]

    assert refusal(mms(parts), [FilePart(str(p["name"]), None, None) for p in parts])


@pytest.mark.parametrize(
    ("parts", "files"),
    [
        pytest.param(PARTS, FILES[:1], id="missing file"),
        pytest.param(PARTS[:1], FILES, id="file too many"),
        pytest.param(PARTS, [FILES[0], FILES[0]], id="file given twice"),
        pytest.param([PARTS[0], PARTS[0]], FILES, id="part given twice"),
        pytest.param([PARTS[0], PARTS[0]], [FILES[0], FILES[0]], id="both given twice"),
        pytest.param(PARTS, [FILES[0], FilePart("part2", None, None)], id="another name"),
    ],
)
def test_files_other_than_those_listed_are_refused(
    parts: list[dict[str, str]], files: list[FilePart]
) -> None:
    assert refusal(mms(parts), files).http_status == 400


@pytest.mark.parametrize("action", ["incoming", "outgoing", "test"])
def test_files_beside_a_post_that_lists_none_are_refused(action: str) -> None:
    assert refusal(sms(action=action), FILES).http_status == 400


def test_an_mms_sent_by_hand_has_parts_too() -> None:
    post = parse_post([*mms(PARTS)[1:], ("action", "forward_sent"), ("to", "+1")], FILES)

    assert post.action is Action.FORWARD_SENT
    assert post.mms_parts is not None


@pytest.mark.parametrize("name", ["consumer_tag", "status"])
def test_the_consumer_tag_is_found_under_both_names(name: str) -> None:
    pairs = [("action", "amqp_started"), ("version", "29"), (name, "ctag-1")]

    assert parse_post(pairs, ()).consumer_tag == "ctag-1"


@pytest.mark.parametrize(
    ("pairs", "version"),
    [
        pytest.param([("version", "30")], 30, id="told"),
        pytest.param([("version", "30"), ("version", "2")], 30, id="twice"),
        pytest.param([("version", "x")], None, id="no number"),
        pytest.param([], None, id="not told"),
    ],
)
def test_the_version_is_found_in_any_form(
    pairs: list[tuple[str, str]], version: int | None
) -> None:
    assert detect_version(pairs) == version


def test_a_field_is_found_by_its_name() -> None:
    pairs = [("a", "1"), ("b", "2"), ("a", "3")]

    assert find_field(pairs, "a") == "1"
    assert find_field(pairs, "c") is None


@given(st.lists(st.tuples(st.sampled_from([*SMS, "mms_parts", "x"]), st.text()), max_size=12))
def test_any_fields_make_a_post_or_are_refused(pairs: list[tuple[str, str]]) -> None:
    with suppress(WireError):
        parse_post(pairs, ())


def test_a_post_is_the_same_whether_spaces_come_as_plus_or_percent() -> None:
    # The Request Simulator page writes %20 where the app writes +.
    assert quote_plus("a b") == "a+b"
    assert parse_urlencoded(b"message=a+b") == parse_urlencoded(b"message=a%20b")
