"""Routes of devices: register, look up, change, remove; new credentials; what they sent amiss."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway_hub.api.authentication import DevicesReader, DevicesWriter
from gateway_hub.api.context import HubDependency, get_base_url
from gateway_hub.api.device_models import (
    CreateDeviceRequest,
    DevicePageResponse,
    DeviceResponse,
    QuarantinePageResponse,
    RenewCredentialsRequest,
    UpdateDeviceRequest,
    to_device_response,
    to_quarantine_response,
)
from gateway_hub.api.device_setup import (
    CreatedDeviceResponse,
    IssuedCredentialsResponse,
    to_issued_response,
)
from gateway_hub.api.etags import IF_MATCH, find_expected, set_etag
from gateway_hub.api.fields import PathId
from gateway_hub.api.idempotency import Told, once_of
from gateway_hub.api.openapi import CONFLICTS, CREATED, OUTDATED, TAGGED
from gateway_hub.api.pages import PageQuery, Pager
from gateway_hub.api.routes import ApiRoute
from gateway_hub.services.devices import DeviceView, IssuedCredentials, check_revision, revision_of

router = APIRouter(prefix="/devices", tags=["Devices"], route_class=ApiRoute)


@router.post(
    "",
    status_code=201,
    summary="Register a device",
    operation_id="device_create",
    responses={**CREATED, **CONFLICTS},
)
async def create_device(
    hub: HubDependency,
    caller: DevicesWriter,
    request: CreateDeviceRequest,
    response: Response,
    http_request: Request,
) -> CreatedDeviceResponse:
    """Register a phone. The answer says what to type into its app, and shows its password once."""

    base_url = await get_base_url(http_request)

    async def tell(made: tuple[DeviceView, IssuedCredentials]) -> Told[CreatedDeviceResponse]:
        view, issued = made
        setup = await to_issued_response(view.device, issued, base_url)
        content = CreatedDeviceResponse(**dict(to_device_response(view)), **dict(setup))
        return Told(content, status=201, location=f"/v1/devices/{view.device.id}")

    once = once_of(http_request, tell, secret=True)
    made = await hub.devices.create(caller.project_id, request.to_draft(), once, tag=caller.tag)
    return (await tell(made)).on(response)


@router.get("", summary="List devices", operation_id="device_list")
async def list_devices(
    hub: HubDependency, caller: DevicesReader, query: Annotated[PageQuery, Query()]
) -> DevicePageResponse:
    """List the phones of the project, newest first."""
    pager = Pager(query, "devices", caller.project_id)
    found = await hub.devices.list_devices(
        caller.project_id, before=pager.before, limit=pager.fetch_limit, tag=caller.tag
    )
    page, cursor = pager.cut(found, lambda view: view.device.id)
    return DevicePageResponse(data=[to_device_response(view) for view in page], next_cursor=cursor)


@router.get("/{device_id}", summary="Get a device", operation_id="device_get", responses=TAGGED)
async def get_device(
    hub: HubDependency, caller: DevicesReader, device_id: PathId, response: Response
) -> DeviceResponse:
    """Return a phone and what is known of it now.

    The `ETag` stands for what can be changed of it, not for what the phone tells of itself.
    """
    return _tell(await hub.devices.get(caller.project_id, device_id, tag=caller.tag), response)


@router.patch(
    "/{device_id}",
    summary="Change a device",
    operation_id="device_update",
    responses={**TAGGED, **OUTDATED},
    openapi_extra=IF_MATCH,
)
async def update_device(
    *,
    hub: HubDependency,
    caller: DevicesWriter,
    device_id: PathId,
    request: UpdateDeviceRequest,
    response: Response,
    http_request: Request,
) -> DeviceResponse:
    """Change the given fields; a paused device reports and forwards, but is given nothing new."""
    expected = find_expected(http_request)
    changes = request.to_changes()
    if changes:
        changed = await hub.devices.change(
            caller.project_id, device_id, changes, expected, tag=caller.tag
        )
        return _tell(changed, response)
    view = await hub.devices.get(caller.project_id, device_id, tag=caller.tag)
    check_revision(view.device, expected)
    return _tell(view, response)


@router.delete(
    "/{device_id}",
    status_code=204,
    summary="Remove a device",
    operation_id="device_delete",
    responses=OUTDATED,
    openapi_extra=IF_MATCH,
)
async def delete_device(
    hub: HubDependency, caller: DevicesWriter, device_id: PathId, request: Request
) -> None:
    """Remove a phone: it can post no more. Its messages stay, but none waits for it any longer."""
    expected = find_expected(request)
    await hub.devices.delete(caller.project_id, device_id, expected, tag=caller.tag)


@router.post(
    "/{device_id}/credentials",
    summary="Replace a device's credentials",
    operation_id="device_credentials_renew",
)
async def renew_credentials(
    hub: HubDependency,
    caller: DevicesWriter,
    device_id: PathId,
    http_request: Request,
    request: RenewCredentialsRequest | None = None,
) -> IssuedCredentialsResponse:
    """Give the phone a new password, shown once; the old one works for `grace_seconds` more."""
    wanted = request or RenewCredentialsRequest()
    base_url = await get_base_url(http_request)
    device = (await hub.devices.get(caller.project_id, device_id, tag=caller.tag)).device

    async def tell(issued: IssuedCredentials) -> Told[IssuedCredentialsResponse]:
        return Told(await to_issued_response(device, issued, base_url))

    issued = await hub.devices.renew_credentials(
        caller.project_id,
        device_id,
        password=wanted.password,
        grace_seconds=wanted.grace_seconds,
        once=once_of(http_request, tell, secret=True),
        tag=caller.tag,
    )
    return (await tell(issued)).content


@router.get(
    "/{device_id}/quarantine",
    summary="List what a device sent amiss",
    operation_id="device_quarantine_list",
)
async def list_quarantine(
    hub: HubDependency,
    caller: DevicesReader,
    device_id: PathId,
    query: Annotated[PageQuery, Query()],
) -> QuarantinePageResponse:
    """List the items of the phone's posts that could not be taken, as they came."""
    pager = Pager(query, "quarantine", caller.project_id, device_id)
    found = await hub.devices.list_quarantine(
        caller.project_id, device_id, before=pager.before, limit=pager.fetch_limit, tag=caller.tag
    )
    page, cursor = pager.cut(found, lambda record: record.id)
    return QuarantinePageResponse(
        data=[to_quarantine_response(record) for record in page], next_cursor=cursor
    )


def _tell(view: DeviceView, response: Response) -> DeviceResponse:
    set_etag(response, revision_of(view.device))
    return to_device_response(view)
