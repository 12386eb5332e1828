"""Which characters a text may hold, on its way in (databases, JSON) and out (XML to the phone)."""

import re

REPLACEMENT = "\ufffd"

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# The complement of XML 1.0's Char production (https://www.w3.org/TR/xml/#charsets). One such
# character makes a whole answer unreadable to EnvayaSMS, at every poll, for ever.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def clean_inbound_text(text: str) -> tuple[str, bytes | None]:
    """Return *text* as it can be stored and, if that differs, the original.

    NUL and lone surrogates become U+FFFD. The original is UTF-8 with surrogates passed
    (``surrogatepass``).
    """
    cleaned, replaced = _UNSTORABLE.subn(REPLACEMENT, text)
    if not replaced:
        return text, None
    return cleaned, text.encode("utf-8", "surrogatepass")


def is_storable(text: str) -> bool:
    """Say whether *text* can be kept as it is; what cannot be is nobody's name."""
    return _UNSTORABLE.search(text) is None


def find_unsendable(text: str) -> tuple[str, ...]:
    """Return the distinct characters of *text* that not every phone protocol can carry."""
    return tuple(dict.fromkeys(_NOT_XML.findall(text)))


def replace_non_xml(text: str) -> str:
    """Return *text* with U+FFFD for every character that XML 1.0 cannot hold."""
    return _NOT_XML.sub(REPLACEMENT, text)
