"""The API as backends see it: an application around a hub, and clients with keys."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway_hub.domain.access import Scope as KeyScope
from gateway_hub.services.hub import Hub

OPERATOR_TOKEN = "operator-token-of-the-tests"
REQUEST_ID = "request-0001"
STREAM = "/v1/events/stream"
BASE_URL = "http://hub.example.test"
ALL_BUT_ADMIN = tuple(scope for scope in KeyScope if scope is not KeyScope.ADMIN)


def named(app: ASGIApp) -> ASGIApp:
    """Return *app* with a request id on every request."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["request_id"] = REQUEST_ID
        if scope["path"] == STREAM:
            await _serve_beginning(app, scope, send)
        else:
            await app(scope, receive, send)

    return serve


async def _serve_beginning(app: ASGIApp, scope: Scope, send: Send) -> None:
    """Serve the first that a stream holds, then hang up: the client waits for the end."""
    hung_up = asyncio.Event()

    async def receive_end() -> Message:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def send_first(message: Message) -> None:
        if hung_up.is_set():
            return
        if message.get("body"):
            message = {**message, "more_body": False}
            hung_up.set()
        await send(message)

    await app(scope, receive_end, send_first)


def connect(app: ASGIApp, token: str | None) -> httpx.AsyncClient:
    """Return a client of *app* that shows *token*."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(named(app))
    return httpx.AsyncClient(transport=transport, base_url=BASE_URL, headers=headers)


async def make_key(
    hub: Hub, scopes: Sequence[KeyScope], project: str = "default", tag: str | None = None
) -> str:
    """Return a key of *project* with *scopes*, limited to *tag* if one is given."""
    new = await hub.access.create_key(
        name="key", scopes=frozenset(scopes), project=project, tag=tag
    )
    return new.secret


@asynccontextmanager
async def connected(
    app: ASGIApp, hub: Hub, *scopes: KeyScope, project: str = "default", tag: str | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client with a key of *project* that has *scopes*: all but admin if none is named."""
    token = await make_key(hub, scopes or ALL_BUT_ADMIN, project, tag)
    async with connect(app, token) as client:
        yield client


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem an answer holds, once it is sure to be one."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = answer.json()
    assert list(problem) == ["type", "title", "status", "detail", "code", "request_id", "errors"]
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:gateway-hub:problem:{problem['code']}"
    assert problem["request_id"] == REQUEST_ID
    return problem


def refused_fields(answer: httpx.Response) -> list[tuple[str, str]]:
    """Return pointer and code of each field a 422 names."""
    assert answer.status_code == 422, answer.text
    return [(item["pointer"], item["code"]) for item in problem_of(answer)["errors"]]
