"""Bodies of the CHT gateway: what is read, what is refused with which status, what is written."""

import contextlib
import gzip
import io
import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.adapters.medic.wire import (
    MAX_BODY_BYTES,
    WireError,
    WirePost,
    decompress_body,
    parse_post,
    render_answer,
    render_error,
    render_probe,
)
from gateway_hub.domain.phone_posts import Offer
from tests.captures import Capture, load_captures

POSTS = [c for c in load_captures("medic") if c.method == "POST"]
TEXT = st.text(st.characters(codec="utf-8"))
LONE = b'"\\ud83d"'  # half an emoji, as JSON


def status_of(body: bytes) -> int:
    try:
        parse_post(body)
    except WireError as error:
        return error.http_status
    return 200


@pytest.mark.parametrize("capture", POSTS, ids=lambda c: c.name)
def test_a_recorded_post_is_read_as_its_sender_meant_it(capture: Capture) -> None:
    post = parse_post(capture.body)
    assert post.messages == capture.entry["json"]["messages"]
    assert post.updates == capture.entry["json"]["updates"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="absent"),
        pytest.param(b'{"messages":null,"updates":null}', id="null"),
        pytest.param(b'{"messages":[],"updates":[]}', id="empty"),
        pytest.param(b'{"updates":null,"version":7,"x":[1]}', id="other fields"),
        pytest.param(b' \r\n{ "messages" : [ ] }\n', id="white space"),
        pytest.param(b'\xef\xbb\xbf{"messages":[]}', id="byte order mark"),
    ],
)
def test_absent_null_and_empty_lists_are_equal(body: bytes) -> None:
    assert parse_post(body) == WirePost(messages=[], updates=[])


def test_items_are_handed_on_unchecked() -> None:
    post = parse_post(b'{"messages":[1,null,{"id":"a"}],"updates":["x",[]]}')
    assert post == WirePost(messages=[1, None, {"id": "a"}], updates=["x", []])


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xef\xbb\xbf", id="byte order mark alone"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"messages"', id="a string"),
        pytest.param(b"<html>", id="a page"),
        pytest.param(b'{"messages":[', id="cut short"),
        pytest.param(b'{"messages":[]}{}', id="two documents"),
        pytest.param(b'{"messages":{}}', id="messages an object"),
        pytest.param(b'{"messages":""}', id="messages a string"),
        pytest.param(b'{"updates":0}', id="updates a number"),
        pytest.param(b'{"updates":false}', id="updates false"),
        pytest.param(b'{"messages":["\xff"]}', id="not UTF-8"),
        pytest.param(b'{"messages":["\xed\xa0\xbd"]}', id="surrogate in UTF-8"),
        pytest.param('{"messages":[]}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"messages":[NaN]}', id="NaN"),
        pytest.param(b'{"messages":[1e999]}', id="number beyond a double"),
        pytest.param(b'{"messages":' + b"[" * 100_000, id="nested too deeply"),
    ],
)
def test_a_body_that_is_no_post_is_refused(body: bytes) -> None:
    assert status_of(body) == 400


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"Infinity", id="Infinity"),
        pytest.param(b"-1e999", id="number beyond a double"),
        pytest.param(b"9" * 5000, id="5000 digits"),
        pytest.param(b"[" * 5000 + b"]" * 5000, id="5000 levels"),
        pytest.param(b'"\xff"', id="not UTF-8"),
        pytest.param(b"]", id="one bracket too many"),
    ],
)
def test_half_an_emoji_opens_no_door_for_what_json_forbids(value: bytes) -> None:
    assert status_of(b'{"messages":[' + LONE + b"," + value + b"]}") == 400


@pytest.mark.parametrize(
    ("escape", "half"),
    [(b"\\ud83d", "\ud83d"), (b"\\uD83D", "\ud83d"), (b"\\uDE00", "\ude00")],
    ids=["high", "high in capitals", "low"],
)
def test_half_an_emoji_does_not_cost_the_batch(escape: bytes, half: str) -> None:
    post = parse_post(b'{"messages":[{"content":"ok ' + escape + b' ."},{"content":"next"}]}')
    assert post.messages == [{"content": f"ok {half} ."}, {"content": "next"}]


@pytest.mark.parametrize("name", ["messages", "updates"])
def test_a_list_beyond_the_cap_is_too_large(name: str) -> None:
    full = json.dumps({name: [0] * 1000}).encode()
    assert len(getattr(parse_post(full), name)) == 1000
    assert status_of(json.dumps({name: [0] * 1001}).encode()) == 413


@given(st.binary() | st.text().map(lambda t: json.dumps({"messages": [t]}).encode()))
def test_any_bytes_are_a_post_or_a_refusal(body: bytes) -> None:
    assert status_of(body) in {200, 400, 413}


@pytest.mark.parametrize("encoding", [None, "", "identity", "Identity "])
def test_an_uncompressed_body_stays_as_it_is(encoding: str | None) -> None:
    assert decompress_body(b"\x1f\x8b{}", encoding) == b"\x1f\x8b{}"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", " x-gzip"])
