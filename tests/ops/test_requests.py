import re
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from gateway_hub.ops.requests import RequestContext
from tests.ops.conftest import CatchLines
from tests.ops.log_lines import LogLines

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def echo(request: Request) -> Response:
    structlog.get_logger().info("inside")
    return PlainTextResponse(request.state.request_id, headers={"X-Request-Id": "the route's own"})


async def fail(_request: Request) -> Response:
    raise RuntimeError("the reason")


async def phone(_request: Request) -> Response:
    return PlainTextResponse("work", 200)


phone.__module__ = "gateway_hub.adapters.medic.routes"

ROUTES = [
    Route("/echo", echo, methods=["GET", "POST"]),
    Route("/fail", fail),
    Route("/phone", phone),
    Route("/livez", phone),
    Mount("/v1", routes=[Route("/things/{thing_id}/parts/{part_id}", echo)]),
]

Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def lines(catch_lines: CatchLines) -> LogLines:
    return catch_lines("DEBUG")


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    app = RequestContext(Starlette(routes=ROUTES))
    # An error that gets out of the middleware fails the test.
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:

        async def ask(path: str, method: str = "GET", **headers: str) -> httpx.Response:
            named = {
                name.replace("_", "-").encode(): value.encode() for name, value in headers.items()
            }
            return await client.request(method, path, headers=named)

        yield ask


async def test_a_request_without_an_id_gets_one_everywhere(ask: Ask, lines: LogLines) -> None:
    answer = await ask("/echo")
    assert UUID7.fullmatch(answer.text)
    assert answer.headers.get_list("X-Request-Id") == [answer.text]
    assert {event["request_id"] for event in lines.events} == {answer.text}


async def test_the_id_ends_with_the_request(ask: Ask, lines: LogLines) -> None:
    await ask("/echo")
    structlog.get_logger().info("after")
    assert "request_id" not in lines.events[-1]


@pytest.mark.parametrize("given", ["abcd1234", "A.b_c-9" * 10, "x" * 128])
async def test_a_good_id_from_outside_is_kept(ask: Ask, given: str) -> None:
    assert (await ask("/echo", X_Request_Id=given)).text == given


@pytest.mark.parametrize(
    "given", ["short", "x" * 129, "has space", "new\\nline", "a" * 8 + "é", ""]
)
async def test_any_other_id_from_outside_is_replaced(ask: Ask, given: str) -> None:
    assert UUID7.fullmatch((await ask("/echo", X_Request_Id=given)).text)


@pytest.mark.parametrize("path", ["/echo", "/fail", "/nothing", "/phone"])
async def test_every_answer_has_the_safe_headers(ask: Ask, path: str) -> None:
    headers = (await ask(path)).headers
    assert headers.get_list("X-Content-Type-Options") == ["nosniff"]
    assert headers.get_list("Referrer-Policy") == ["no-referrer"]
    assert "X-Request-Id" in headers


async def test_a_request_is_one_line_without_its_query(ask: Ask, lines: LogLines) -> None:
    await ask("/nothing?h=s3cret&id=phone", "POST")
    (event,) = lines.events
    assert event["ms"] >= 0
    told = {name: event[name] for name in ("level", "event", "method", "path", "status")}
    assert told == {
        "level": "info",
        "event": "request",
        "method": "POST",
        "path": "/nothing",
        "status": 404,
    }
    assert "s3cret" not in lines.text


async def test_a_path_is_logged_with_names_for_its_parameters(ask: Ask, lines: LogLines) -> None:
    await ask("/v1/things/0123/parts/4567")
    assert lines.events[-1]["path"] == "/v1/things/{thing_id}/parts/{part_id}"


async def test_a_path_cannot_forge_a_line(ask: Ask, lines: LogLines) -> None:
    await ask("/x%0A%1B%E2%80%AE" + "y" * 5_000)
    (event,) = lines.events
    assert event["path"].startswith("/x\\n\\x1b\\u202ey")
    assert len(event["path"]) < 300


ROUTINE = [
    pytest.param("/phone", "debug", id="phone-that-asks"),
    pytest.param("/livez", "debug", id="probe"),
    pytest.param("/echo", "info", id="anything-else"),
]


@pytest.mark.parametrize(("path", "level"), ROUTINE)
async def test_routine_is_logged_at_debug(ask: Ask, lines: LogLines, path: str, level: str) -> None:
    await ask(path)
    assert lines.events[-1]["level"] == level


async def test_an_error_is_answered_and_logged_once(ask: Ask, lines: LogLines) -> None:
    answer = await ask("/fail")
    assert answer.status_code == 500
    errors = [event for event in lines.events if event["level"] == "error"]
    assert len(errors) == 1
    assert errors[0]["exception"].endswith("RuntimeError: the reason")
    assert "the reason" not in answer.text
    assert lines.events[-1]["status"] == 500


async def serve(app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> list[Message]:
    """Return what is sent in answer to a request that *app* serves by itself."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await RequestContext(app)(scope, receive, send)
    return sent


async def test_an_error_before_any_answer_is_told_as_a_problem(lines: LogLines) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("the reason")

    start, body = await serve(app)
    assert start["status"] == 500
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert b'"code":"internal_error"' in body["body"]
    assert [event["event"] for event in lines.events] == ["request_failed", "request"]


async def test_an_error_amid_an_answer_leaves_it_unfinished(lines: LogLines) -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("the reason")

    (start,) = await serve(app)
    assert start["status"] == 200
    assert [event["event"] for event in lines.events] == ["request_failed", "request"]


async def test_a_client_that_hung_up_is_no_error(lines: LogLines) -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnect

    assert await serve(app) == []
    (event,) = lines.events
    assert (event["level"], event["status"]) == ("info", 499)


@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_connections_pass_untouched(kind: str) -> None:
    seen: list[tuple[object, ...]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        return {}

    async def send(_message: Message) -> None:
        return

    scope: Scope = {"type": kind}
    await RequestContext(app)(scope, receive, send)
    assert seen == [(scope, receive, send)]
    assert scope == {"type": kind}
