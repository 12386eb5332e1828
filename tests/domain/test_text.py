"""Characters that cannot be stored or carried, judged by real encoders and a real XML parser."""

import json
from xml.parsers import expat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway_hub.domain.text import clean_inbound_text, find_unsendable, replace_non_xml

# Surrogates included, which st.text() leaves out.
any_texts = st.text(st.characters(codec=None, exclude_categories=()), max_size=100)

CONTROLS = [chr(point) for point in range(0x20) if chr(point) not in "\t\n\r"]


def is_xml(text: str) -> bool:
    """Ask expat whether *text* may stand in a document."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    try:
        expat.ParserCreate("UTF-8").Parse(f"<sms>{escaped}</sms>".encode(), True)
    except (expat.ExpatError, UnicodeEncodeError):
        return False
    return True


@pytest.mark.parametrize(
    ("text", "cleaned", "original"),
    [
        pytest.param("", "", None, id="empty"),
        pytest.param("Habari 😀\t\r\n\x01", "Habari 😀\t\r\n\x01", None, id="storable"),
        pytest.param("\ufffd", "\ufffd", None, id="a replacement character of the sender's own"),
        pytest.param("a\x00b", "a\ufffdb", b"a\x00b", id="NUL"),
        pytest.param("a\ud83d", "a\ufffd", b"a\xed\xa0\xbd", id="first half of an emoji"),
        pytest.param("\ude00b", "\ufffdb", b"\xed\xb8\x80b", id="second half of an emoji"),
        pytest.param("é\x00\ud83d", "é\ufffd\ufffd", b"\xc3\xa9\x00\xed\xa0\xbd", id="both"),
    ],
)
def test_inbound_text_is_cleaned_and_its_original_kept(
    text: str, cleaned: str, original: bytes | None
) -> None:
    assert clean_inbound_text(text) == (cleaned, original)


@given(any_texts)
@example("\x00\ud800\udfff")
def test_cleaned_text_can_be_stored_and_nothing_is_lost(text: str) -> None:
    cleaned, original = clean_inbound_text(text)
    assert json.loads(json.dumps(cleaned, ensure_ascii=False).encode()) == cleaned
    assert "\x00" not in cleaned
    assert len(cleaned) == len(text)
    kept = cleaned if original is None else original.decode("utf-8", "surrogatepass")
    assert kept == text


@pytest.mark.parametrize(
    ("text", "unsendable"),
    [
        pytest.param("", (), id="empty"),
        pytest.param("Jambo, 5 < 6 & ]]> 😀 é\t\r\n", (), id="all that a person types"),
        pytest.param("\x7f\x80\x9f\ufffd\U0001fffe", (), id="odd but legal in XML 1.0"),
        pytest.param("".join(CONTROLS), tuple(CONTROLS), id="every control character"),
        pytest.param("a\ud83d \ude00", ("\ud83d", "\ude00"), id="halves of an emoji"),
        pytest.param("\uffff\ufffe", ("\uffff", "\ufffe"), id="noncharacters"),
        pytest.param("\x02\x01\x02\x01", ("\x02", "\x01"), id="each once, in order of appearance"),
    ],
)
def test_unsendable_characters_are_found(text: str, unsendable: tuple[str, ...]) -> None:
    assert find_unsendable(text) == unsendable


@given(any_texts)
@example("\x00")
@example("\uffff")
def test_a_text_is_sendable_exactly_if_an_xml_parser_takes_it(text: str) -> None:
    assert (find_unsendable(text) == ()) == is_xml(text)


@given(any_texts)
def test_what_xml_cannot_hold_is_replaced_one_for_one(text: str) -> None:
    replaced = replace_non_xml(text)
    assert is_xml(replaced)
    bad = set(find_unsendable(text))
    assert list(replaced) == ["\ufffd" if character in bad else character for character in text]
