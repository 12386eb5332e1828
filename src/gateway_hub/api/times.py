"""Times in our JSON: RFC 3339, milliseconds and ``Z`` out, any offset in, never without one."""

import re
from datetime import datetime
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from gateway_hub.domain.clock import format_rfc3339, from_epoch_ms, to_epoch_ms

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,20})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_SCHEMA = {"type": "string", "format": "date-time", "examples": ["2026-01-31T09:30:00.000Z"]}


def parse_rfc3339(text: str) -> datetime:
    """Return the moment *text* names, in UTC, cut to milliseconds.

    Raises ValueError for another form, a time without offset, or one outside 1970 to 9999.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError("not an RFC 3339 time with an offset")
    return from_epoch_ms(to_epoch_ms(datetime.fromisoformat(text.upper().replace(" ", "T"))))


def _validate(value: object) -> datetime:
    if isinstance(value, str):
        try:
            return parse_rfc3339(value)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError(
        "not_a_time", "The time must be RFC 3339 with an offset, like 2026-01-31T09:30:00Z"
    )


GivenMoment = Annotated[
    datetime, PlainValidator(_validate), PlainSerializer(format_rfc3339), WithJsonSchema(_SCHEMA)
]
"""A time in a request."""

Moment = Annotated[datetime, PlainSerializer(format_rfc3339), WithJsonSchema(_SCHEMA)]
"""A time in an answer."""
