"""The kind of route that all of `/v1` is made of."""

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from gateway_hub.api.authentication import authenticate
from gateway_hub.api.bodies import read_json
from gateway_hub.api.idempotency import answer_once, find_key
from gateway_hub.api.problems import EXTRA_HEADERS, SAFE_HEADERS
from gateway_hub.api.refused_fields import escape_pointer
from gateway_hub.domain.errors import InvalidInputError

_MIB = 1024 * 1024


class ApiRoute(APIRoute):
    """Proves the caller before it reads a byte of the body, and reads no more than it must."""

    body_limit_bytes = _MIB

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of requests that FastAPI builds, behind our own checks."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        acts = "POST" in (self.methods or ())

        async def handle_known_caller(request: Request) -> Response:
            await authenticate(request)
            _check_query(request)
            if takes_body:
                request = await read_json(request, limit_bytes=self.body_limit_bytes)
            key = find_key(request) if acts else None
            if key is None:
                response = await handle(request)
            else:
                response = await answer_once(request, key, handle)
            response.headers.update(SAFE_HEADERS)
            if EXTRA_HEADERS in request.scope:
                response.headers.update(request.scope[EXTRA_HEADERS])
            return response

        return handle_known_caller


class BulkApiRoute(ApiRoute):
    """A route that takes many things at once."""

    body_limit_bytes = 8 * _MIB


def _check_query(request: Request) -> None:
    """Refuse a parameter given twice: no list takes two values, and which one counts is a guess."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in given.items():
        if times > 1:
            raise InvalidInputError.of_field(
                f"/{escape_pointer(name)}", "repeated", "The parameter is given more than once."
            )
