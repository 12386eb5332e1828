import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.ops.escaping import escape_controls

CASES = [
    pytest.param("plain ünïcödé 中文", "plain ünïcödé 中文", id="text-stays"),
    pytest.param("👩\u200d💻", "👩\u200d💻", id="joined-emoji-stays"),
    pytest.param("a\nb\r\tc", "a\\nb\\r\\tc", id="line-ends"),
    pytest.param("\x1b[2J\x07\x7f", "\\x1b[2J\\x07\\x7f", id="terminal-commands"),
    pytest.param("\x85\x9b1m", "\\x85\\x9b1m", id="c1-controls"),
    pytest.param("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066", id="bidi"),
    pytest.param("a\u2028b\u2029", "a\\u2028b\\u2029", id="line-separators"),
    pytest.param("\ud83d", "\\ud83d", id="half-a-surrogate-pair"),
]


@pytest.mark.parametrize(("text", "shown"), CASES)
def test_what_cannot_be_shown_is_escaped(text: str, shown: str) -> None:
    assert escape_controls(text) == shown


@given(st.text(st.characters(codec=None)))
def test_the_result_is_one_line_that_every_terminal_takes(text: str) -> None:
    shown = escape_controls(text)
    assert len(shown.splitlines()) <= 1
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert not any(ord(character) < 0x20 for character in shown)
