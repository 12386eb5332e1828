"""Routes of webhook deliveries: what a webhook endpoint was told, and what it answered."""

from typing import Annotated

from fastapi import APIRouter, Query

from gateway_hub.api.authentication import WebhooksReader
from gateway_hub.api.context import HubDependency
from gateway_hub.api.fields import PathId
from gateway_hub.api.pages import Pager
from gateway_hub.api.routes import ApiRoute
from gateway_hub.api.webhook_models import (
    WebhookDeliveryDetailsResponse,
    WebhookDeliveryListQuery,
    WebhookDeliveryPageResponse,
    to_delivery_details,
    to_delivery_response,
)

router = APIRouter(
    prefix="/webhook-endpoints/{endpoint_id}/deliveries",
    tags=["Webhooks"],
    route_class=ApiRoute,
)


@router.get("", summary="List webhook deliveries", operation_id="webhook_delivery_list")
async def list_deliveries(
    hub: HubDependency,
    caller: WebhooksReader,
    endpoint_id: PathId,
    query: Annotated[WebhookDeliveryListQuery, Query()],
) -> WebhookDeliveryPageResponse:
    """List the events that are or were on their way to a webhook endpoint, newest first."""
    pager = Pager(query, "webhook-deliveries", caller.project_id, endpoint_id)
    found = await hub.webhook_history.list_deliveries(
        caller.project_id, endpoint_id, query.status, before=pager.before, limit=pager.fetch_limit
    )
    page, cursor = pager.cut(found, lambda delivery: delivery.id)
    return WebhookDeliveryPageResponse(
        data=[to_delivery_response(delivery) for delivery in page], next_cursor=cursor
    )


@router.get("/{delivery_id}", summary="Get a webhook delivery", operation_id="webhook_delivery_get")
async def get_delivery(
    hub: HubDependency, caller: WebhooksReader, endpoint_id: PathId, delivery_id: PathId
) -> WebhookDeliveryDetailsResponse:
    """Return an event on its way to a webhook endpoint, with each attempt."""
    found = await hub.webhook_history.get_delivery(caller.project_id, endpoint_id, delivery_id)
    return to_delivery_details(*found)
