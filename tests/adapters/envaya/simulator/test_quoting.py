"""Texts in a form, as ``java.net.URLEncoder`` writes them."""

import pytest

from gateway_hub.adapters.envaya.simulator.quoting import quote_as_java


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("a b", "a+b"),
        ("a.b-c*d_e", "a.b-c*d_e"),
        ("~/+&=", "%7E%2F%2B%26%3D"),
        ("\u00e9\n", "%C3%A9%0A"),
        ("\U0001f600", "%F0%9F%98%80"),
        ("x\ud83dy", "x%3Fy"),
    ],
)
def test_only_these_characters_stay_as_they_are(text: str, quoted: str) -> None:
    assert quote_as_java(text) == quoted
