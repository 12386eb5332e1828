"""Replies in the answers of webhook endpoints."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.domain.webhooks.outcomes import Answer
from gateway_hub.domain.webhooks.replies import LONGEST_REPLY, Reply, find_reply

NONE = [
    b"",
    b"ok",
    b"null",
    b"[]",
    b"{}",
    b'"reply"',
    b'{"reply": null}',
    b'{"status": "ok"}',
    b"<html></html>",
    b"\xff\xfe",
    b"{",
    b'{"reply": {"text": "x"}',
    b"[" * 60_000,
    b'{"reply":' * 7_000,
    b"1" * 60_000,
    '{"reply": {"text": "x"}}'.encode("utf-16"),
]


@pytest.mark.parametrize("body", NONE, ids=[repr(body[:24]) for body in NONE])
def test_an_ordinary_answer_is_no_reply_and_no_problem(body: bytes) -> None:
    assert find_reply(Answer(body)) == Reply()


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"reply": {"text": "Asante"}}', "Asante"),
        (b'\xef\xbb\xbf{"reply": {"text": "Asante"}}', "Asante"),
        ('{"reply": {"text": "Ça va 😀"}}'.encode(), "Ça va 😀"),
        (b'{"reply": {"text": "\\ud83d\\ude00", "later": 1}, "other": []}', "😀"),
        (b'{"reply": {"text": "a\\nb"}}', "a\nb"),
        (json.dumps({"reply": {"text": "x" * LONGEST_REPLY}}).encode(), "x" * LONGEST_REPLY),
    ],
    ids=["plain", "byte-order-mark", "utf-8", "escapes", "two lines", "longest"],
)
def test_a_reply_is_found(body: bytes, text: str) -> None:
    assert find_reply(Answer(body)) == Reply(text=text)


WRONG = [
    (b'{"reply": "Asante"}', "an object"),
    (b'{"reply": ["Asante"]}', "an object"),
    (b'{"reply": true}', "an object"),
    (b'{"reply": {}}', "an object"),
    (b'{"reply": {"text": null}}', "an object"),
    (b'{"reply": {"text": 5}}', "an object"),
    (b'{"reply": {"text": ""}}', "empty"),
    (b'{"reply": {"text": "\\ud83d"}}', "no phone can send"),
    (b'{"reply": {"text": "a\\u0000"}}', "no phone can send"),
    (json.dumps({"reply": {"text": "x" * 16_001}}).encode(), "longer than 16000"),
]


@pytest.mark.parametrize(("body", "problem"), WRONG, ids=[repr(body[:32]) for body, _ in WRONG])
def test_what_is_meant_as_a_reply_and_is_none_is_explained(body: bytes, problem: str) -> None:
    reply = find_reply(Answer(body))
    assert reply.text is None
    assert reply.problem is not None
    assert problem in reply.problem


def test_an_answer_that_was_not_read_to_its_end_or_is_compressed_is_explained() -> None:
    cut = find_reply(Answer(b'{"reply": {"text": "x', is_whole=False))
    assert cut.problem == "the answer is longer than 64 KiB"
    assert find_reply(Answer(b"<html>", is_whole=False)) == Reply()
    packed = find_reply(Answer(b"\x1f\x8b", content_encoding="gzip"))
    assert packed.problem == "the answer is compressed, and is not unpacked"


@given(
    st.binary(max_size=200)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
)
def test_no_body_raises(body: bytes) -> None:
    assert find_reply(Answer(body)).text is None
