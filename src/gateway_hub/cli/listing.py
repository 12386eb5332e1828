"""What commands print of one thing, and of a list of things."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway_hub.cli.output import show_fields, show_json, show_table


def show_one(thing: Mapping[str, Any], *, as_json: bool) -> None:
    """Print *thing* as JSON, or a line for each field that holds something."""
    if as_json:
        show_json(thing)
    else:
        show_fields(thing)


def show_page(page: Mapping[str, Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Print *page*, as the API answers lists: whole as JSON, or *columns* of it as a table."""
    if as_json:
        show_json(page)
    else:
        show_table(page["data"], columns)
