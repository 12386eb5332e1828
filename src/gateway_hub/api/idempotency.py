"""`Idempotency-Key`: a request said again has its effect once, and gets the first answer again.

After draft-ietf-httpapi-idempotency-key-header-07; `Idempotent-Replayed` is Stripe's.
"""

import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from gateway_hub.api.authentication import PROJECT_HEADER
from gateway_hub.api.bodies import ReadRequest
from gateway_hub.api.context import find_hub
from gateway_hub.api.problems import ProblemError
from gateway_hub.domain.errors import HubError
from gateway_hub.services.idempotency import AnsweredBeforeError, Claim, Once

T = TypeVar("T")
Content = TypeVar("Content", bound=BaseModel)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

_HEADER_BYTES = HEADER.lower().encode("ascii")
_CLAIM = "gateway_hub.claim"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_QUOTED = re.compile(r'"([\x21\x23-\x5b\x5d-\x7e]+)"')

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True)
class Told(Generic[Content]):
    """What an answer says, before it is made into one; *location* is of what was made."""

    content: Content
    status: int = 200
    location: str | None = None

    def on(self, response: Response) -> Content:
        """Return the content, and let *response* have the rest."""
        response.status_code = self.status
        if self.location is not None:
            response.headers["Location"] = self.location
        return self.content


def find_key(request: Request) -> str | None:
    """Return the key *request* carries. Raises ProblemError for a malformed one, or two.

    The draft writes it in quotes, nearly everybody without: both are the same key.
    """
    given = [value for name, value in request.scope["headers"] if name == _HEADER_BYTES]
    if not given:
        return None
    key = given[0].decode("latin-1").strip()
    if len(given) > 1 or not _KEY.fullmatch(key):
        detail = f"{HEADER} must be given once, as 1 to 255 visible ASCII characters."
        raise ProblemError(400, "malformed_idempotency_key", detail)
    quoted = _QUOTED.fullmatch(key)
    return quoted.group(1) if quoted else key


async def answer_once(request: Request, key: str, handle: Handle) -> Response:
    """Return what *handle* answers to *request*, or what it answered when it came before."""
    keys = find_hub(request).idempotency
    caller: str = request.state.principal.key_id
    route = f"{request.method} {request.url.path}"
    with keys.hold(caller, route, key, await _digest(request)) as claim:
        request.scope[_CLAIM] = claim
        try:
            try:
                response = await handle(request)
            except HubError:
                # What forbids it now may be what it did itself the first time.
                await keys.check(claim)
                raise
        except AnsweredBeforeError as before:
            return _render(before.answer, replayed=before.repeated)
    return response if claim.answer is None else _render(claim.answer, replayed=False)


def once_of(
    request: Request,
    tell: Callable[[T], Awaitable[Told[Any] | None]],
    *,
    secret: bool = False,
) -> Once[T] | None:
    """Return what makes *request* have its effect once, if it carries a key.

    *tell* says what is answered to the result; None: nothing is kept. *secret*: it is kept sealed.
    """
    claim: Claim | None = request.scope.get(_CLAIM)
    if claim is None:
        return None

    async def write_down(result: T) -> str | None:
        told = await tell(result)
        return None if told is None else _write(told)

    return Once(claim, write_down, find_hub(request).idempotency, secret=secret)


async def _digest(request: Request) -> bytes:
    """Return what tells a request from another with the same key: project, query and content."""
    named = [request.headers.get(PROJECT_HEADER), request.url.query]
    # Of a request to a route that takes no body, none was read.
    content = await request.json() if isinstance(request, ReadRequest) else None
    try:
        said = json.dumps([*named, content], sort_keys=True).encode("ascii")
    except RecursionError:
        said = json.dumps(named).encode("ascii") + await request.body()
    return hashlib.sha256(said).digest()


def _write(told: Told[Any]) -> str:
    head = json.dumps({"status": told.status, "location": told.location})
    return f"{head}\n{told.content.model_dump_json(by_alias=True)}"


def _render(answer: str, *, replayed: bool) -> Response:
    head, _, body = answer.partition("\n")
    said = json.loads(head)
    headers = {} if said["location"] is None else {"Location": said["location"]}
    if replayed:
        headers[REPLAYED] = "true"
    return Response(body, said["status"], headers, media_type="application/json")
