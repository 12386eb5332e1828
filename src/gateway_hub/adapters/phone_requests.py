"""What both adapters need of HTTP: the paths a phone may use, and its body within limits."""

from collections.abc import AsyncGenerator, Iterable

from starlette.requests import Request
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
    size = 0
    declared = find_header(request, b"content-length") or ""
    if declared.isdecimal() and int(declared) > limit:
        raise BodyTooLargeError
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLargeError
        yield chunk


async def read_body(request: Request, limit: int) -> bytes:
    """Return the whole body; raises BodyTooLargeError if it is longer than *limit* bytes."""
    return b"".join([chunk async for chunk in read_stream(request, limit)])


def media_type(request: Request) -> str:
    """Return the body's type in lower case without parameters; empty if none is named."""
    return (find_header(request, b"content-type") or "").partition(";")[0].strip().lower()
