"""Bodies of requests: what is read, how much of it, and for whom."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.api.bodies import parse_json
from gateway_hub.api.problems import ProblemError
from tests.api.clients import connect, problem_of, refused_fields

MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"to=1", id="a form"),
        pytest.param(b"{'to': '1'}", id="single quotes"),
        pytest.param(b'{"to": NaN}', id="NaN"),
        pytest.param(b'{"to": -Infinity}', id="infinity"),
        pytest.param(b'{"to": "1", "to": "2"}', id="a name twice"),
        pytest.param(b'{"a": {"to": "1", "to": "1"}}', id="a name twice below"),
        pytest.param(b'{"to": "\x00"}', id="a raw NUL"),
        pytest.param(b'\xff{"to": "1"}', id="not UTF-8"),
        pytest.param('{"to": "1"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"to": "1"}', id="byte order mark"),
        pytest.param(b"[" * 100_000, id="lists a hundred thousand deep"),
        pytest.param(b'{"a":' * 100_000, id="objects a hundred thousand deep"),
        pytest.param(b"[" * 50_000 + b"]" * 50_000, id="deep but complete"),
        pytest.param(b'{"to": ' + b"9" * 5_000 + b"}", id="a number of 5,000 digits"),
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_json(body)
    assert (caught.value.status, caught.value.code) == (400, "malformed_json")


async def test_malformed_json_is_told_as_a_problem(shared: httpx.AsyncClient) -> None:
    answer = await shared.post("/v1/messages", content=b"{", headers=JSON)
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "malformed_json")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Content-Type": "text/plain"}, id="text"),
        pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, id="form"),
        pytest.param({"Content-Type": "application/jsonx"}, id="alike"),
        pytest.param({**JSON, "Content-Encoding": "gzip"}, id="compressed"),
    ],
)
async def test_another_content_type_is_415(
    shared: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await shared.post("/v1/messages", content=b"{}", headers=headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON ; charset=utf-8", 'application/json;charset="UTF-8"'],
)
async def test_json_is_read_however_it_is_named(
    shared: httpx.AsyncClient, content_type: str
) -> None:
    answer = await shared.post(
        "/v1/messages", content=b'{"to": "1"}', headers={"Content-Type": content_type}
    )
    assert ("/text", "required") in refused_fields(answer)


async def test_a_missing_body_is_a_missing_field(shared: httpx.AsyncClient) -> None:
    assert refused_fields(await shared.post("/v1/messages")) == [("", "required")]


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"7", b"true"])
async def test_a_body_that_is_no_object_is_refused(shared: httpx.AsyncClient, body: bytes) -> None:
    [(pointer, _)] = refused_fields(await shared.post("/v1/messages", content=body, headers=JSON))
    assert pointer == ""


async def _in_chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65_536):
        yield b" " * 65_536
    yield b"{}"


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/messages", MIB), ("/v1/messages/batch", 8 * MIB), ("/v1/devices", MIB)],
)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_a_body_may_be_as_large_as_its_limit_and_no_larger(
    shared: httpx.AsyncClient, path: str, limit: int, chunked: bool
) -> None:
    fitting = b" " * (limit - 2) + b"{}"
    answer = await shared.post(path, content=fitting, headers=JSON)
    assert answer.status_code == 422
    larger = _in_chunks(limit) if chunked else b" " + fitting
    answer = await shared.post(path, content=larger, headers=JSON)
    assert (answer.status_code, problem_of(answer)["code"]) == (413, "content_too_large")


async def test_not_a_byte_is_read_of_a_stranger(shared_app: FastAPI) -> None:
    read: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        read.append(b"{}")
        yield b"{}"

    async with connect(shared_app, "ghk_unknown") as stranger:
        answer = await stranger.post("/v1/messages", content=body(), headers=JSON)
    assert answer.status_code == 401
    assert read == []
