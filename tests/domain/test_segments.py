"""Segments against 3GPP TS 23.038's own tables and a slow counter that builds every segment."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway_hub.domain.segments import (
    MAX_OUTBOUND_SEGMENTS,
    Encoding,
    segment,
    transliterate,
)

# 3GPP TS 23.038 §6.2.1, codes 00 to 7F without 1B, which is the escape to the extension table.
BASIC_CODE_POINTS = [
    *(0x0040, 0x00A3, 0x0024, 0x00A5, 0x00E8, 0x00E9, 0x00F9, 0x00EC),
    *(0x00F2, 0x00C7, 0x000A, 0x00D8, 0x00F8, 0x000D, 0x00C5, 0x00E5),
    *(0x0394, 0x005F, 0x03A6, 0x0393, 0x039B, 0x03A9, 0x03A0, 0x03A8),
    *(0x03A3, 0x0398, 0x039E, 0x00C6, 0x00E6, 0x00DF, 0x00C9),
    *(0x0020, 0x0021, 0x0022, 0x0023, 0x00A4, 0x0025, 0x0026, 0x0027),
    *(0x0028, 0x0029, 0x002A, 0x002B, 0x002C, 0x002D, 0x002E, 0x002F),
    *(0x0030, 0x0031, 0x0032, 0x0033, 0x0034, 0x0035, 0x0036, 0x0037),
    *(0x0038, 0x0039, 0x003A, 0x003B, 0x003C, 0x003D, 0x003E, 0x003F),
    *(0x00A1, 0x0041, 0x0042, 0x0043, 0x0044, 0x0045, 0x0046, 0x0047),
    *(0x0048, 0x0049, 0x004A, 0x004B, 0x004C, 0x004D, 0x004E, 0x004F),
    *(0x0050, 0x0051, 0x0052, 0x0053, 0x0054, 0x0055, 0x0056, 0x0057),
    *(0x0058, 0x0059, 0x005A, 0x00C4, 0x00D6, 0x00D1, 0x00DC, 0x00A7),
    *(0x00BF, 0x0061, 0x0062, 0x0063, 0x0064, 0x0065, 0x0066, 0x0067),
    *(0x0068, 0x0069, 0x006A, 0x006B, 0x006C, 0x006D, 0x006E, 0x006F),
    *(0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x0075, 0x0076, 0x0077),
    *(0x0078, 0x0079, 0x007A, 0x00E4, 0x00F6, 0x00F1, 0x00FC, 0x00E0),
]
# §6.2.1.1: form feed, ^, {, }, backslash, [, ~, ], |, euro sign.
EXTENSION_CODE_POINTS = [
    *(0x000C, 0x005E, 0x007B, 0x007D, 0x005C, 0x005B, 0x007E, 0x005D, 0x007C, 0x20AC),
]
SEPTETS = dict.fromkeys(map(chr, BASIC_CODE_POINTS), 1) | dict.fromkeys(
    map(chr, EXTENSION_CODE_POINTS), 2
)

EMOJI = "\N{GRINNING FACE}"

gsm_texts = st.text(st.sampled_from(sorted(SEPTETS)), max_size=500)
# Weighted towards what matters: borders are met by long runs, rarely by arbitrary text.
border_texts = st.lists(
    st.tuples(st.sampled_from(["a", "€", "ж", EMOJI]), st.integers(0, 160)), max_size=8
).map(lambda runs: "".join(character * count for character, count in runs))
any_texts = st.one_of(gsm_texts, border_texts, st.text(max_size=300))


def build_segments(text: str) -> list[str]:
    """Fill one segment after the other, character by character."""
    if all(character in SEPTETS for character in text):
        costs, alone, part = [SEPTETS[character] for character in text], 160, 153
    else:
        costs, alone, part = [1 if ord(character) < 0x10000 else 2 for character in text], 70, 67
    if sum(costs) <= alone:
        return [text]
    segments, room = [""], part
    for character, cost in zip(text, costs, strict=True):
        if cost > room:
            segments.append("")
            room = part
        segments[-1] += character
        room -= cost
    return segments


def test_the_tables_of_this_test_are_whole() -> None:
    assert len(set(BASIC_CODE_POINTS)) == len(BASIC_CODE_POINTS) == 127
    assert len(set(EXTENSION_CODE_POINTS)) == len(EXTENSION_CODE_POINTS) == 10


def test_the_whole_basic_set_is_gsm_7_at_one_septet_each() -> None:
    result = segment("".join(map(chr, BASIC_CODE_POINTS)))
    assert (result.encoding, result.units, result.forcing) == (Encoding.GSM7, 127, ())


@pytest.mark.parametrize("code_point", EXTENSION_CODE_POINTS, ids=lambda point: f"U+{point:04X}")
def test_an_extension_character_is_gsm_7_at_two_septets(code_point: int) -> None:
    result = segment(chr(code_point))
    assert (result.encoding, result.units) == (Encoding.GSM7, 2)


def test_no_other_character_of_the_basic_plane_is_gsm_7() -> None:
    others = (chr(point) for point in range(0x10000) if chr(point) not in SEPTETS)
    assert {segment(character).encoding for character in others} == {Encoding.UCS2}


@pytest.mark.parametrize(
    "character",
    [
        pytest.param("ç", id="small c with cedilla"),
        pytest.param("`", id="backtick"),
        pytest.param("\t", id="tab"),
        pytest.param("\x1b", id="the escape itself"),
        pytest.param("\N{NO-BREAK SPACE}", id="no-break space"),
        pytest.param("á", id="a with acute"),
        pytest.param("\N{RIGHT SINGLE QUOTATION MARK}", id="curly apostrophe"),
        pytest.param("\N{GREEK CAPITAL LETTER ALPHA}", id="Greek alpha"),
    ],
)
def test_a_look_alike_forces_ucs_2_and_is_named(character: str) -> None:
    result = segment(f"a{character}b")
    assert (result.encoding, result.forcing) == (Encoding.UCS2, (character,))


@pytest.mark.parametrize(
    ("text", "encoding", "segments", "units", "units_per_segment"),
    [
        pytest.param("", "gsm7", 1, 0, 160, id="empty"),
        pytest.param("a", "gsm7", 1, 1, 160, id="one letter"),
        pytest.param("Ç", "gsm7", 1, 1, 160, id="capital c with cedilla"),
        pytest.param("a" * 160, "gsm7", 1, 160, 160, id="160 letters"),
        pytest.param("a" * 161, "gsm7", 2, 161, 153, id="161 letters"),
        pytest.param("a" * 306, "gsm7", 2, 306, 153, id="306 letters"),
        pytest.param("a" * 307, "gsm7", 3, 307, 153, id="307 letters"),
        pytest.param("a" * 459, "gsm7", 3, 459, 153, id="459 letters"),
        pytest.param("a" * 460, "gsm7", 4, 460, 153, id="460 letters"),
        pytest.param("€" * 80, "gsm7", 1, 160, 160, id="80 euro signs"),
        pytest.param("€" * 81, "gsm7", 2, 162, 153, id="81 euro signs"),
        pytest.param("€" * 152, "gsm7", 2, 304, 153, id="76 euro signs fit in each part"),
        pytest.param("€" * 153, "gsm7", 3, 306, 153, id="306 septets of euro signs need a third"),
        pytest.param("a" * 158 + "€", "gsm7", 1, 160, 160, id="euro sign at the end of 160"),
        pytest.param("a" * 159 + "€", "gsm7", 2, 161, 153, id="euro sign over the end of 160"),
        pytest.param("a" * 151 + "€" + "a" * 153, "gsm7", 2, 306, 153, id="euro sign up to 153"),
        pytest.param("a" * 152 + "€" + "a" * 152, "gsm7", 3, 306, 153, id="euro sign over 153"),
        pytest.param("a" * 152 + "€" + "a" * 151, "gsm7", 2, 305, 153, id="fill of one septet"),
        pytest.param("a" * 153 + "€" + "a" * 151, "gsm7", 2, 306, 153, id="euro sign after 153"),
        pytest.param("ж" * 70, "ucs2", 1, 70, 70, id="70 Cyrillic letters"),
        pytest.param("ж" * 71, "ucs2", 2, 71, 67, id="71 Cyrillic letters"),
        pytest.param("ж" * 134, "ucs2", 2, 134, 67, id="134 Cyrillic letters"),
        pytest.param("ж" * 135, "ucs2", 3, 135, 67, id="135 Cyrillic letters"),
        pytest.param("€" * 70 + "ж", "ucs2", 2, 71, 67, id="euro sign is one unit of UCS-2"),
        pytest.param(EMOJI * 35, "ucs2", 1, 70, 70, id="35 emoji"),
        pytest.param(EMOJI * 36, "ucs2", 2, 72, 67, id="36 emoji"),
        pytest.param(EMOJI * 66, "ucs2", 2, 132, 67, id="33 emoji fit in each part"),
        pytest.param(EMOJI * 67, "ucs2", 3, 134, 67, id="134 units of emoji need a third"),
        pytest.param("ж" * 65 + EMOJI + "ж" * 67, "ucs2", 2, 134, 67, id="emoji up to 67"),
        pytest.param("ж" * 66 + EMOJI + "ж" * 66, "ucs2", 3, 134, 67, id="emoji over 67"),
        pytest.param("ж" * 66 + EMOJI + "ж" * 65, "ucs2", 2, 133, 67, id="fill of one unit"),
        pytest.param("ж" * 67 + EMOJI + "ж" * 65, "ucs2", 2, 134, 67, id="emoji after 67"),
        pytest.param("ж" * 66 + "\ud83d" + "ж" * 67, "ucs2", 2, 134, 67, id="half an emoji at 67"),
    ],
)
def test_a_text_takes_as_many_segments_as_the_standard_says(
    text: str, encoding: str, segments: int, units: int, units_per_segment: int
) -> None:
    result = segment(text)
    assert (result.encoding, result.segments) == (encoding, segments)
    assert (result.units, result.units_per_segment) == (units, units_per_segment)


def test_forcing_characters_are_distinct_and_in_order_of_appearance() -> None:
    assert segment("Привет, ёж! Привет").forcing == tuple("Приветёж")


def test_at_most_fifty_forcing_characters_are_named() -> None:
    hanzi = "".join(map(chr, range(0x4E00, 0x4E00 + 60)))
    assert segment(hanzi).forcing == tuple(hanzi[:50])


def test_a_hundred_segments_is_the_most_envayasms_takes() -> None:
    assert MAX_OUTBOUND_SEGMENTS == 100


@given(any_texts)
@example("a" * 152 + "€" * 200)
@example("ж" * 66 + EMOJI * 200)
def test_segments_are_as_many_as_a_slow_counter_builds(text: str) -> None:
    assert segment(text).segments == len(build_segments(text))


@given(any_texts, any_texts)
def test_a_longer_text_never_takes_fewer_segments(first: str, second: str) -> None:
    together = segment(first + second).segments
    assert together >= max(segment(first).segments, segment(second).segments)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param("\u201cIt\u2019s\u201d", '"It\'s"', id="curly quotes"),
        pytest.param("„so“ «là»", '"so" "là"', id="German and French quotes"),
        pytest.param(
            "1\u20112 \u2013 3 \u2014 4 \u2212 5", "1-2 - 3 - 4 - 5", id="hyphen, dashes, minus"
        ),
        pytest.param("wait…", "wait...", id="ellipsis"),
        pytest.param("10\u00a0000\u202fkm\u2009!", "10 000 km !", id="no-break and thin spaces"),
        pytest.param("name\tvalue", "name value", id="tab"),
        pytest.param("one\u2028two", "one\ntwo", id="line separator"),
        pytest.param("\ufeffhy\u00adphen\u200b", "hyphen", id="invisible characters"),
        pytest.param("• milk", "* milk", id="bullet"),
        pytest.param("Acme™ © ®", "Acme(TM) (C) (R)", id="marks"),
        pytest.param("\ufb01le", "file", id="ligature"),
        pytest.param("cafe\u0301", "café", id="combining accent that has a GSM letter"),
    ],
)
def test_typography_becomes_gsm_7(text: str, plain: str) -> None:
    assert transliterate(text) == plain
    assert segment(text).encoding is Encoding.UCS2
    assert segment(plain).encoding is Encoding.GSM7


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("It's {50} € `", id="backtick has no equal"),
        pytest.param("façade", id="accent the basic set lacks"),
        pytest.param("“Привет” \u2013 ёж…", id="quotes in a text that stays UCS-2"),
        pytest.param("1½ cups", id="fraction"),
        pytest.param("ok 👍", id="emoji"),
        pytest.param("…" * 70, id="plain form would take more segments"),
    ],
)
def test_a_text_that_would_lose_or_gain_nothing_stays_as_it_is(text: str) -> None:
    assert transliterate(text) == text


@given(any_texts)
def test_transliteration_never_costs_a_segment_and_is_done_once(text: str) -> None:
    plain = transliterate(text)
    assert segment(plain).segments <= segment(text).segments
    assert transliterate(plain) == plain
