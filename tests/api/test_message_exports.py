"""Exports: whole, in order, bounded in memory, and harmless in a spreadsheet."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from gateway_hub.api.application import create_api
from gateway_hub.api.message_exports import stream_pages
from gateway_hub.api.spreadsheets import defuse, render_rows
from gateway_hub.domain.access import Scope
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import (
    Direction,
    Message,
    MessageDetails,
    MessageDraft,
    MessageFilter,
    MessageType,
)
from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.clients import connected, refused_fields

EXPORT = "/v1/messages/export"
FORMULA = tuple("=+-@\N{FULLWIDTH PLUS SIGN}")


async def _default_id(hub: Hub) -> str:
    return (await hub.access.get_project("default")).id


async def _submit(hub: Hub, count: int, **fields: Any) -> list[str]:
    drafts = [MessageDraft("+255712345678", f"text {n}", **fields) for n in range(count)]
    results = await hub.outbox.submit_batch(await _default_id(hub), drafts)
    return [result.id for result in results if not isinstance(result, Exception)]


async def _export_csv(client: httpx.AsyncClient, **filters: str) -> list[dict[str, str]]:
    answer = await client.get(EXPORT, params={"format": "csv", **filters})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="messages.csv"'
    return list(csv.DictReader(io.StringIO(answer.text, newline=""), strict=True))


async def _export_lines(client: httpx.AsyncClient, **filters: str) -> list[dict[str, Any]]:
    answer = await client.get(EXPORT, params={"format": "ndjson", **filters})
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


@pytest.mark.parametrize("count", [0, 1, 200, 450])
async def test_every_message_is_exported_once_newest_first(
    hub: Hub, admin: httpx.AsyncClient, count: int
) -> None:
    ids = await _submit(hub, count) if count else []
    assert [line["id"] for line in await _export_lines(admin)] == ids[::-1]
    assert [row["id"] for row in await _export_csv(admin)] == ids[::-1]


async def test_a_line_is_what_the_list_has(hub: Hub, admin: httpx.AsyncClient) -> None:
    device = await phones.register(hub, await _default_id(hub))
    await _submit(hub, 2, metadata={"k": "v"})
    await phones.poll(hub, device)
    await phones.forward_mms(hub, device, b"<p>", "label")
    listed = (await admin.get("/v1/messages")).json()["data"]
    assert await _export_lines(admin) == listed
    for row, message in zip(await _export_csv(admin), listed, strict=True):
        assert row["status"] == message["status"]
        assert row["created_at"] == message["created_at"]
        assert row["text"] == message["text"]
        assert row["attachments"] == str(len(message["attachments"]))
        assert json.loads(row["metadata"] or "{}") == message["metadata"]


async def test_the_filters_are_those_of_the_list(hub: Hub, admin: httpx.AsyncClient) -> None:
    device = await phones.register(hub, await _default_id(hub))
    await phones.forward_sms(hub, device, "+255700000003", "hello")
    (wanted,) = await _submit(hub, 1, reference="r1")
    assert [row["id"] for row in await _export_csv(admin, reference="r1")] == [wanted]
    assert [line["text"] for line in await _export_lines(admin, direction="inbound")] == ["hello"]
    assert await _export_lines(admin, contact="0700 000 999") == []
    assert refused_fields(await admin.get(EXPORT)) == [("/format", "required")]
    for wrong in ({"format": "xlsx"}, {"format": "csv", "limit": "5"}):
        assert (await admin.get(EXPORT, params=wrong)).status_code == 422


async def test_one_project_exports_nothing_of_another(hub: Hub) -> None:
    await _submit(hub, 1)
    await hub.access.create_project("clinics", None)
    app = create_api(hub)
    async with connected(app, hub, Scope.MESSAGES_READ, project="clinics") as client:
        assert await _export_lines(client) == []
    async with connected(app, hub, Scope.MESSAGES_WRITE) as client:
        assert (await client.get(EXPORT, params={"format": "csv"})).status_code == 403


APOSTROPHES = {
    "=1+1": "'=1+1",
    '=HYPERLINK("http://evil.example","x")': """'=HYPERLINK("http://evil.example","x")""",
    "+1+1": "'+1+1",
    "-1+1": "'-1+1",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1+1": "'\t'=1+1",
    "\r=1+1": "'\r'=1+1",
    "\n=1+1": "'\n'=1+1",
    "\N{FULLWIDTH EQUALS SIGN}1+1": "'\N{FULLWIDTH EQUALS SIGN}1+1",
    "\N{FULLWIDTH PLUS SIGN}1+1": "'\N{FULLWIDTH PLUS SIGN}1+1",
    "\N{FULLWIDTH HYPHEN-MINUS}1+1": "'\N{FULLWIDTH HYPHEN-MINUS}1+1",
    "\N{FULLWIDTH COMMERCIAL AT}SUM(A1)": "'\N{FULLWIDTH COMMERCIAL AT}SUM(A1)",
    "a;=1+1": "a;'=1+1",
    'a;"=1+1"': """a;"'=1+1\"""",
    "a\r\n-1": "a\r\n'-1",
}


