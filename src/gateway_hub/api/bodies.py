"""Request bodies: bounded, JSON, and read only once the caller is known."""

import json
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from gateway_hub.api.problems import ProblemError


class ReadRequest(Request):
    """A request whose body was read and parsed already."""

    def __init__(self, scope: Scope, receive: Receive, body: bytes, content: Any) -> None:
        super().__init__(scope, receive)
        self._read_body = body
        self._content = content

    async def body(self) -> bytes:
        """Return the body as it came."""
        return self._read_body

    async def json(self) -> Any:
        """Return what the body says."""
        return self._content


async def read_json(request: Request, *, limit_bytes: int) -> ReadRequest:
    """Return *request* with its body read. Raises ProblemError: 400, 413 or 415.

    A request without a body is let through; whether one is needed, its route knows.
    """
    body = await _read(request, limit_bytes)
    if not body:
        return ReadRequest(request.scope, request.receive, body, None)
    _check_encoding(request)
    return ReadRequest(request.scope, request.receive, body, parse_json(body))


def parse_json(body: bytes) -> Any:
    """Return what *body* says. Raises ProblemError unless it is JSON that can be read in one way.

    Half a surrogate pair passes: the fields tell of it, each in its place.
    """
    try:
        return json.loads(
            body.decode("utf-8"), object_pairs_hook=_to_object, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "malformed_json", "The body is not valid JSON in UTF-8.") from error


async def _read(request: Request, limit_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit_bytes:
        _refuse_size(limit_bytes)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit_bytes:
                _refuse_size(limit_bytes)
    except ClientDisconnect as error:
        raise ProblemError(400, "incomplete_body", "The body ended too early.") from error
    return bytes(body)


def _refuse_size(limit_bytes: int) -> NoReturn:
    detail = f"The body may have at most {limit_bytes:,} bytes."
    raise ProblemError(413, "content_too_large", detail)


def _check_encoding(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        detail = "The body must be JSON, with Content-Type: application/json."
        raise ProblemError(415, "unsupported_media_type", detail)
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        detail = "The body must not be compressed."
        raise ProblemError(415, "unsupported_media_type", detail, {"Accept-Encoding": "identity"})


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of *pairs*; a name given twice could mean either value."""
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
