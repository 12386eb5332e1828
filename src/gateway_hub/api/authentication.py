"""Who calls: API keys as bearer tokens, the scopes a route needs, and the project it acts in."""

import re
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from gateway_hub.api.context import find_hub, find_limits
from gateway_hub.domain.access import Principal, Scope
from gateway_hub.domain.errors import (
    NotFoundError,
    PermissionDeniedError,
    TagLimitedError,
    UnauthenticatedError,
    UnavailableError,
)

PROJECT_HEADER = "Gateway-Hub-Project"

# Names and ids of projects hold nothing else, so nothing else need reach the database.
_PROJECT = re.compile(r"[a-z0-9-]{1,64}")

_document_scheme = HTTPBearer(
    scheme_name="apiKey",
    auto_error=False,
    description="An API key, `ghk_…`. The scopes an operation needs stand beside it; "
    "`admin` includes all.",
)


async def authenticate(request: Request) -> None:
    """Keep in *request* who makes it. Raises UnauthenticatedError, or ProblemError: 429."""
    limits = find_limits(request)
    try:
        principal = await _prove(request)
    except UnauthenticatedError:
        limits.count_refusal(request.scope)
        raise
    request.state.principal = principal
    limits.count_request(request.scope, principal.key_id)


async def is_still_valid(request: Request) -> bool:
    """Say whether the key that *request* was proved by still opens what it did."""
    try:
        proved: bool = await _prove(request) == request.state.principal
    except UnauthenticatedError:
        return False
    except UnavailableError:
        return True  # nobody can say now; it is asked again soon
    return proved


async def _prove(request: Request) -> Principal:
    scheme, _, secret = request.headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise UnauthenticatedError("An API key is needed, as Authorization: Bearer ghk_….")
    return await find_hub(request).access.authenticate(secret.strip())


async def get_caller_of_any_reach(
    request: Request,
    needed: SecurityScopes,
    _scheme: Annotated[HTTPAuthorizationCredentials | None, Security(_document_scheme)],
    project: Annotated[
        str | None,
        Header(
            alias=PROJECT_HEADER,
            description="Name or id of the project to act in, instead of the key's own; "
            "keys with the scope `admin` only.",
        ),
    ] = None,
) -> Principal:
    """Return who calls, in the project they act in; the route keeps them within their tag.

    Raises PermissionDeniedError for a missing scope, NotFoundError for a project out of reach.
    """
    principal: Principal = request.state.principal
    for scope in needed.scopes:
        if not principal.may(Scope(scope)):
            raise PermissionDeniedError(f"The API key lacks the scope {scope}.")
    if project is None:
        return principal
    if not _PROJECT.fullmatch(project):
        raise NotFoundError("There is no such project.")
    return await find_hub(request).access.act_in(principal, project)


async def get_caller(
    caller: Annotated[Principal, Depends(get_caller_of_any_reach)],
) -> Principal:
    """Return who calls, in the project they act in, all of which they reach.

    Raises also TagLimitedError: what says nothing of tags is closed to who is limited to one.
    """
    if caller.tag is not None:
        raise TagLimitedError("The API key is limited to a tag and cannot be used for this.")
    return caller


MessagesWriter = Annotated[
    Principal, Security(get_caller_of_any_reach, scopes=[Scope.MESSAGES_WRITE.value])
]
MessagesReader = Annotated[
    Principal, Security(get_caller_of_any_reach, scopes=[Scope.MESSAGES_READ.value])
]
DevicesWriter = Annotated[
    Principal, Security(get_caller_of_any_reach, scopes=[Scope.DEVICES_WRITE.value])
]
DevicesReader = Annotated[
    Principal, Security(get_caller_of_any_reach, scopes=[Scope.DEVICES_READ.value])
]
KeysWriter = Annotated[
    Principal, Security(get_caller_of_any_reach, scopes=[Scope.KEYS_WRITE.value])
]
ProjectReader = Annotated[Principal, Security(get_caller, scopes=[Scope.MESSAGES_READ.value])]
WebhooksWriter = Annotated[Principal, Security(get_caller, scopes=[Scope.WEBHOOKS_WRITE.value])]
WebhooksReader = Annotated[Principal, Security(get_caller, scopes=[Scope.WEBHOOKS_READ.value])]
Admin = Annotated[Principal, Security(get_caller, scopes=[Scope.ADMIN.value])]
