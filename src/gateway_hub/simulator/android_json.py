"""JSON as Android's own ``org.json`` reads it, as far as servers may depend on it.

Written apart from what the adapters render with, so that a phone does not share their mistakes.
"""

import json
from json import JSONDecoder

_UTF8_BOM = "\ufeff"
_MAX_LONG = 2**63


class JsonError(ValueError):
    """A body in which the app finds no object."""


_decoder = JSONDecoder(strict=False)  # line ends inside of strings are taken


def parse_object(body: bytes) -> dict[str, object]:
    """Return the object in *body*; raises JsonError for anything else.

    As the parser does, take invalid UTF-8 for U+FFFD and ignore what follows the object.
    """
    text = body.decode("utf-8", "replace").removeprefix(_UTF8_BOM).lstrip()
    try:
        value, _ = _decoder.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise JsonError(str(error)) from None
    if not isinstance(value, dict):
        raise JsonError(f"a {type(value).__name__} cannot be converted to JSONObject")
    return value


def to_string(value: object) -> str:
    """Return what ``getString`` makes of *value*: null becomes the text ``null``."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and -_MAX_LONG <= value < _MAX_LONG:
        return str(value)
    if isinstance(value, int | float):
        return repr(float(value)).replace("e+", "E").replace("e", "E")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
