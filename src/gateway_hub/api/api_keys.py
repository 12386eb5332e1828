"""Routes of API keys: make, look up, revoke."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from gateway_hub.api.authentication import KeysWriter
from gateway_hub.api.context import HubDependency
from gateway_hub.api.fields import GivenFields, GivenId, Name, PathId, Tag
from gateway_hub.api.idempotency import Told, once_of
from gateway_hub.api.openapi import CREATED
from gateway_hub.api.pages import PageQuery, Pager, PageResponse
from gateway_hub.api.routes import ApiRoute
from gateway_hub.api.times import GivenMoment, Moment
from gateway_hub.domain.access import ApiKey, Scope
from gateway_hub.services.access import NewApiKey

router = APIRouter(prefix="/api-keys", tags=["Projects and keys"], route_class=ApiRoute)


class CreateApiKeyRequest(GivenFields):
    """A key to be made."""

    name: Name
    scopes: list[Scope] = Field(
        min_length=1, max_length=20, description="Only those that your own key has."
    )
    project_id: GivenId | None = Field(
        None, description="Id or name of its project; yours if not given."
    )
    tag: Tag | None = Field(
        None,
        description="Limits the key to devices with this tag and their messages; yours if your own "
        "key is limited.",
    )
    expires_at: GivenMoment | None = None


class ApiKeyResponse(BaseModel):
    """A key, without what opens."""

    id: str
    project_id: str
    name: str
    hint: str = Field(description="How the key begins.")
    scopes: list[Scope]
    tag: str | None = Field(description="What the key is limited to; null: all of its project.")
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class CreatedApiKeyResponse(ApiKeyResponse):
    """A key just made."""

    key: str = Field(description="The key itself: shown this once.")


class ApiKeyPageResponse(PageResponse[ApiKeyResponse]):
    """One page of keys."""


@router.post(
    "",
    status_code=201,
    summary="Create an API key",
    operation_id="api_key_create",
    responses=CREATED,
)
async def create_api_key(
    hub: HubDependency,
    caller: KeysWriter,
    request: CreateApiKeyRequest,
    response: Response,
    http_request: Request,
) -> CreatedApiKeyResponse:
    """Make a key with some of your own scopes. It is shown in this answer and never again."""
    new = await hub.access.create_key(
        name=request.name,
        scopes=frozenset(request.scopes),
        project=request.project_id or caller.project_id,
        expires_at=request.expires_at,
        tag=request.tag,
        by=caller,
        once=once_of(http_request, _tell_created, secret=True),
    )
    return (await _tell_created(new)).on(response)


@router.get("", summary="List API keys", operation_id="api_key_list")
async def list_api_keys(
    hub: HubDependency, caller: KeysWriter, query: Annotated[PageQuery, Query()]
) -> ApiKeyPageResponse:
    """List the project's keys, newest first; an admin sees those of every project.

    A key that is limited to a tag sees those with the same limit.
    """
    pager = Pager(query, "api-keys", caller.project_id)
    found = await hub.access.list_keys(caller, before=pager.before, limit=pager.fetch_limit)
    page, cursor = pager.cut(found, lambda key: key.id)
    return ApiKeyPageResponse(data=[_to_response(key) for key in page], next_cursor=cursor)


@router.get("/{key_id}", summary="Get an API key", operation_id="api_key_get")
async def get_api_key(hub: HubDependency, caller: KeysWriter, key_id: PathId) -> ApiKeyResponse:
    """Return what is known of a key; the key itself is not."""
    return _to_response(await hub.access.get_key(caller, key_id))


@router.delete(
    "/{key_id}", status_code=204, summary="Revoke an API key", operation_id="api_key_revoke"
)
async def revoke_api_key(hub: HubDependency, caller: KeysWriter, key_id: PathId) -> None:
    """Make a key useless at once; it stays listed."""
    await hub.access.revoke_key(caller, key_id)


async def _tell_created(new: NewApiKey) -> Told[CreatedApiKeyResponse]:
    content = CreatedApiKeyResponse(**dict(_to_response(new.key)), key=new.secret)
    return Told(content, status=201, location=f"/v1/api-keys/{new.key.id}")


def _to_response(key: ApiKey) -> ApiKeyResponse:
    return ApiKeyResponse(
        id=key.id,
        project_id=key.project_id,
        name=key.name,
        hint=key.hint,
        scopes=sorted(key.scopes),
        tag=key.tag,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )
