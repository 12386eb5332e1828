"""Which fields were refused, in words of our own: pydantic's are not ours to promise."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway_hub.domain.errors import FieldProblem

_MOST_ERRORS = 50
_LONGEST_NAME = 64

_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "string_too_short": "too_short",
    "too_short": "too_short",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "string_pattern_mismatch": "malformed",
    "enum": "not_allowed",
    "literal_error": "not_allowed",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than": "out_of_range",
    "less_than_equal": "out_of_range",
}
_DETAILS = {
    "missing": "The field is required.",
    "extra_forbidden": "There is no such field.",
    "model_type": "This must be an object.",
    "model_attributes_type": "This must be an object.",
    "dict_type": "This must be an object.",
    "string_pattern_mismatch": "The text does not have the form this field needs.",
}
_WRONG_TYPE_ENDINGS = ("_type", "_parsing", "_parsing_size", "_from_float")


def to_fields(errors: Iterable[Mapping[str, Any]], *, skip: int) -> tuple[FieldProblem, ...]:
    """Return pydantic's *errors* in our words; *skip* leading parts of each place are not ours."""
    return tuple(
        FieldProblem(
            _to_pointer(error["loc"][skip:]) + error.get("ctx", {}).get("pointer", ""),
            _to_code(error["type"]),
            _DETAILS.get(error["type"], f"{error['msg']}."),
        )
        for error in list(errors)[:_MOST_ERRORS]
    )


def escape_pointer(name: object) -> str:
    """Return one step of a JSON pointer (RFC 6901); a name may be the caller's, so it is cut."""
    text = str(name)[:_LONGEST_NAME].encode("utf-8", "replace").decode("utf-8")
    return text.replace("~", "~0").replace("/", "~1")


def _to_pointer(place: Sequence[object]) -> str:
    # Pydantic marks an error of a key, not of its value, by one more step.
    return "".join(f"/{escape_pointer(step)}" for step in place if step != "[key]")


def _to_code(kind: str) -> str:
    if kind in _CODES:
        return _CODES[kind]
    return "wrong_type" if kind.endswith(_WRONG_TYPE_ENDINGS) else kind
