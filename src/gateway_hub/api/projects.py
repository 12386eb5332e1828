"""Routes of projects, for admins."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from gateway_hub.api.authentication import Admin
from gateway_hub.api.context import HubDependency
from gateway_hub.api.fields import LEFT_OUT, GivenFields, PathId, Region
from gateway_hub.api.idempotency import Told, once_of
from gateway_hub.api.openapi import CONFLICTS, CREATED
from gateway_hub.api.pages import PageQuery, Pager, PageResponse
from gateway_hub.api.routes import ApiRoute
from gateway_hub.api.times import Moment
from gateway_hub.domain.access import Project
from gateway_hub.domain.messages import IfUncertain

router = APIRouter(prefix="/projects", tags=["Projects and keys"], route_class=ApiRoute)


class CreateProjectRequest(GivenFields):
    """A project to be made."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    region: Region | None = None
    if_uncertain: IfUncertain = Field(
        IfUncertain.WAIT, description="Of messages that do not say it themselves."
    )


class UpdateProjectRequest(GivenFields):
    """What to change; a field left out stays, null takes its value away."""

    region: Region | None = None
    if_uncertain: IfUncertain = LEFT_OUT


class ProjectResponse(BaseModel):
    """A project: it owns devices, messages and keys."""

    id: str
    name: str
    region: str | None
    if_uncertain: IfUncertain
    created_at: Moment
    updated_at: Moment


class ProjectPageResponse(PageResponse[ProjectResponse]):
    """One page of projects."""


@router.post(
    "",
    status_code=201,
    summary="Create a project",
    operation_id="project_create",
    responses={**CREATED, **CONFLICTS},
)
async def create_project(
    hub: HubDependency,
    _caller: Admin,
    request: CreateProjectRequest,
    response: Response,
    http_request: Request,
) -> ProjectResponse:
    """Make a project: nothing in it is seen from any other."""
    once = once_of(http_request, _tell_created)
    project = await hub.access.create_project(
        request.name, request.region, request.if_uncertain, once
    )
    return (await _tell_created(project)).on(response)


@router.get("", summary="List projects", operation_id="project_list")
async def list_projects(
    hub: HubDependency, _caller: Admin, query: Annotated[PageQuery, Query()]
) -> ProjectPageResponse:
    """List all projects of the hub, newest first."""
    pager = Pager(query, "projects")
    found = await hub.access.list_projects(before=pager.before, limit=pager.fetch_limit)
    page, cursor = pager.cut(found, lambda project: project.id)
    return ProjectPageResponse(data=[_to_response(project) for project in page], next_cursor=cursor)


@router.get("/{project_id}", summary="Get a project", operation_id="project_get")
async def get_project(hub: HubDependency, _caller: Admin, project_id: PathId) -> ProjectResponse:
    """Return a project by its id or its name."""
    return _to_response(await hub.access.get_project(project_id))


@router.patch("/{project_id}", summary="Change a project", operation_id="project_update")
async def update_project(
    hub: HubDependency, _caller: Admin, project_id: PathId, request: UpdateProjectRequest
) -> ProjectResponse:
    """Set the defaults of the project's numbers and messages."""
    project = await hub.access.get_project(project_id)
    changes = {name: getattr(request, name) for name in request.model_fields_set}
    if changes:
        project = await hub.access.change_project(project.id, changes)
    return _to_response(project)


async def _tell_created(project: Project) -> Told[ProjectResponse]:
    return Told(_to_response(project), status=201, location=f"/v1/projects/{project.id}")


def _to_response(project: Project) -> ProjectResponse:
    return ProjectResponse(
        id=project.id,
        name=project.name,
        region=project.region,
        if_uncertain=project.if_uncertain,
        created_at=project.created_at,
        updated_at=project.updated_at,
    )
