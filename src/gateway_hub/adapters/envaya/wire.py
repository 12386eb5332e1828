"""EnvayaSMS form posts as the app's server API names them: bytes and pairs in, a typed post out.

Multipart bodies are taken apart by the route; what is here sees their fields and file parts.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import orjson

from gateway_hub.domain.clock import from_epoch_ms

_MIB = 1024 * 1024

MAX_FORM_BYTES = 9 * _MIB
MAX_MULTIPART_BYTES = 25 * _MIB
MAX_FIELDS = 64
MAX_FILES = 32
MAX_NAME_LENGTH = 255
MAX_FIELD_BYTES = _MIB
MAX_LOG_BYTES = 8 * _MIB  # the app's log grows while requests fail, and must not keep it out
MAX_CONTACT_LENGTH = 255
MAX_MESSAGE_LENGTH = 100_000

_MAX_INT64 = 2**63 - 1
_INTEGER = re.compile("[0-9]{1,19}")
_MESSAGE_TYPES = frozenset({"sms", "mms", "call"})

Pairs = Sequence[tuple[str, str]]


class WireError(Exception):
    """A post that is refused. *detail* may be shown to anyone: it never repeats the input."""

    def __init__(self, detail: str, http_status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.http_status = http_status


class Action(StrEnum):
    """What the phone wants of a post."""

    TEST = "test"
    OUTGOING = "outgoing"
    INCOMING = "incoming"
    FORWARD_SENT = "forward_sent"
    SEND_STATUS = "send_status"
    DEVICE_STATUS = "device_status"
    AMQP_STARTED = "amqp_started"


FORWARDING = frozenset({Action.INCOMING, Action.FORWARD_SENT})
"""Actions that bring a message."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file of a multipart post, without its bytes."""

    name: str
    filename: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class MmsPart:
    """One item of ``mms_parts``: *name* is that of the file with the bytes."""

    name: str
    cid: str | None
    type: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class WirePost:
    """A post, its fields named as on the wire (``from_`` for ``from``).

    A text is empty, a number None where the phone did not say. *fields* are all as received.
    """

    action: Action
    version: int | None
    phone_number: str
    log: str
    network: str
    battery: int | None
    power: int | None
    now: int | None
    settings_version: int | None
    phone_id: str
    phone_token: str
    send_limit: int | None
    from_: str
    to: str
    message_type: str
    message: str
    timestamp: int | None
    age: int | None
    mms_parts: tuple[MmsPart, ...] | None
    id: str
    status: str
    error: str
    consumer_tag: str
    fields: tuple[tuple[str, str], ...]


def parse_urlencoded(body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form in order of arrival; raises WireError."""
    if body.count(b"&") >= MAX_FIELDS:
        raise WireError("The form has too many fields.", 413)
    pieces = [piece.partition(b"=") for piece in body.split(b"&") if piece]
    raw = [(_unquote(name), _unquote(value)) for name, _, value in pieces]
    try:
        pairs = _decode(raw, "utf-8")
    except UnicodeDecodeError:
        # App versions up to 6 send ISO-8859-1. They sign UTF-8, so only a text that lost
        # nothing on the way still verifies.
        pairs = _decode(raw, "iso-8859-1")
    _refuse_oversized(pairs)
    return pairs


def parse_post(pairs: Pairs, files: Sequence[FilePart]) -> WirePost:
    """Return the post that *pairs* and *files* make; raises WireError, and then nothing counts."""
    _refuse_oversized(pairs)
    fields = _unique_fields(pairs)
    action = _parse_action(fields.get("action", ""))
    for name in ("from", "to"):
        _check_contact(name, fields.get(name, ""))
    parts = _parse_forwarded(action, fields) if action in FORWARDING else None
    _match_files(parts or (), files)
    return _build_post(action, fields, parts, pairs)


def detect_version(pairs: Pairs) -> int | None:
    """Return the app's version code if *pairs* say it: good enough to choose an error's form."""
    return _parse_integer(find_field(pairs, "version"))


def find_field(pairs: Pairs, name: str) -> str | None:
    """Return the first value called *name*."""
    return next((value for key, value in pairs if key == name), None)


def _unquote(text: bytes) -> bytes:
    if b"%" not in text:
        return text.replace(b"+", b" ")
    # "%41" becomes "\x41": the codec works through megabytes of a log in milliseconds, where
    # urllib.parse takes seconds, before anybody has proved who they are.
    escaped = text.replace(b"+", b" ").replace(b"\\", b"\\\\").replace(b"%", b"\\x")
    try:
        return escaped.decode("unicode_escape").encode("iso-8859-1")
    except UnicodeDecodeError:
        raise WireError("The form has a percent sign that escapes nothing.") from None


def _decode(raw: Sequence[tuple[bytes, bytes]], encoding: str) -> list[tuple[str, str]]:
    return [(name.decode(encoding), value.decode(encoding)) for name, value in raw]


def _refuse_oversized(pairs: Pairs) -> None:
    for name, value in pairs:
        if (len(name) + len(value)) * 4 <= MAX_FIELD_BYTES:
            continue  # at most four bytes a character: nearly every field needs no closer look
        limit = MAX_LOG_BYTES if name == "log" else MAX_FIELD_BYTES
        if len(name) > MAX_NAME_LENGTH or _is_longer(value, limit):
            raise WireError("A field of the form is too long.", 413)


def _is_longer(text: str, limit_bytes: int) -> bool:
    return len(text) * 4 > limit_bytes and len(text.encode("utf-8", "surrogatepass")) > limit_bytes


def _unique_fields(pairs: Pairs) -> dict[str, str]:
    # The signed text does not say which of two fields of one name is meant.
    if len(pairs) > MAX_FIELDS:
        raise WireError("The form has too many fields.", 413)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise WireError("A field of the form is given twice.")
    return fields


def _parse_action(text: str) -> Action:
    if not text:
        raise WireError("The action field is missing.")
    try:
        return Action(text)
    except ValueError:
        raise WireError("This server does not know the action.") from None


def _check_contact(name: str, value: str) -> None:
    # Commas and line ends would let one signed text be cut into other fields.
    if any(mark in value for mark in "\r\n,"):
        raise WireError(f"The {name} field holds a comma or a line end.")
    if len(value) > MAX_CONTACT_LENGTH:
        raise WireError(f"The {name} field is too long.")


def _parse_forwarded(action: Action, fields: Mapping[str, str]) -> tuple[MmsPart, ...] | None:
    """Check the fields of a forwarded message and return its MMS parts, None for another type."""
    contact = "from" if action is Action.INCOMING else "to"
    if contact not in fields:
        raise WireError(f"The {contact} field is missing.")
    message_type = _message_type(fields)
    if message_type not in _MESSAGE_TYPES:
        raise WireError("This server does not know the message_type.")
    if "message" not in fields and message_type != "call":
        raise WireError("The message field is missing.")
    if len(fields.get("message", "")) > MAX_MESSAGE_LENGTH:
        raise WireError("The message is too long.")
    return _parse_parts(fields.get("mms_parts", "")) if message_type == "mms" else None


def _message_type(fields: Mapping[str, str]) -> str:
    # The first 1.0 knew SMS only and did not say so.
    return fields.get("message_type") or "sms"


def _parse_parts(text: str) -> tuple[MmsPart, ...]:
    if not text:
        raise WireError("An MMS needs the mms_parts field.")
    try:
        items = orjson.loads(text)
    except ValueError:
        raise WireError("The mms_parts field is not valid JSON.") from None
    if not isinstance(items, list):
        raise WireError("The mms_parts field is not a list.")
    if len(items) > MAX_FILES:
        raise WireError("The MMS has too many parts.", 413)
    return tuple(_parse_part(item) for item in items)


def _parse_part(item: object) -> MmsPart:
    if not isinstance(item, dict):
        raise WireError("An item of mms_parts is not an object.")
    name, cid = item.get("name"), item.get("cid")
    content_type, filename = item.get("type"), item.get("filename")
    if not isinstance(name, str) or not isinstance(content_type, str):
        raise WireError("An item of mms_parts lacks its name or type.")
    if not isinstance(cid, str | None) or not isinstance(filename, str | None):
        raise WireError("An item of mms_parts has a cid or filename that is no text.")
    return MmsPart(name, cid, content_type, filename)


def _match_files(parts: Sequence[MmsPart], files: Sequence[FilePart]) -> None:
    # The bytes are not signed, only the list is: nothing may come beside it.
    listed = [part.name for part in parts]
    if len(set(listed)) != len(listed):
        raise WireError("Two items of mms_parts have one name.")
    if sorted(listed) != sorted(file.name for file in files):
        raise WireError("The files are not those that mms_parts lists.")


def _build_post(
    action: Action,
    fields: Mapping[str, str],
    parts: tuple[MmsPart, ...] | None,
    pairs: Pairs,
) -> WirePost:
    def text(name: str) -> str:
        return fields.get(name, "")

    def number(name: str) -> int | None:
        return _parse_integer(fields.get(name))

    return WirePost(
        action=action,
        version=number("version"),
        phone_number=text("phone_number"),
        log=text("log"),
        network=text("network"),
        battery=number("battery"),
        power=number("power"),
        now=number("now"),
        settings_version=number("settings_version"),
        phone_id=text("phone_id"),
        phone_token=text("phone_token"),
        send_limit=number("send_limit"),
        from_=text("from"),
        to=text("to"),
        message_type=_message_type(fields) if action in FORWARDING else "",
        message=text("message"),
        timestamp=_parse_timestamp(text("timestamp")) if action in FORWARDING else None,
        age=number("age"),
        mms_parts=parts,
        id=text("id"),
        status=text("status"),
        error=text("error"),
        consumer_tag=_consumer_tag(action, fields),
        fields=tuple(pairs),
    )


def _consumer_tag(action: Action, fields: Mapping[str, str]) -> str:
    # EnvayaSMS's Request Simulator page sends the tag as "status".
    told = fields.get("consumer_tag", "")
    return told or (fields.get("status", "") if action is Action.AMQP_STARTED else "")


def _parse_timestamp(text: str) -> int | None:
    """Return the milliseconds of *text*, None if it is empty; raises WireError.

    Checked here so that a refused message has stored nothing yet.
    """
    if not text:
        return None
    value = _parse_integer(text)
    if value is None:
        raise WireError("The timestamp is not a number of milliseconds.")
    try:
        from_epoch_ms(value)
    except ValueError:
        raise WireError("The timestamp is outside the years 1970 to 9999.") from None
    return value


def _parse_integer(text: str | None) -> int | None:
    """Return the number, None for anything but digits that fit 64 bits."""
    if text is None or _INTEGER.fullmatch(text) is None:
        return None
    value = int(text)
    return value if value <= _MAX_INT64 else None
