"""Routes of webhook endpoints: made, changed, removed; secrets, tests, replays."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway_hub.api.authentication import WebhooksReader, WebhooksWriter
from gateway_hub.api.context import HubDependency
from gateway_hub.api.fields import PathId
from gateway_hub.api.idempotency import Told, once_of
from gateway_hub.api.openapi import CONFLICTS, CREATED
from gateway_hub.api.pages import Pager
from gateway_hub.api.routes import ApiRoute
from gateway_hub.api.webhook_models import (
    CreateWebhookEndpointRequest,
    ReplayRequest,
    ReplayResponse,
    RotateSecretRequest,
    SecretWebhookEndpointResponse,
    UpdateWebhookEndpointRequest,
    WebhookDeliveryResponse,
    WebhookEndpointListQuery,
    WebhookEndpointPageResponse,
    WebhookEndpointResponse,
    to_delivery_response,
    to_endpoint_response,
    to_secret_response,
)
from gateway_hub.domain.webhooks.deliveries import WebhookDelivery
from gateway_hub.domain.webhooks.endpoints import WebhookEndpoint

router = APIRouter(prefix="/webhook-endpoints", tags=["Webhooks"], route_class=ApiRoute)


@router.post(
    "",
    status_code=201,
    summary="Create a webhook endpoint",
    operation_id="webhook_endpoint_create",
    responses={**CREATED, **CONFLICTS},
)
async def create_endpoint(
    hub: HubDependency,
    caller: WebhooksWriter,
    request: CreateWebhookEndpointRequest,
    response: Response,
    http_request: Request,
) -> SecretWebhookEndpointResponse:
    """Have events sent to a URL. The secret they are signed with is shown in this answer only."""

    async def tell(made: tuple[WebhookEndpoint, str]) -> Told[SecretWebhookEndpointResponse]:
        location = f"/v1/webhook-endpoints/{made[0].id}"
        return Told(to_secret_response(*made), status=201, location=location)

    once = once_of(http_request, tell, secret=True)
    made = await hub.webhook_endpoints.create(caller.project_id, request.to_draft(), once)
    return (await tell(made)).on(response)


@router.get("", summary="List webhook endpoints", operation_id="webhook_endpoint_list")
async def list_endpoints(
    hub: HubDependency, caller: WebhooksReader, query: Annotated[WebhookEndpointListQuery, Query()]
) -> WebhookEndpointPageResponse:
    """List the webhook endpoints of the project, newest first."""
    pager = Pager(query, "webhook-endpoints", caller.project_id)
    found = await hub.webhook_endpoints.list_endpoints(
        caller.project_id, query.kind, before=pager.before, limit=pager.fetch_limit
    )
    page, cursor = pager.cut(found, lambda endpoint: endpoint.id)
    return WebhookEndpointPageResponse(
        data=[to_endpoint_response(endpoint) for endpoint in page], next_cursor=cursor
    )


@router.get("/{endpoint_id}", summary="Get a webhook endpoint", operation_id="webhook_endpoint_get")
async def get_endpoint(
    hub: HubDependency, caller: WebhooksReader, endpoint_id: PathId
) -> WebhookEndpointResponse:
    """Return a webhook endpoint, and how it fares."""
    return to_endpoint_response(await hub.webhook_endpoints.get(caller.project_id, endpoint_id))


@router.patch(
    "/{endpoint_id}",
    summary="Change a webhook endpoint",
    operation_id="webhook_endpoint_update",
    responses=CONFLICTS,
)
async def update_endpoint(
    hub: HubDependency,
    caller: WebhooksWriter,
    endpoint_id: PathId,
    request: UpdateWebhookEndpointRequest,
) -> WebhookEndpointResponse:
    """Change the given fields. One that is enabled, or gets another URL, is tried at once."""
    changes = request.to_changes()
    if changes:
        changed = await hub.webhook_endpoints.change(caller.project_id, endpoint_id, changes)
        return to_endpoint_response(changed)
    return to_endpoint_response(await hub.webhook_endpoints.get(caller.project_id, endpoint_id))


@router.delete(
    "/{endpoint_id}",
    status_code=204,
    summary="Remove a webhook endpoint",
    operation_id="webhook_endpoint_delete",
)
async def delete_endpoint(hub: HubDependency, caller: WebhooksWriter, endpoint_id: PathId) -> None:
    """Send nothing more there; what is on its way is dropped."""
    await hub.webhook_endpoints.delete(caller.project_id, endpoint_id)


@router.post(
    "/{endpoint_id}/rotate-secret",
    summary="Replace a webhook endpoint's secret",
    operation_id="webhook_endpoint_rotate_secret",
)
async def rotate_secret(
    hub: HubDependency,
    caller: WebhooksWriter,
    endpoint_id: PathId,
    http_request: Request,
    request: RotateSecretRequest | None = None,
) -> SecretWebhookEndpointResponse:
    """Sign with a new secret, shown in this answer only, and for a while with the old one too."""

    async def tell(made: tuple[WebhookEndpoint, str]) -> Told[SecretWebhookEndpointResponse]:
        return Told(to_secret_response(*made))

    wanted = request or RotateSecretRequest()
    made = await hub.webhook_endpoints.rotate_secret(
        caller.project_id,
        endpoint_id,
        timedelta(seconds=wanted.overlap_seconds),
        once_of(http_request, tell, secret=True),
    )
    return (await tell(made)).content


@router.post(
    "/{endpoint_id}/test",
    status_code=201,
    summary="Test a webhook endpoint",
    operation_id="webhook_endpoint_test",
    responses={**CREATED, **CONFLICTS},
)
async def test_endpoint(
    hub: HubDependency,
    caller: WebhooksWriter,
    endpoint_id: PathId,
    response: Response,
    http_request: Request,
) -> WebhookDeliveryResponse:
    """Send an event of the type `webhook_endpoint.test` there, now, and nowhere else.

    What became of it is at the `Location` a moment later.
    """

    async def tell(delivery: WebhookDelivery) -> Told[WebhookDeliveryResponse]:
        location = f"/v1/webhook-endpoints/{endpoint_id}/deliveries/{delivery.id}"
        return Told(to_delivery_response(delivery), status=201, location=location)

    once = once_of(http_request, tell)
    delivery = await hub.webhook_endpoints.test(caller.project_id, endpoint_id, once)
    return (await tell(delivery)).on(response)


@router.post(
    "/{endpoint_id}/replay",
    summary="Send events again",
    operation_id="webhook_endpoint_replay",
    responses=CONFLICTS,
)
async def replay(
    hub: HubDependency,
    caller: WebhooksWriter,
    endpoint_id: PathId,
    request: ReplayRequest,
    http_request: Request,
) -> ReplayResponse:
    """Send events again, with the ids they had, and with all attempts anew."""

    async def tell(count: int) -> Told[ReplayResponse]:
        return Told(ReplayResponse(replayed=count))

    once = once_of(http_request, tell)
    count = await hub.webhook_history.replay(
        caller.project_id, endpoint_id, request.to_replay(), once
    )
    return (await tell(count)).content
