"""Bodies of the CHT gateway protocol as its own specification names them: bytes in, bytes out."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import orjson

from gateway_hub.domain.phone_posts import Offer

MAX_BODY_BYTES = 1024 * 1024
"""The longest body taken, both as received and after decompression."""

MAX_ITEMS = 1000
"""The most items of one kind in a post; the app itself sends 10 messages and 20 updates."""

_INFLATE_STEP_BYTES = 64 * 1024
# Each member costs a new inflater and a copy of the rest, so a body of thousands of empty ones
# would be dear; real clients write one.
_MAX_GZIP_MEMBERS = 64
_GZIP_WBITS = 31
_UTF8_BOM = b"\xef\xbb\xbf"


class WireError(Exception):
    """A body that cannot be taken. *detail* may be shown on the phone: it repeats no input."""

    def __init__(self, detail: str, http_status: int = 400) -> None:
        super().__init__(detail)
        self.detail = detail
        self.http_status = http_status


@dataclass(frozen=True, slots=True)
class WirePost:
    """The two lists of a post, each item as it came: nothing in them is checked yet."""

    messages: list[object]
    updates: list[object]


def decompress_body(
    body: bytes, content_encoding: str | None, limit: int = MAX_BODY_BYTES
) -> bytes:
    """Return *body* with its ``Content-Encoding`` undone; no more than *limit* bytes, ever.

    Raises WireError: 413 beyond the limit, 415 for any encoding but gzip, 400 if damaged.
    """
    if len(body) > limit:
        raise _too_large(limit)
    encoding = (content_encoding or "").strip().lower()
    if encoding in {"", "identity"}:
        return body
    if encoding in {"gzip", "x-gzip"}:
        return _gunzip(body, limit)
    raise WireError("Content-Encoding must be gzip or absent", 415)


def _gunzip(body: bytes, limit: int) -> bytes:
    out = bytearray()
    rest = body
    for _ in range(_MAX_GZIP_MEMBERS):
        rest = _inflate_member(rest, out, limit)
        if not rest:
            return bytes(out)
    raise WireError("gzip body has too many members")


def _inflate_member(data: bytes, out: bytearray, limit: int) -> bytes:
    """Append one gzip member to *out*, step by step, and return what follows it."""
    inflater = zlib.decompressobj(wbits=_GZIP_WBITS)
    while not inflater.eof:
        try:
            step = inflater.decompress(data, _INFLATE_STEP_BYTES)
        except zlib.error:
            raise WireError("gzip body is damaged") from None
        out += step
        if len(out) > limit:
            raise _too_large(limit)
        data = inflater.unconsumed_tail
        if not (step or data or inflater.eof):
            raise WireError("gzip body is cut short")
    return inflater.unused_data


def _too_large(limit: int) -> WireError:
    return WireError(f"body is larger than {limit} bytes", 413)


def parse_post(body: bytes) -> WirePost:
    """Return the lists of a post; absent, null and empty lists are equal, other fields ignored.

    Raises WireError if the body as a whole cannot be read; a bad item is not looked at here.
    """
    document = _load_json(body.removeprefix(_UTF8_BOM))
    if not isinstance(document, dict):
        raise WireError("body must be a JSON object")
    return WirePost(_list_of(document, "messages"), _list_of(document, "updates"))


def _list_of(document: dict[object, object], name: str) -> list[object]:
    items = document.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise WireError(f"{name} must be a list or null")
    if len(items) > MAX_ITEMS:
        raise WireError(f"{name} has more than {MAX_ITEMS} items", 413)
    return items


def _load_json(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # orjson refuses half a surrogate pair, which must cost its message and not the batch.
        # It can only come as an escape: everything else orjson refuses stays refused.
        if b"\\ud" not in body.lower():
            raise WireError("body is not valid JSON") from None
    return _load_json_with_lone_surrogates(body)


def _load_json_with_lone_surrogates(body: bytes) -> object:
    try:
        document: object = json.loads(
            body.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_parse_finite
        )
    except (ValueError, RecursionError):
        raise WireError("body is not valid JSON") from None
    return document


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _parse_finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError("number is too large")
    return number


def render_answer(offers: Sequence[Offer]) -> bytes:
    """Return the answer to a post: always an object with a list, so that the app takes it.

    All values are strings: the app would send a null as the SMS "null" and rewrite a number.
    """
    messages = [{"id": offer.wire_id, "to": offer.to, "content": offer.text} for offer in offers]
    return orjson.dumps({"messages": messages})


def render_probe() -> bytes:
    """Return the answer to a GET, by which the app knows that the URL is a gateway's."""
    return orjson.dumps({"medic-gateway": True})


def render_error(message: str) -> bytes:
    """Return the body of an error answer; the app shows *message* to its person."""
    return orjson.dumps({"error": True, "message": message})
