"""Errors as RFC 9457 problems: one form for whatever goes wrong, which never repeats the input."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Scope

from gateway_hub.api.refused_fields import to_fields
from gateway_hub.domain.errors import (
    ConflictError,
    CursorExpiredError,
    FieldProblem,
    HubError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    UnauthenticatedError,
    UnavailableError,
)

MEDIA_TYPE = "application/problem+json"
EXTRA_HEADERS = "gateway_hub.headers"
"""Where a request's scope keeps headers that every answer to it has."""

SAFE_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_STATUS: dict[type[HubError], int] = {
    InvalidInputError: 422,
    UnauthenticatedError: 401,
    PermissionDeniedError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    CursorExpiredError: 410,
    PreconditionFailedError: 412,
    UnavailableError: 503,
}

_HTTP_CODES = {
    404: "not_found",
    405: "method_not_allowed",
    413: "content_too_large",
    415: "unsupported_media_type",
}

_HTTP_DETAILS = {
    404: "There is nothing at this path.",
    405: "This path cannot be used with this method; the Allow header says with which.",
}


class ProblemField(BaseModel):
    """One field that was refused."""

    pointer: str = Field(
        description="JSON pointer into the body; for a query or path parameter, `/` and its name."
    )
    code: str = Field(description="Stable word for what is wrong with the field.")
    detail: str = Field(description="What is wrong, for people.")


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = Field(description="`urn:gateway-hub:problem:` and the code.")
    title: str = Field(description="The code in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, for people.")
    code: str = Field(description="Stable word for what happened, for programs.")
    request_id: str | None = Field(description="Names the request in the hub's log.")
    errors: list[ProblemField] = Field(description="The fields that were refused, if any.")


class ProblemError(Exception):
    """A request that HTTP itself has a status for."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})


def to_problem(error: Exception, request_id: str | None) -> Problem:
    """Return how *error* is told; one that nobody foresaw tells nothing of itself."""
    if isinstance(error, ProblemError):
        return _build(error.status, error.code, error.detail, request_id)
    if isinstance(error, HubError):
        fields = error.fields if isinstance(error, InvalidInputError) else ()
        return _build(_status_of(error), error.code, error.detail, request_id, fields)
    if isinstance(error, RequestValidationError):
        return refuse_fields(to_fields(error.errors(), skip=1), request_id)
    if isinstance(error, HTTPException):
        status = error.status_code
        ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        code = _HTTP_CODES.get(status, "internal_error" if ours else "bad_request")
        detail = _HTTP_DETAILS.get(status, HTTPStatus(status).phrase)
        return _build(status, code, detail, request_id)
    return _build(500, "internal_error", "Something broke on our side; it is logged.", request_id)


def refuse_fields(fields: tuple[FieldProblem, ...], request_id: str | None) -> Problem:
    """Return the problem of a request with *fields* that cannot be accepted."""
    detail = "The request has fields that cannot be accepted."
    return _build(422, InvalidInputError.code, detail, request_id, fields)


def render_problem(
    error: Exception, scope: Scope, headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer to the request of *scope* that *error* ended."""
    problem = to_problem(error, find_request_id(scope))
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={
            **SAFE_HEADERS,
            **scope.get(EXTRA_HEADERS, {}),
            **_headers_of(error),
            **(headers or {}),
        },
    )


def find_request_id(scope: Scope) -> str | None:
    """Return the id of the request, where one was given to it."""
    request_id: str | None = scope.get("state", {}).get("request_id")
    return request_id


def _build(
    status: int,
    code: str,
    detail: str,
    request_id: str | None,
    fields: tuple[FieldProblem, ...] = (),
) -> Problem:
    return Problem(
        type=f"urn:gateway-hub:problem:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        request_id=request_id,
        errors=[
            ProblemField(pointer=field.pointer, code=field.code, detail=field.detail)
            for field in fields
        ],
    )


def _status_of(error: HubError) -> int:
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


def _headers_of(error: Exception) -> dict[str, str]:
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, HubError) and error.retry_after_seconds is not None:
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, ProblemError):
        return error.headers
    return {}
