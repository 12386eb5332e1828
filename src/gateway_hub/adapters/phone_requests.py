"""What both adapters need of HTTP: the paths a phone may use, and its body within limits."""

from collections.abc import AsyncGenerator, Iterable

from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route
from starlette.types import ASGIApp


class BodyTooLargeError(Exception):
    """The body is longer than the route takes."""


def phone_routes(
    name: str, extra_paths: Iterable[str], serve: ASGIApp, refuse: ASGIApp
) -> list[Route]:
    """Return the routes of the protocol *name*, served by *serve*.

    Each path works with and without a final slash, since the apps lose a message when they are
    redirected; everything below is answered by *refuse*, in the protocol's own form.
    """
    paths = [f"/{name}", f"/p/{{project}}/{name}", *extra_paths]
    routes: list[Route] = []
    for path in paths:
        bare = path.rstrip("/")
        routes.append(Route(bare or "/", endpoint=serve, include_in_schema=False))
        if bare:
            routes.append(Route(f"{bare}/", endpoint=serve, include_in_schema=False))
            routes.append(Route(f"{bare}/{{rest:path}}", endpoint=refuse, include_in_schema=False))
    return routes


def find_header(request: Request, name: bytes) -> str | None:
    """Return the header *name*, in lower case, without building all of them first."""
    for key, value in request.scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


async def read_stream(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body in pieces; raises BodyTooLargeError as soon as it is longer than *limit*."""
    left = _check_declared(request, limit)
    is_last = False
    while not is_last:
        chunk, is_last = await _receive(request, left)
        left -= len(chunk)
        yield chunk


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body; raises BodyTooLargeError if it is longer than *limit* bytes."""
    left = _check_declared(request, limit)
    chunk, is_last = await _receive(request, left)
    if is_last:
        return chunk
    chunks = [chunk]
    while not is_last:
        left -= len(chunk)
        chunk, is_last = await _receive(request, left)
        chunks.append(chunk)
    return b"".join(chunks)


def _check_declared(request: Request, limit: int) -> int:
    """Return *limit* if the body does not say beforehand that it is longer."""
    declared = find_header(request, b"content-length") or ""
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError
    return limit


async def _receive(request: Request, limit: int) -> tuple[bytes, bool]:
    """Return the next piece of the body, of *limit* bytes at most, and whether it is the last.

    The framework's own stream costs several times as much, which a poll feels.
    """
    message = await request.receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    chunk: bytes = message.get("body", b"")
    if len(chunk) > limit:
        raise BodyTooLargeError
    return chunk, not message.get("more_body", False)


def media_type(request: Request) -> str:
    """Return the body's type in lower case without parameters; empty if none is named."""
    return (find_header(request, b"content-type") or "").partition(";")[0].strip().lower()
