"""Kinds of fields that requests share, and the base that keeps bad characters out of all."""

from typing import Annotated, Any

from fastapi import Path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway_hub.api.refused_fields import escape_pointer
from gateway_hub.domain.text import is_storable
from gateway_hub.domain.webhooks.urls import LONGEST_URL


class GivenFields(BaseModel):
    """What a caller gives, in body or query: no field we do not know, no text we cannot keep.

    NUL and halves of surrogate pairs come through JSON escapes; PostgreSQL and UTF-8 refuse them.
    """

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _check_characters(cls, data: Any) -> Any:
        if not _is_all_storable(data):
            raise _unstorable(_find_unstorable(data) or "")
        return data


def _is_all_storable(content: Any) -> bool:
    """Say whether every text in *content* can be kept; the pointers are made only if not."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if not is_storable(value):
                return False
        elif isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return True


def _find_unstorable(content: Any) -> str | None:
    """Return the pointer to a text in *content* that cannot be kept."""
    waiting = [("", content)]
    while waiting:
        pointer, value = waiting.pop()
        if isinstance(value, str) and not is_storable(value):
            return pointer
        if isinstance(value, dict):
            waiting.extend((f"{pointer}/{escape_pointer(key)}", key) for key in value)
            waiting.extend(
                (f"{pointer}/{escape_pointer(key)}", item) for key, item in value.items()
            )
        elif isinstance(value, list):
            waiting.extend((f"{pointer}/{index}", item) for index, item in enumerate(value))
    return None


def _unstorable(pointer: str) -> PydanticCustomError:
    return PydanticCustomError(
        "unstorable_character",
        "The text holds a NUL or half of a surrogate pair",
        {"pointer": pointer},
    )


def _check_text(text: str) -> str:
    if not is_storable(text):
        raise _unstorable("")
    return text


def _left_out() -> Any:
    """Return the value of a field that was left out: nobody reads it, only those given count."""
    return None


def _to_whole(value: Any) -> Any:
    """Return *value*, or the whole number it stands for: to JSON, 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_to_whole)
"""Beside a strict integer, after its bounds: takes it as JSON has it."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Region = Annotated[
    str,
    StringConstraints(min_length=2, max_length=2),
    Field(description="Country whose numbers may be written without country code: ISO 3166, `TZ`."),
]
GivenId = Annotated[str, StringConstraints(min_length=1, max_length=64)]
WebhookUrl = Annotated[
    str, StringConstraints(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://", max_length=LONGEST_URL)
]
PathId = Annotated[str, Path(max_length=64), AfterValidator(_check_text)]
LEFT_OUT = Field(default_factory=_left_out)
"""Default of a field that may be left out but not be null."""
