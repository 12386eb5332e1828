"""Messages as a table (RFC 4180) that a spreadsheet can open without running what senders wrote."""

import csv
import io
import json
import re
from collections.abc import Iterable
from datetime import datetime

from gateway_hub.domain.clock import format_rfc3339
from gateway_hub.domain.messages import Message, MessageDetails

Cell = str | int | bool | datetime | None

_COLUMNS = (
    *("id", "direction", "type", "status", "final"),
    *("from", "from_e164", "to", "to_e164", "text", "encoding", "segments"),
    *("device_id", "route_device_id", "route_tag", "priority", "reference", "metadata"),
    *("error_code", "error_message", "attachments"),
    *("created_at", "updated_at", "send_at", "expires_at", "sms_sent_at", "sms_received_at"),
)
# What begins a formula, also in the full width that some programs take for the plain one. Where
# lists are parted by semicolons or tabs, quotes after the first cell are no quotes any more: then
# a cell begins inside of a text, too.
_FORMULA = (
    r"=+\-@"
    "\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
    "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}"
)
_BEGINS = re.compile(rf'^(?="*[{_FORMULA}\t\r\n])|(?:[;\t\r\n]"*)(?=[{_FORMULA}])')


def render_header() -> bytes:
    """Return the first line of the table."""
    return _write([_COLUMNS])


def render_rows(page: Iterable[MessageDetails]) -> bytes:
    """Return a line for each message."""
    return _write([_to_cell(value) for value in _to_row(item)] for item in page)


def defuse(text: str) -> str:
    """Return *text* with an apostrophe before what a spreadsheet might take for a formula."""
    return _BEGINS.sub(r"\g<0>'", text)


def _to_row(details: MessageDetails) -> tuple[Cell, ...]:
    message = details.message
    return (
        *(message.id, message.direction, message.type, message.status, message.final),
        *(message.from_number, message.from_e164, message.to_number, message.to_e164),
        *(message.text, message.encoding, message.segments),
        *(message.device_id, message.route.device_id, message.route.tag),
        *(message.priority, message.reference, _to_metadata(message)),
        message.error.code if message.error else None,
        message.error.message if message.error else None,
        len(details.attachments),
        *(message.created_at, message.updated_at, message.send_at, message.expires_at),
        *(message.sms_sent_at, message.sms_received_at),
    )


def _to_metadata(message: Message) -> str | None:
    return json.dumps(message.metadata, ensure_ascii=False) if message.metadata else None


def _to_cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return format_rfc3339(value)
    return str(value) if isinstance(value, int) else defuse(value)


def _write(rows: Iterable[Iterable[str]]) -> bytes:
    table = io.StringIO()
    csv.writer(table, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows(rows)
    return table.getvalue().encode("utf-8")
