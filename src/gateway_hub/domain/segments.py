"""How many radio SMS a text takes: 3GPP TS 23.038 alphabets, TS 23.040 concatenation.

An estimate all the same: a phone may choose a national language table, or break earlier than it
must so as not to cut a composed emoji in two.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

MAX_OUTBOUND_SEGMENTS = 100
"""EnvayaSMS refuses a text of more parts, for good."""

_MAX_FORCING = 50


class Encoding(StrEnum):
    """The alphabet a text is sent in."""

    GSM7 = "gsm7"
    UCS2 = "ucs2"


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What a text costs.

    *units* are septets (GSM-7) or UTF-16 code units (UCS-2) of the text itself, without the fill
    left where a character did not fit into the rest of a segment. *forcing* are the characters
    that rule out GSM-7: distinct, in order of first appearance, at most 50.
    """

    encoding: Encoding
    segments: int
    units: int
    units_per_segment: int
    forcing: tuple[str, ...]


_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"
_GSM7 = frozenset(_BASIC + _EXTENSION)

# Not part of the basic set as a character, so it can only stand before an extension character.
_ESCAPE = "\x1b"
_ESCAPED = str.maketrans({character: _ESCAPE + character for character in _EXTENSION})

_UNITS_ALONE = {Encoding.GSM7: 160, Encoding.UCS2: 70}
_UNITS_IN_PART = {Encoding.GSM7: 153, Encoding.UCS2: 67}  # the rest holds the part's number

# The first byte of a UTF-16 unit tells a surrogate.
_HIGH_SURROGATE = range(0xD8, 0xDC)
_LOW_SURROGATE = range(0xDC, 0xE0)

_TYPOGRAPHY = str.maketrans(
    {
        # Spaces: tab, no-break, en quad to hair space, narrow no-break, mathematical.
        **dict.fromkeys("\t\u00a0\u202f\u205f", " "),
        **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
        # Line and paragraph separators, next line.
        **dict.fromkeys("\u0085\u2028\u2029", "\n"),
        # Invisible: soft hyphen, zero-width space, word joiner, byte order mark.
        **dict.fromkeys("\u00ad\u200b\u2060\ufeff", ""),
        # Single quotes, modifier apostrophe, prime, single guillemets.
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u2032\u2039\u203a", "'"),
        # Double quotes, double prime, guillemets.
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        # Hyphens, dashes, minus.
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        # Bullets.
        **dict.fromkeys("\u2022\u2023\u2043\u25aa\u25cf\u25e6", "*"),
        "\u2025": "..",
        "\u2026": "...",
        "\u2122": "(TM)",
        "\u00a9": "(C)",
        "\u00ae": "(R)",
        "\ufb00": "ff",
        "\ufb01": "fi",
        "\ufb02": "fl",
        "\ufb03": "ffi",
        "\ufb04": "ffl",
    }
)


def segment(text: str) -> Segmentation:
    """Return the encoding *text* needs and the segments it takes; an empty text takes one."""
    if _GSM7.issuperset(text):
        return _segment_gsm7(text)
    forcing = [character for character in dict.fromkeys(text) if character not in _GSM7]
    return _segment_ucs2(text, tuple(forcing[:_MAX_FORCING]))


def transliterate(text: str) -> str:
    """Return *text* in plain typography if that makes it GSM-7 in no more segments.

    Otherwise *text* itself: where one letter forces UCS-2 anyway, its quotes may stay curly.
    Letters keep their accents; one written as letter and combining mark becomes the composed one.
    """
    before = segment(text)
    if before.encoding is Encoding.GSM7:
        return text
    plain = unicodedata.normalize("NFC", text).translate(_TYPOGRAPHY)
    after = segment(plain)
    gains = after.encoding is Encoding.GSM7 and after.segments <= before.segments
    return plain if gains else text


def _segment_gsm7(text: str) -> Segmentation:
    septets = text.translate(_ESCAPED)

    def cuts_escape(end: int) -> bool:
        return septets[end - 1] == _ESCAPE

    return _measure(Encoding.GSM7, len(septets), cuts_escape, ())


def _segment_ucs2(text: str, forcing: tuple[str, ...]) -> Segmentation:
    encoded = text.encode("utf-16-be", "surrogatepass")

    def cuts_surrogate_pair(end: int) -> bool:
        before, after = encoded[2 * end - 2], encoded[2 * end]
        return before in _HIGH_SURROGATE and after in _LOW_SURROGATE

    return _measure(Encoding.UCS2, len(encoded) // 2, cuts_surrogate_pair, forcing)


def _measure(
    encoding: Encoding, units: int, cuts_character: Callable[[int], bool], forcing: tuple[str, ...]
) -> Segmentation:
    if units <= _UNITS_ALONE[encoding]:
        return Segmentation(encoding, 1, units, _UNITS_ALONE[encoding], forcing)
    part = _UNITS_IN_PART[encoding]
    segments, end = 1, part
    while end < units:
        if cuts_character(end):
            end -= 1
        segments, end = segments + 1, end + part
    return Segmentation(encoding, segments, units, part, forcing)
