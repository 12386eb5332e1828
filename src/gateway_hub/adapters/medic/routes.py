"""The CHT gateway's single endpoint: GET proves that a gateway is here, POST is everything else."""

import gzip
from collections.abc import Sequence

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway_hub.adapters.medic.credentials import parse_basic, parse_query_identity
from gateway_hub.adapters.medic.translate import parse_user_agent, translate_post
from gateway_hub.adapters.medic.wire import (
    MAX_BODY_BYTES,
    WireError,
    decompress_body,
    parse_post,
    render_answer,
    render_error,
    render_probe,
)
from gateway_hub.adapters.phone_requests import (
    BodyTooLargeError,
    find_header,
    media_type,
    phone_routes,
    read_body,
)
from gateway_hub.domain.devices import Device, PhoneFacts
from gateway_hub.domain.errors import UnavailableError
from gateway_hub.services.hub import Hub

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS = 15.0
"""The app sets no time limit of its own, and a hung answer blocks it: it is always answered."""

_GZIP_FROM_BYTES = 1024


def create_medic_routes(hub: Hub, extra_paths: Sequence[str] = ()) -> list[Route]:
    """Return the routes of the medic protocol, also on *extra_paths*."""
    return phone_routes(
        "medic", extra_paths, MedicEndpoint(hub), _error(404, "There is nothing at this address.")
    )


class MedicEndpoint:
    """An ASGI application for one path. Every answer is a JSON object, errors included."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except WireError as error:
            return _error(error.http_status, error.detail)
        except BodyTooLargeError:
            return _error(413, f"body is larger than {MAX_BODY_BYTES} bytes")
        except UnavailableError as error:
            return _error(503, error.detail, {"Retry-After": str(error.retry_after_seconds)})
        except ClientDisconnect:
            raise
        except Exception:
            log.exception("medic_request_failed")
            return _error(500, "The hub failed; nothing was taken. The phone will try again.")

    async def _answer(self, request: Request) -> Response:
        if request.method not in {"GET", "HEAD", "POST"}:
            return _error(405, "This address takes GET and POST.", {"Allow": "GET, HEAD, POST"})
        device = await self._find_device(request)
        if device is None:
            # Android 4.2 and older throw at a 401 without a challenge.
            challenge = {"WWW-Authenticate": 'Basic realm="gateway-hub", charset="UTF-8"'}
            return _error(401, "The user name or password is wrong.", challenge)
        if request.method != "POST":
            return _json(200, render_probe())
        return await self._exchange(request, device)

    async def _find_device(self, request: Request) -> Device | None:
        project = request.path_params.get("project")
        header = find_header(request, b"authorization")
        if header is not None:
            basic = parse_basic(header)
            usernames = basic.usernames if basic else ()
            passwords = basic.passwords if basic else ()
        else:
            in_query = parse_query_identity(request.scope.get("query_string", b""))
            usernames = (in_query[0],) if in_query else ()
            passwords = (in_query[1].encode(),) if in_query else ()
        if not usernames:
            return None
        return await self._hub.identity.find_by_password(usernames, passwords, project)

    async def _exchange(self, request: Request, device: Device) -> Response:
        if media_type(request) not in {"application/json", ""}:
            raise WireError("Content-Type must be application/json", 415)
        body = await read_body(request, MAX_BODY_BYTES)
        wire = parse_post(decompress_body(body, find_header(request, b"content-encoding")))
        app_version, model = parse_user_agent(find_header(request, b"user-agent"))
        post = translate_post(wire, facts=PhoneFacts(app_version=app_version, model=model))
        answer = await self._hub.phones.exchange(device, post, patience_seconds=_PATIENCE_SECONDS)
        return _compressed(request, render_answer(answer.offers))


def _compressed(request: Request, body: bytes) -> Response:
    if len(body) < _GZIP_FROM_BYTES or "gzip" not in (
        find_header(request, b"accept-encoding") or ""
    ):
        return _json(200, body)
    return _json(200, gzip.compress(body, 6), {"Content-Encoding": "gzip"})


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return _json(status, render_error(message), headers)


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, media_type="application/json")