@pytest.mark.parametrize("text", APOSTROPHES)
async def test_no_cell_begins_a_formula(hub: Hub, admin: httpx.AsyncClient, text: str) -> None:
    device = await phones.register(hub, await _default_id(hub))
    await phones.forward_sms(hub, device, "=cmd|' /C calc'!A0", text)
    (row,) = await _export_csv(admin)
    assert row["text"] == APOSTROPHES[text]
    assert row["from"] == "'=cmd|' /C calc'!A0"
    (line,) = await _export_lines(admin)
    assert line["text"] == text


@given(text=st.text(alphabet="=+-@;,'\"\t\r\n a1\N{FULLWIDTH PLUS SIGN}"))
def test_whatever_parts_the_cells_none_begins_a_formula(text: str) -> None:
    """Where lists are parted by semicolons, spreadsheets part the cells of any table by them."""
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    kind = (Direction.INBOUND, MessageType.SMS, Status.RECEIVED)
    message = Message("id", "project", *kind, text, now, now, from_number=text)
    written = render_rows([MessageDetails(message)]).decode("utf-8")
    for delimiter in ",;\t":
        table = csv.reader(io.StringIO(written, newline=""), delimiter=delimiter)
        cells = [cell for row in table for cell in row]
        assert not [cell for cell in cells if cell.lstrip("\t\r\n").startswith(FORMULA)]
    assert len(list(csv.reader(io.StringIO(written, newline=""), strict=True))) == 1


def test_what_is_no_formula_stays_as_it_is() -> None:
    for text in ("", "hello", "1+1", "'=1", " =1", "a, -1", "2026-01-31T09:30:00.000Z"):
        assert defuse(text) == text


async def test_a_page_is_read_when_it_is_asked_for(hub: Hub) -> None:
    """A client that is slow, or gone, holds neither a connection nor more than a page."""
    project_id, ids = await _default_id(hub), await _submit(hub, 450)
    every = MessageFilter()
    first = await hub.outbox.list_messages(project_id, every, before="~", limit=200)
    pages = stream_pages(hub, project_id, every, first)
    assert [item.message.id for item in await anext(pages)] == ids[:-201:-1]
    async with asyncio.timeout(10):  # others read too, now and then
        while hub.database._reading:
            await asyncio.sleep(0.01)
    await _submit(hub, 5)
    assert [len(page) async for page in pages] == [200, 50]


async def test_a_hub_that_stops_breaks_the_download(hub: Hub) -> None:
    project_id, every = await _default_id(hub), MessageFilter()
    await _submit(hub, 201)
    first = await hub.outbox.list_messages(project_id, every, before="~", limit=200)
    pages = stream_pages(hub, project_id, every, first)
    await anext(pages)
    hub.wakeups.stop()
    with pytest.raises(ClientDisconnect):
        await anext(pages)


async def test_a_database_out_of_reach_breaks_the_download(hub: Hub) -> None:
    project_id, every = await _default_id(hub), MessageFilter()
    await _submit(hub, 201)
    first = await hub.outbox.list_messages(project_id, every, before="~", limit=200)
    pages = stream_pages(hub, project_id, every, first)
    await anext(pages)
    await hub.database.stop()
    with pytest.raises(ClientDisconnect):
        await anext(pages)
