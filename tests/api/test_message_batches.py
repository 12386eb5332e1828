"""Batches: each item by itself, answered in its place."""

import json
from typing import Any

import httpx
import pytest

from gateway_hub.domain.errors import InvalidInputError
from tests.api.clients import REQUEST_ID, problem_of, refused_fields

HEADERS = {"Content-Type": "application/json"}
GOOD = {"to": "+255712345678", "text": "Habari"}


async def _post(client: httpx.AsyncClient, messages: list[Any]) -> list[dict[str, Any]]:
    # As escapes: a batch may hold halves of surrogate pairs.
    body = json.dumps({"messages": messages}).encode("ascii")
    answer = await client.post("/v1/messages/batch", content=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    assert list(answer.json()) == ["data"]
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def test_each_item_says_whether_it_is_to_be_sent_in_plain_typography(
    admin: httpx.AsyncClient,
) -> None:
    curly = {**GOOD, "text": "it\N{RIGHT SINGLE QUOTATION MARK}s"}
    data = await _post(admin, [{**curly, "transliterate": True}, curly])
    assert [item["message"]["text"] for item in data] == ["it's", curly["text"]]


async def test_each_item_is_answered_in_its_place(admin: httpx.AsyncClient) -> None:
    data = await _post(
        admin,
        [
            {**GOOD, "text": "first"},
            {"text": "no recipient"},
            {**GOOD, "text": "half \ud83d"},
            5,
            {**GOOD, "to": "no number"},
            None,
            {**GOOD, "metadata": {"k": "\x00"}},
            {**GOOD, "route": {"device_id": "unknown"}},
            {**GOOD, "text": "last"},
        ],
    )
    assert [item["status"] for item in data] == [201, 422, 422, 422, 422, 422, 422, 422, 201]
    assert [list(item) for item in data[:2]] == [["status", "message"], ["status", "problem"]]
    assert (data[0]["message"]["text"], data[-1]["message"]["text"]) == ("first", "last")
    problems = [item["problem"] for item in data[1:-1]]
    assert [(p["errors"][0]["pointer"], p["errors"][0]["code"]) for p in problems] == [
        ("/to", "required"),
        ("/text", "unstorable_character"),
        ("", "wrong_type"),
        ("/to", "not_a_number"),
        ("", "wrong_type"),
        ("/metadata/k", "unstorable_character"),
        ("/route/device_id", "unknown_device"),
    ]
    for problem in problems:
        assert (problem["status"], problem["code"]) == (422, InvalidInputError.code)
        assert problem["request_id"] == REQUEST_ID
    listed = (await admin.get("/v1/messages")).json()["data"]
    assert [item["text"] for item in listed] == ["last", "first"]
    assert listed == [data[-1]["message"], data[0]["message"]]


async def test_a_thousand_messages_keep_their_order(admin: httpx.AsyncClient) -> None:
    messages = [{**GOOD, "text": str(n) if n % 10 else ""} for n in range(1000)]
    data = await _post(admin, messages)
    told = [item["message"]["text"] if "message" in item else "" for item in data]
    assert told == [message["text"] for message in messages]
    ids = [item["message"]["id"] for item in data if "message" in item]
    assert ids == sorted(ids)
    assert len(set(ids)) == 900


async def test_a_batch_of_bad_items_stores_nothing(admin: httpx.AsyncClient) -> None:
    data = await _post(admin, [{}, []])
    assert [item["status"] for item in data] == [422, 422]
    assert (await admin.get("/v1/messages")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        pytest.param({}, "/messages", "required", id="no messages"),
        pytest.param({"messages": []}, "/messages", "too_short", id="empty"),
        pytest.param({"messages": [GOOD] * 1001}, "/messages", "too_long", id="1001"),
        pytest.param({"messages": GOOD}, "/messages", "wrong_type", id="no list"),
        pytest.param({"messages": [GOOD], "to": "1"}, "/to", "unknown_field", id="more"),
        pytest.param([GOOD], "", "wrong_type", id="a bare list"),
    ],
)
async def test_what_is_no_batch_is_refused_as_a_whole(
    shared: httpx.AsyncClient, body: Any, pointer: str, code: str
) -> None:
    answer = await shared.post("/v1/messages/batch", json=body)
    assert refused_fields(answer) == [(pointer, code)]
    assert problem_of(answer)["code"] == "invalid_input"
    assert (await shared.get("/v1/messages")).json()["data"] == []
