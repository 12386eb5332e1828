"""HEAD as GET without its body; an answer, and a log line, for what nobody foresaw."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from structlog.testing import capture_logs

from gateway_hub.api.application import create_api
from gateway_hub.services.hub import Hub
from tests.api.clients import OPERATOR_TOKEN, REQUEST_ID, connect, problem_of
from tests.serving import serving

SECRET = "Your code is 4711"


def _failing(hub: Hub) -> FastAPI:
    async def fail(_request: Request) -> Response:
        raise RuntimeError(SECRET) from KeyError(SECRET)

    async def fail_halfway(_request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"half"
            raise RuntimeError(SECRET)

        return StreamingResponse(parts())

    app = create_api(hub)
    app.add_route("/fails", fail)
    app.add_route("/fails-halfway", fail_halfway)
    return app


async def test_an_unforeseen_error_is_a_500_that_tells_nothing(shared_hub: Hub) -> None:
    async with connect(_failing(shared_hub), None) as client:
        with capture_logs() as lines:
            answer = await client.get("/fails")
    assert (answer.status_code, problem_of(answer)["code"]) == (500, "internal_error")
    assert "RuntimeError" not in answer.text
    assert SECRET not in answer.text
    [line] = [line for line in lines if line["log_level"] != "debug"]
    assert (line["event"], line["log_level"]) == ("request_failed", "error")
    assert (line["request_id"], line["error"]) == (REQUEST_ID, "RuntimeError < KeyError")
    assert "in fail\n" in line["stack"]
    assert SECRET not in str(line)


async def test_half_an_answer_does_not_pass_for_a_whole_one(shared_hub: Hub) -> None:
    async with connect(_failing(shared_hub), None) as client:
        with capture_logs() as lines, pytest.raises(RuntimeError):
            await client.get("/fails-halfway")
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["request_failed"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/x", "/v1/devices", "/v1/nothing"])
async def test_head_answers_as_get_without_the_body(shared: httpx.AsyncClient, path: str) -> None:
    get, head = await shared.get(path), await shared.head(path)
    assert (head.status_code, head.headers, head.content) == (get.status_code, get.headers, b"")


async def test_no_body_goes_over_the_wire_for_head(shared_app: FastAPI) -> None:
    request = (
        "HEAD /v1/messages HTTP/1.1\r\nHost: hub.example.test\r\nConnection: close\r\n"
        f"Authorization: Bearer {OPERATOR_TOKEN}\r\n\r\n"
    )
    async with serving(shared_app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request.encode("ascii"))
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 30" in head.lower()
    assert body == b""
