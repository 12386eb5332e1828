"""What every command that lists things prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway_hub.cli.output import show_json, show_table


def show_page(page: Mapping[str, Any], columns: Sequence[str], *, as_json: bool) -> None:
    """Print *page*, as the API answers lists: whole as JSON, or *columns* of it as a table."""
    if as_json:
        show_json(page)
    else:
        show_table(page["data"], columns)
