"""Exports: all messages that match, as a file, a page at a time."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Annotated, Literal

import structlog
from fastapi import Query
from pydantic import Field
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse

from gateway_hub.api.authentication import MessagesReader
from gateway_hub.api.context import HubDependency
from gateway_hub.api.message_filters import to_filter
from gateway_hub.api.message_requests import MessageFilterFields
from gateway_hub.api.message_responses import to_message_response
from gateway_hub.api.spreadsheets import render_header, render_rows
from gateway_hub.domain.errors import HubError
from gateway_hub.domain.ids import AFTER_ALL_IDS
from gateway_hub.domain.messages import MessageDetails, MessageFilter
from gateway_hub.services.hub import Hub

_PAGE = 200

log = structlog.get_logger(__name__)


class ExportQuery(MessageFilterFields):
    """Which messages, and in which form; the filters are those of the list."""

    format: Literal["csv", "ndjson"] = Field(
        description="`csv`: a table for people. `ndjson`: a line of JSON each, as the list has it."
    )


async def export_messages(
    hub: HubDependency, caller: MessagesReader, query: Annotated[ExportQuery, Query()]
) -> StreamingResponse:
    """Download every message that matches, newest first.

    A download that the hub cannot finish ends as a broken connection, never as a shorter file.
    """
    wanted = await to_filter(hub, caller, query)
    first = await _read_page(hub, caller.project_id, wanted, AFTER_ALL_IDS)
    pages = stream_pages(hub, caller.project_id, wanted, first)
    if query.format == "csv":
        content, media_type = _render(pages, render_rows, render_header()), "text/csv"
    else:
        content, media_type = _render(pages, _render_lines), "application/x-ndjson"
    disposition = f'attachment; filename="messages.{query.format}"'
    return StreamingResponse(
        content, media_type=media_type, headers={"Content-Disposition": disposition}
    )


async def stream_pages(
    hub: Hub, project_id: str, wanted: MessageFilter, first: list[MessageDetails]
) -> AsyncIterator[list[MessageDetails]]:
    """Yield *first* and each page after it, read when it is asked for.

    Raises ClientDisconnect, which cuts the connection, if there is more but it cannot be read.
    """
    page = first
    while page:
        yield page
        if len(page) < _PAGE:
            return
        if hub.wakeups.stopping:
            raise _cut_short("The hub is stopping.")
        try:
            page = await _read_page(hub, project_id, wanted, page[-1].message.id)
        except HubError as error:
            raise _cut_short(error.detail) from error


async def _read_page(
    hub: Hub, project_id: str, wanted: MessageFilter, before: str
) -> list[MessageDetails]:
    return await hub.outbox.list_messages(project_id, wanted, before=before, limit=_PAGE)


async def _render(
    pages: AsyncIterator[list[MessageDetails]],
    render: Callable[[Iterable[MessageDetails]], bytes],
    head: bytes = b"",
) -> AsyncIterator[bytes]:
    yield head
    async for page in pages:
        yield render(page)


def _render_lines(page: Iterable[MessageDetails]) -> bytes:
    lines = (to_message_response(item).model_dump_json(by_alias=True) for item in page)
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def _cut_short(reason: str) -> ClientDisconnect:
    log.warning("export_cut_short", reason=reason)
    return ClientDisconnect()
