"""Text from outside, made safe to show: nothing in it moves the cursor, ends the line or hides."""

import re

_BYTE = 0xFF
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# C0 and C1 controls, line separators, the marks that turn the direction of writing, and lone
# surrogates, which no output encoding takes.
_UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def escape_controls(text: str) -> str:
    r"""Return *text* on one line, with ``\n``, ``\x1b`` or ``\u202e`` for what cannot be shown."""
    return _UNSHOWABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code <= _BYTE else f"\\u{code:04x}")
