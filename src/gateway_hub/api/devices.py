"""Routes of devices: register, look up, change, remove; new credentials; what they sent amiss."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from gateway_hub.api.authentication import DevicesReader, DevicesWriter
from gateway_hub.api.context import BaseUrl, HubDependency
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
from gateway_hub.api.fields import PathId
from gateway_hub.api.openapi import CONFLICTS, CREATED
from gateway_hub.api.pages import PageQuery, Pager
from gateway_hub.api.routes import ApiRoute

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
    base_url: BaseUrl,
    response: Response,
) -> CreatedDeviceResponse:
    """Register a phone. The answer says what to type into its app, and shows its password once."""
    view, issued = await hub.devices.create(caller.project_id, request.to_draft())
    told = await to_issued_response(view.device, issued, base_url)
    response.headers["Location"] = f"/v1/devices/{view.device.id}"
    return CreatedDeviceResponse(**dict(to_device_response(view)), **dict(told))


@router.get("", summary="List devices", operation_id="device_list")
async def list_devices(
    hub: HubDependency, caller: DevicesReader, query: Annotated[PageQuery, Query()]
) -> DevicePageResponse:
    """List the phones of the project, newest first."""
    pager = Pager(query, "devices", caller.project_id)
    found = await hub.devices.list_devices(
        caller.project_id, before=pager.before, limit=pager.fetch_limit
    )
    page, cursor = pager.cut(found, lambda view: view.device.id)
    return DevicePageResponse(data=[to_device_response(view) for view in page], next_cursor=cursor)


@router.get("/{device_id}", summary="Get a device", operation_id="device_get")
async def get_device(
    hub: HubDependency, caller: DevicesReader, device_id: PathId
) -> DeviceResponse:
    """Return a phone and what is known of it now."""
    return to_device_response(await hub.devices.get(caller.project_id, device_id))


@router.patch("/{device_id}", summary="Change a device", operation_id="device_update")
async def update_device(
    hub: HubDependency, caller: DevicesWriter, device_id: PathId, request: UpdateDeviceRequest
) -> DeviceResponse:
    """Change the given fields; a paused device reports and forwards, but is given nothing."""
    changes = request.to_changes()
    if not changes:
        return to_device_response(await hub.devices.get(caller.project_id, device_id))
    return to_device_response(await hub.devices.change(caller.project_id, device_id, changes))


@router.delete(
    "/{device_id}", status_code=204, summary="Remove a device", operation_id="device_delete"
)
async def delete_device(hub: HubDependency, caller: DevicesWriter, device_id: PathId) -> None:
    """Remove a phone: it can post no more. Its messages stay."""
    await hub.devices.delete(caller.project_id, device_id)


@router.post(
    "/{device_id}/credentials",
    summary="Replace a device's credentials",
    operation_id="device_credentials_renew",
)
async def renew_credentials(
    hub: HubDependency,
    caller: DevicesWriter,
    device_id: PathId,
    base_url: BaseUrl,
    request: RenewCredentialsRequest | None = None,
) -> IssuedCredentialsResponse:
    """Give the phone a new password, shown once; the old one works for `grace_seconds` more."""
    wanted = request or RenewCredentialsRequest()
    issued = await hub.devices.renew_credentials(
        caller.project_id,
        device_id,
        password=wanted.password,
        grace_seconds=wanted.grace_seconds,
    )
    view = await hub.devices.get(caller.project_id, device_id)
    return await to_issued_response(view.device, issued, base_url)


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
        caller.project_id, device_id, before=pager.before, limit=pager.fetch_limit
    )
    page, cursor = pager.cut(found, lambda record: record.id)
    return QuarantinePageResponse(
        data=[to_quarantine_response(record) for record in page], next_cursor=cursor
    )
