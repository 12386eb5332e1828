"""Who a phone says it is: HTTP Basic as the apps send it, and the SMSGateway PHP class's query.

Nothing is compared here; what the bytes may mean is listed, best reading first.
"""

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

_MAX_HEADER_CHARS = 4096
_MAX_QUERY_BYTES = 4096
_CONTROL_BYTES = frozenset([*range(0x20), 0x7F])


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """User name and password as the bytes that came; their encoding is not told by the header."""

    raw_username: bytes
    raw_password: bytes = field(repr=False)

    @property
    def usernames(self) -> tuple[str, ...]:
        """The readings of the user name: ISO-8859-1, as the app writes it, then UTF-8."""
        return tuple(_readings(self.raw_username))

    @property
    def passwords(self) -> tuple[bytes, ...]:
        """The readings of the password, each as UTF-8 bytes: as received, then percent-decoded.

        The app has percent-encoded passwords since v1.7.1 and decodes them nowhere (``p@ss``
        arrives as ``p%40ss``); older ones send ISO-8859-1. A stored ``100%25`` stays right too.
        """
        readings = _readings(self.raw_password)
        decoded = _decode_utf8(unquote_to_bytes(self.raw_password))
        if decoded is not None and decoded not in readings:
            readings.append(decoded)
        return tuple(reading.encode("utf-8") for reading in readings)


def parse_basic(header: str | None) -> BasicCredentials | None:
    """Return the credentials in an ``Authorization`` header, or None if it holds none.

    A user name alone (``user@host`` in the URL) has an empty password; an empty user name is
    never valid, nor is one with control characters (RFC 7617, and no database could look it up).
    """
    if header is None or len(header) > _MAX_HEADER_CHARS:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = b64decode(token.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    username, _, password = decoded.partition(b":")
    if not username or _has_control(username):
        return None
    return BasicCredentials(username, password)


def parse_query_identity(query_string: bytes) -> tuple[str, str] | None:
    """Return user name and token of ``?id=<username>&h=<token>``; None unless each is there once.

    The app keeps the query of the URL typed into it, so phones set up for the SMSGateway PHP
    class prove themselves by it.
    """
    if len(query_string) > _MAX_QUERY_BYTES:
        return None
    username = _find_single(query_string, b"id")
    token = _find_single(query_string, b"h")
    if not username or not token or _has_control(username):
        return None
    try:
        return username.decode("utf-8"), token.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _find_single(query_string: bytes, name: bytes) -> bytes | None:
    pairs = (pair.partition(b"=") for pair in query_string.replace(b"+", b" ").split(b"&"))
    values = [unquote_to_bytes(value) for key, _, value in pairs if unquote_to_bytes(key) == name]
    return values[0] if len(values) == 1 else None


def _readings(raw: bytes) -> list[str]:
    """Return what *raw* may spell, without repetition."""
    readings = [raw.decode("latin-1")]
    utf8 = _decode_utf8(raw)
    if utf8 is not None and utf8 not in readings:
        readings.append(utf8)
    return readings


def _decode_utf8(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _has_control(raw: bytes) -> bool:
    return not _CONTROL_BYTES.isdisjoint(raw)
