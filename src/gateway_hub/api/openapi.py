"""The description of the API: what FastAPI derives from the routes, and the problems of each."""

import json
import re
from typing import Any

from fastapi import FastAPI

from gateway_hub import __version__
from gateway_hub.api.examples import EXAMPLES
from gateway_hub.api.problems import MEDIA_TYPE, ProblemError, to_problem
from gateway_hub.domain.errors import (
    ConflictError,
    CursorExpiredError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    UnauthenticatedError,
    UnavailableError,
)

Responses = dict[int | str, dict[str, Any]]

CREATED: Responses = {
    201: {
        "description": "Made, and on disk.",
        "headers": {
            "Location": {"description": "Path of what was made.", "schema": {"type": "string"}}
        },
    }
}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true`: this is the first answer again; nothing was done anew.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 visible ASCII characters of your own, for 24 hours: the same request "
    "with the same key has its effect once, and gets the first answer again.",
    "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,255}$"},
}
ASKED_BACK: Responses = {202: {"description": "The phone was asked to give it back."}}
OUTDATED: Responses = {412: {"description": "Changed meanwhile."}}
TAGGED: Responses = {
    200: {
        "headers": {
            "ETag": {
                "description": "Stands for what can be changed; for `If-Match`.",
                "schema": {"type": "string"},
            }
        }
    }
}
CONFLICTS: Responses = {409: {"description": "Not in this state."}}
BYTES: Responses = {
    200: {
        "description": "The bytes, as they came.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

EXPORTED: Responses = {
    200: {
        "description": "The messages, newest first.",
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}

EXPIRED: Responses = {410: {"description": "The cursor is too old."}}
STREAMED: Responses = {
    200: {
        "description": "Server-Sent Events, for as long as the connection holds.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
    **EXPIRED,
}

_DESCRIPTION = """\
Send and receive SMS through Android phones.

Every error is an `application/problem+json` (RFC 9457) with a stable `code` and, for refused \
fields, `errors`. Every answer has an `X-Request-Id`. A POST may carry an `Idempotency-Key`. \
Lists come newest first, in pages: pass `next_cursor` as `cursor` until it is null. Times are \
RFC 3339, in answers UTC with milliseconds. Answers may get further fields; unknown fields in \
requests are refused.
"""

_TAGS = [
    {"name": "Messages", "description": "SMS, MMS and call notices, in both directions."},
    {"name": "Events", "description": "All that happens, in one log: read on from where you are."},
    {"name": "Devices", "description": "Phones that run a gateway app."},
    {
        "name": "Webhooks",
        "description": "URLs that are told what happens, and what they were told.",
    },
    {"name": "Statistics", "description": "Numbers of messages, and how things stand."},
    {"name": "Projects and keys", "description": "Tenants, and who may do what."},
]

_PROBLEMS: dict[str, tuple[str, Exception | None]] = {
    "400": (
        "Not JSON, or a malformed header",
        ProblemError(400, "malformed_json", "The body is not valid JSON."),
    ),
    "401": ("No valid API key", UnauthenticatedError("The API key is missing or unknown.")),
    "403": ("Scope missing", PermissionDeniedError("The API key lacks the scope admin.")),
    "404": ("No such thing in this project", NotFoundError("There is no such message.")),
    "409": (
        "Not in this state",
        ConflictError("A project with this name exists.", code="name_taken"),
    ),
    "410": (
        "Events after the cursor have been removed",
        CursorExpiredError("Events that came after the cursor have been removed."),
    ),
    "412": (
        "Changed meanwhile",
        PreconditionFailedError("The device was changed since; look at it again."),
    ),
    "413": ("Body too large", ProblemError(413, "content_too_large", "The body is too large.")),
    "415": (
        "Not application/json",
        ProblemError(415, "unsupported_media_type", "The body must be JSON."),
    ),
    "422": ("Fields that cannot be accepted", None),
    "429": (
        "Too many requests",
        ProblemError(429, "too_many_requests", "The API key has used up its requests for now."),
    ),
    "500": ("Our fault", Exception()),
    "503": ("Try again later", UnavailableError("The database cannot be reached now.")),
}
_REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
_CHANGES_NOTHING = frozenset({"message_estimate"})
"""Operations by POST that a repeat harms in no way."""

_ALWAYS = ("401", "403", "404", "422", "429", "500", "503")
_WITH_BODY = ("400", "413", "415")
_HEADERS = {
    "401": {"WWW-Authenticate": "`Bearer`."},
    "409": {"Retry-After": "Seconds; with `idempotency_in_progress` only."},
    "429": {
        "Retry-After": "Seconds after which to try again.",
        "RateLimit-Policy": "What the API key may do: `q` requests in `w` seconds.",
        "RateLimit": "What is left of it: `r` requests; after `t` seconds it is all there again.",
    },
    "503": {"Retry-After": "Seconds after which to try again."},
}


class DescribedApi(FastAPI):
    """An application that describes itself with every problem its operations answer with."""

    def __init__(self) -> None:
        super().__init__(
            title="gateway-hub",
            version=__version__,
            description=_DESCRIPTION,
            openapi_tags=_TAGS,
            openapi_url="/openapi.json",
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )

    def openapi(self) -> dict[str, Any]:
        """Return the description, which is made once."""
        document = super().openapi()
        if "responses" not in document["components"]:
            add_problems(document)
            drop_unused_schemas(document)
            add_examples(document)
        return document


def add_problems(document: dict[str, Any]) -> None:
    """Add to *document* the problems each operation may answer with."""
    components = document["components"]
    components["responses"] = {_name(status): _describe(status) for status in _PROBLEMS}
    for path in document["paths"].values():
        for method, operation in path.items():
            if method == "post" and operation["operationId"] not in _CHANGES_NOTHING:
                _let_be_repeated(operation)
            _add_to_operation(operation)


def drop_unused_schemas(document: dict[str, Any]) -> None:
    """Take out of *document* what it does not refer to: FastAPI's own errors, and our insides."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    used: set[str] = set()
    waiting = _find_schemas([document["paths"], document["components"]["responses"]])
    while waiting:
        used |= waiting
        waiting = _find_schemas([schemas[name] for name in waiting]) - used
    document["components"]["schemas"] = {name: schemas[name] for name in schemas if name in used}


def add_examples(document: dict[str, Any]) -> None:
    """Add to *document* the example of each body; FastAPI would take the nulls out of them."""
    for name, schema in document["components"]["schemas"].items():
        if name in EXAMPLES:
            schema["examples"] = [EXAMPLES[name]]


def _find_schemas(content: Any) -> set[str]:
    return set(_REFERENCE.findall(json.dumps(content)))


def _let_be_repeated(operation: dict[str, Any]) -> None:
    operation["parameters"] = [*operation.get("parameters", []), _IDEMPOTENCY_KEY]
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            response["headers"] = {**response.get("headers", {}), **_REPLAYED}
    for status in ("400", "409"):
        operation["responses"].setdefault(status, {})


def _add_to_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    statuses = [*_ALWAYS, *(_WITH_BODY if "requestBody" in operation else ())]
    statuses += [status for status in ("400", "409", "410", "412") if status in responses]
    for status in sorted(set(statuses)):
        responses[status] = {"$ref": f"#/components/responses/{_name(status)}"}
    operation["responses"] = dict(sorted(responses.items()))


def _name(status: str) -> str:
    return f"Problem{status}"


def _describe(status: str) -> dict[str, Any]:
    description, error = _PROBLEMS[status]
    schema = {"$ref": "#/components/schemas/Problem"}
    content: dict[str, Any] = {"schema": schema}
    if error is not None:
        content["example"] = to_problem(error, "019c1350-8a3f-7000-8000-000000000001").model_dump()
    described: dict[str, Any] = {"description": description, "content": {MEDIA_TYPE: content}}
    if status in _HEADERS:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS[status].items()
        }
    return described
