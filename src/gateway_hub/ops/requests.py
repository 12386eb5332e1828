"""What every HTTP request gets: an id, safe headers, one log line, and an answer if all fails."""

import logging
import re
import time
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway_hub.domain.ids import new_id

log = structlog.get_logger(__name__)

_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{8,128}")
_OWN_HEADERS = frozenset({b"x-request-id", b"x-content-type-options", b"referrer-policy"})
_SAFE_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
_HUNG_UP = 499
"""What is logged when the client went away before there was an answer."""

_PROBES = frozenset({"/livez", "/readyz"})
_PHONE_MODULES = "gateway_hub.adapters."
_LONGEST_PATH = 200


class RequestContext:
    """ASGI middleware around the whole application; lifespan and WebSocket pass through it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await _Request(scope, send).serve(self._app, receive)


class _Request:
    """One request on its way through."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._began = time.perf_counter()
        self._status: int | None = None
        self._id = _find_given_id(scope) or new_id()

    async def serve(self, app: ASGIApp, receive: Receive) -> None:
        self._scope.setdefault("state", {})["request_id"] = self._id
        bound = structlog.contextvars.bind_contextvars(request_id=self._id)
        try:
            await app(self._scope, receive, self._send_start)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("request_failed")
            await self._answer_failure()
        finally:
            self._log()
            structlog.contextvars.reset_contextvars(**bound)

    async def _send_start(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = [item for item in message.get("headers", ()) if item[0] not in _OWN_HEADERS]
            headers += [(b"x-request-id", self._id.encode("ascii")), *_SAFE_HEADERS]
            message = {**message, "headers": headers}
        await self._send(message)

    async def _answer_failure(self) -> None:
        """Answer 500, unless an answer has begun; then the server cuts the connection."""
        if self._status is not None:
            return
        problem = {
            "type": "urn:gateway-hub:problem:internal_error",
            "title": "Internal error",
            "status": 500,
            "detail": "The hub failed to serve this request. Its log has the reason.",
            "code": "internal_error",
            "request_id": self._id,
            "errors": [],
        }
        body = orjson.dumps(problem)
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode("ascii")),
        ]
        await self._send_start({"type": "http.response.start", "status": 500, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _log(self) -> None:
        status = self._status or _HUNG_UP
        routine = _is_routine(self._scope, status)
        if routine and not logging.getLogger().isEnabledFor(logging.DEBUG):
            return  # most requests are such, and even to log nothing takes time
        write = log.debug if routine else log.info
        write(
            "request",
            method=self._scope["method"],
            path=_path_template(self._scope),
            status=status,
            ms=round((time.perf_counter() - self._began) * 1000, 1),
        )


def _find_given_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return value.decode("ascii") if _ACCEPTED_ID.fullmatch(value) else None
    return None


def _path_template(scope: Scope) -> str:
    """Return the path with names for its parameters; never the query, which may hold secrets.

    The framework tells a route's own path without the prefix it is mounted under.
    """
    names = {str(value): name for name, value in scope.get("path_params", {}).items()}
    segments = scope["path"][:_LONGEST_PATH].split("/")
    return "/".join(f"{{{names[item]}}}" if item in names else item for item in segments)


def _is_routine(scope: Scope, status: int) -> bool:
    """Say whether this is a phone that asked for work or a probe that found all well."""
    if status != HTTPStatus.OK:
        return False
    module: Any = getattr(scope.get("endpoint"), "__module__", None) or ""
    return module.startswith(_PHONE_MODULES) or scope["path"] in _PROBES
