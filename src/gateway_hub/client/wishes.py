"""What callers ask for, as the hub wants it said."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent; what is not given is left to the hub.

    *device_id* or *tag* say which phones may send it; any of the project's if neither is given.
    """

    to: str
    text: str
    device_id: str | None = None
    tag: str | None = None
    priority: int | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    max_attempts: int | None = None
    if_uncertain: str | None = None
    reference: str | None = None
    status_callback: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    transliterate: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the body the hub takes. Raises ValueError for a time without an offset."""
        given = {item.name: getattr(self, item.name) for item in fields(self)}
        route = {"device_id": given.pop("device_id"), "tag": given.pop("tag")}
        metadata = dict(given.pop("metadata")) or None
        return render_given({**given, "route": render_given(route) or None, "metadata": metadata})


def render_given(values: Mapping[str, object]) -> dict[str, Any]:
    """Return those of *values* that are given, in JSON's types. Raises ValueError for a time
    without an offset."""
    return {name: _render(value) for name, value in values.items() if value is not None}


def _render(value: object) -> object:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise ValueError("a time needs an offset, like datetime.now(UTC)")
    return value.isoformat()