@given(body=st.binary(), level=st.integers(0, 9))
def test_a_gzip_body_is_inflated(encoding: str, body: bytes, level: int) -> None:
    assert decompress_body(gzip.compress(body, level), encoding) == body


def test_gzip_members_are_joined() -> None:
    body = gzip.compress(b'{"messages"') + gzip.compress(b"") + gzip.compress(b":[]}")
    assert decompress_body(body, "gzip") == b'{"messages":[]}'


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip,identity", "*"])
def test_another_encoding_is_unsupported(encoding: str) -> None:
    with pytest.raises(WireError) as caught:
        decompress_body(gzip.compress(b"{}"), encoding)
    assert caught.value.http_status == 415


GOOD = gzip.compress(b'{"messages":[]}', mtime=0)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"messages":[]}', id="not compressed"),
        pytest.param(zlib.compress(b"{}"), id="zlib, not gzip"),
        pytest.param(GOOD[:-8] + b"\0" * 4 + GOOD[-4:], id="wrong CRC"),
        pytest.param(GOOD[:-4] + b"\xff\0\0\0", id="wrong length"),
        pytest.param(GOOD + b"x", id="trailing garbage"),
        pytest.param(GOOD + b"\0", id="trailing zero"),
        pytest.param(GOOD + GOOD[:-1], id="second member cut short"),
        pytest.param(gzip.compress(b"") * 20_000, id="thousands of members"),
    ],
)
def test_a_damaged_gzip_body_is_refused(body: bytes) -> None:
    with pytest.raises(WireError) as caught:
        decompress_body(body, "gzip")
    assert caught.value.http_status == 400


@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_a_gzip_body_cut_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(WireError) as caught:
        decompress_body(GOOD[:cut], "gzip")
    assert caught.value.http_status == 400


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_the_limit_itself_is_allowed_and_one_byte_more_is_not(encoding: str | None) -> None:
    def encode(body: bytes) -> bytes:
        return gzip.compress(body) if encoding else body

    assert len(decompress_body(encode(bytes(MAX_BODY_BYTES)), encoding)) == 1_048_576
    with pytest.raises(WireError) as caught:
        decompress_body(encode(bytes(MAX_BODY_BYTES + 1)), encoding)
    assert caught.value.http_status == 413


def test_members_share_one_limit() -> None:
    with pytest.raises(WireError) as caught:
        decompress_body(gzip.compress(bytes(60)) * 2, "gzip", limit=100)
    assert caught.value.http_status == 413


def test_a_gzip_bomb_is_stopped_early() -> None:
    bomb = make_bomb(megabytes=64)
    tracemalloc.start()
    try:
        with pytest.raises(WireError) as caught:
            decompress_body(bomb, "gzip")
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.http_status == 413
    assert peak_bytes < 4 * 1024 * 1024


def make_bomb(megabytes: int) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9) as file:
        for _ in range(megabytes):
            file.write(bytes(1024 * 1024))
    return packed.getvalue()


@given(st.binary())
def test_any_bytes_inflate_or_are_refused(body: bytes) -> None:
    with contextlib.suppress(WireError):
        assert len(decompress_body(b"\x1f\x8b\x08" + body, "gzip", limit=1000)) <= 1000


def test_errors_repeat_nothing_of_the_input() -> None:
    for body in (b"s3cret", b'{"messages":"s3cret"}', b'["s3cret"]', b'"s3cret' + LONE):
        with pytest.raises(WireError) as caught:
            parse_post(body)
        assert "s3cret" not in caught.value.detail
    with pytest.raises(WireError) as caught:
        decompress_body(b"{}", "s3cret")
    assert "s3cret" not in caught.value.detail


def test_an_answer_without_work_is_an_object_with_an_empty_list() -> None:
    """The app takes nothing but a JSON object for success."""
    assert render_answer([]) == b'{"messages":[]}'


def test_an_answer_names_each_offer_by_its_wire_id() -> None:
    offers = [
        Offer(wire_id="w-1", to="+255700000101", text="Habari 😀", priority=5),
        Offer(wire_id="2", to="15022", text="", priority=0),
    ]
    assert render_answer(offers).decode() == (
        '{"messages":[{"id":"w-1","to":"+255700000101","content":"Habari 😀"},'
        '{"id":"2","to":"15022","content":""}]}'
    )


@given(st.lists(st.builds(Offer, wire_id=TEXT, to=TEXT, text=TEXT, priority=st.integers(0, 9))))
def test_another_json_reader_sees_the_same_offers(offers: list[Offer]) -> None:
    seen = json.loads(render_answer(offers))["messages"]
    assert [(m["id"], m["to"], m["content"]) for m in seen] == [
        (offer.wire_id, offer.to, offer.text) for offer in offers
    ]


def test_the_probe_says_that_this_is_a_gateway() -> None:
    assert json.loads(render_probe()) == {"medic-gateway": True}


def test_an_error_carries_its_message() -> None:
    assert json.loads(render_error('no "device"')) == {"error": True, "message": 'no "device"'}
