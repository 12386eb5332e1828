"""Paging: a walk through a list meets every item once, and only with cursors of that walk."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.api.pages import InvalidCursorError, PageQuery, Pager
from gateway_hub.services.hub import Hub
from tests.api.clients import connected, problem_of

ITEM_ID = "019c1350-8a40-7c31-9a55-3f1c2b7d9e01"


async def _walk(client: httpx.AsyncClient, path: str, **query: Any) -> list[list[dict[str, Any]]]:
    pages: list[list[dict[str, Any]]] = []
    cursor: str | None = ""
    while cursor is not None:
        parameters = {**query, "cursor": cursor} if cursor else query
        answer = await client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        assert list(answer.json()) == ["data", "next_cursor"]
        pages.append(answer.json()["data"])
        cursor = answer.json()["next_cursor"]
    return pages


async def _send(client: httpx.AsyncClient, count: int) -> list[str]:
    messages = [{"to": "+255712345678", "text": f"number {n}"} for n in range(count)]
    answer = await client.post("/v1/messages/batch", json={"messages": messages})
    return [item["message"]["id"] for item in answer.json()["data"]]


async def test_a_walk_meets_every_message_once_newest_first(admin: httpx.AsyncClient) -> None:
    sent = await _send(admin, 205)
    pages = await _walk(admin, "/v1/messages", limit=40)
    assert [len(page) for page in pages] == [40, 40, 40, 40, 40, 5]
    assert [item["id"] for page in pages for item in page] == sent[::-1]
    assert [len(page) for page in await _walk(admin, "/v1/messages", limit=200)] == [200, 5]
    assert len((await admin.get("/v1/messages")).json()["data"]) == 50


async def test_a_full_last_page_has_no_cursor(admin: httpx.AsyncClient) -> None:
    await _send(admin, 4)
    assert [len(page) for page in await _walk(admin, "/v1/messages", limit=2)] == [2, 2]
    assert await _walk(admin, "/v1/devices") == [[]]


async def test_messages_that_come_during_a_walk_disturb_it_not(admin: httpx.AsyncClient) -> None:
    sent = await _send(admin, 4)
    first = (await admin.get("/v1/messages", params={"limit": 2})).json()
    await _send(admin, 3)
    query: dict[str, Any] = {"limit": 200, "cursor": first["next_cursor"]}
    rest = (await admin.get("/v1/messages", params=query)).json()
    assert [item["id"] for item in first["data"] + rest["data"]] == sent[::-1]


async def test_every_other_list_is_walked_alike(admin: httpx.AsyncClient) -> None:
    for number in range(3):
        await admin.post("/v1/devices", json={"name": f"d{number}", "protocol": "medic"})
        await admin.post("/v1/projects", json={"name": f"p{number}"})
        key = {"name": f"k{number}", "scopes": ["messages:read"]}
        await admin.post("/v1/api-keys", json=key)
    expected = {
        "/v1/devices": ["d2", "d1", "d0"],
        "/v1/projects": ["p2", "p1", "p0", "default"],
        "/v1/api-keys": ["k2", "k1", "k0"],
    }
    for path, names in expected.items():
        pages = await _walk(admin, path, limit=2)
        assert [item["name"] for page in pages for item in page] == names


async def test_a_cursor_is_good_for_its_own_list_and_filters_only(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient
) -> None:
    await _send(admin, 3)
    query: dict[str, Any] = {"limit": 1, "status": "queued"}
    cursor = (await admin.get("/v1/messages", params=query)).json()["next_cursor"]
    await hub.access.create_project("other", None)
    wrong: list[tuple[str, dict[str, str]]] = [
        ("/v1/messages", {}),
        ("/v1/messages", {"status": "sent"}),
        ("/v1/messages", {"status": "queued", "q": "number"}),
        ("/v1/devices", {}),
    ]
    for path, filters in wrong:
        answer = await admin.get(path, params={**filters, "cursor": cursor})
        assert (answer.status_code, problem_of(answer)["code"]) == (422, "invalid_cursor")
    async with connected(app, hub, project="other") as stranger:
        answer = await stranger.get("/v1/messages", params={**query, "cursor": cursor})
        assert problem_of(answer)["code"] == "invalid_cursor"
    again = {"limit": 2, "status": "queued", "cursor": cursor}
    assert (await admin.get("/v1/messages", params=again)).status_code == 200


@pytest.mark.parametrize(
    "garbled",
    [
        pytest.param("", id="empty"),
        pytest.param("x", id="too short"),
        pytest.param("{head}", id="cut"),
        pytest.param("{head}{tail}AAAA", id="longer"),
        pytest.param("{head}{tail}=", id="padded"),
        pytest.param("A{head}{tail}", id="shifted"),
        pytest.param("{tail}{head}", id="turned around"),
        pytest.param("{head}\n{tail}", id="line end"),
        pytest.param("é" * 32, id="not ASCII"),
        pytest.param("~" * 32, id="not base64"),
        pytest.param("A" * 32, id="zeros"),
        pytest.param(ITEM_ID, id="an id"),
    ],
)
def test_a_garbled_cursor_is_refused(garbled: str) -> None:
    _, cursor = Pager(PageQuery(limit=1), "things").cut([ITEM_ID, ITEM_ID], str)
    assert cursor is not None
    assert Pager(PageQuery(limit=1, cursor=cursor), "things").before == ITEM_ID
    query = PageQuery(limit=1, cursor=garbled.format(head=cursor[:8], tail=cursor[8:]))
    with pytest.raises(InvalidCursorError):
        Pager(query, "things")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "ten", "1.5", "", "1e1"])
async def test_a_limit_is_from_1_to_200(shared: httpx.AsyncClient, limit: str) -> None:
    for path in ("/v1/messages", "/v1/devices", "/v1/projects", "/v1/api-keys"):
        answer = await shared.get(path, params={"limit": limit})
        assert answer.status_code == 422
        assert [item["pointer"] for item in problem_of(answer)["errors"]] == ["/limit"]
