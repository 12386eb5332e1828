"""JSON as Android reads it; the cases were run against ``org.json`` of Android 7."""

import pytest

from gateway_hub.simulator.android_json import JsonError, parse_object, to_string


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"a": "x"}', {"a": "x"}, id="object"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', {"a": 1}, id="byte-order-mark"),
        pytest.param(b'{"a": 1} garbage', {"a": 1}, id="trailing-garbage"),
        pytest.param(b'{"a": "l1\nl2"}', {"a": "l1\nl2"}, id="raw-line-end"),
        pytest.param(b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}, id="latin-1"),
    ],
)
def test_what_the_parser_takes(body: bytes, expected: object) -> None:
    assert parse_object(body) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>", b'"x"', b'{"ev', b"[" * 100_000])
def test_anything_but_an_object_is_refused(body: bytes) -> None:
    with pytest.raises(JsonError):
        parse_object(body)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", "x"),
        (None, "null"),
        (True, "true"),
        (42, "42"),
        (1.5, "1.5"),
        (12345678901234567000, "1.2345678901234567E19"),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_values_are_made_texts_as_get_string_does(value: object, expected: str) -> None:
    assert to_string(value) == expected
