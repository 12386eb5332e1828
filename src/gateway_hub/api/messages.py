"""Routes of messages: send, look up, list, cancel."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from gateway_hub.api.authentication import MessagesReader, MessagesWriter
from gateway_hub.api.context import HubDependency
from gateway_hub.api.estimates import EstimateResponse, to_estimate_response
from gateway_hub.api.fields import PathId
from gateway_hub.api.message_batches import (
    SendBatchRequest,
    SendBatchResponse,
    to_batch_response,
)
from gateway_hub.api.message_requests import (
    EstimateRequest,
    MessageListQuery,
    SendMessageRequest,
)
from gateway_hub.api.message_responses import (
    MessageDetailsResponse,
    MessagePageResponse,
    OutboundMessageResponse,
    to_details_response,
    to_message_response,
    to_outbound_response,
)
from gateway_hub.api.openapi import ASKED_BACK, CONFLICTS, CREATED
from gateway_hub.api.pages import Pager
from gateway_hub.api.problems import find_request_id
from gateway_hub.api.routes import ApiRoute, BulkApiRoute
from gateway_hub.domain.access import Principal
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageDetails
from gateway_hub.domain.numbers import contact_key
from gateway_hub.services.hub import Hub
from gateway_hub.storage.messages import MessageFilter

router = APIRouter(prefix="/messages", tags=["Messages"], route_class=ApiRoute)
bulk_router = APIRouter(prefix="/messages", tags=["Messages"], route_class=BulkApiRoute)


@router.post(
    "", status_code=201, summary="Send a message", operation_id="message_send", responses=CREATED
)
async def send_message(
    hub: HubDependency, caller: MessagesWriter, request: SendMessageRequest, response: Response
) -> OutboundMessageResponse:
    """Take a message to be sent. After the 201 it is on disk and will not be lost."""
    message = await hub.outbox.submit(caller.project_id, request.to_draft())
    response.headers["Location"] = f"/v1/messages/{message.id}"
    return to_outbound_response(MessageDetails(message))


@bulk_router.post("/batch", summary="Send many messages", operation_id="message_batch_send")
async def send_batch(
    hub: HubDependency, caller: MessagesWriter, batch: SendBatchRequest, request: Request
) -> SendBatchResponse:
    """Take up to 1000 messages; each is taken or refused by itself, and answered in its place."""
    drafts = [item.to_draft() for item in batch.messages if isinstance(item, SendMessageRequest)]
    results = await hub.outbox.submit_batch(caller.project_id, drafts) if drafts else []
    return to_batch_response(batch.messages, results, find_request_id(request.scope))


@router.get("", summary="List messages", operation_id="message_list")
async def list_messages(
    hub: HubDependency, caller: MessagesReader, query: Annotated[MessageListQuery, Query()]
) -> MessagePageResponse:
    """List messages of both directions, newest first, with their attempts."""
    pager = Pager(query, "messages", caller.project_id)
    found = await hub.outbox.list_messages(
        caller.project_id,
        await _to_filter(hub, caller, query),
        before=pager.before,
        limit=pager.fetch_limit,
    )
    page, cursor = pager.cut(found, lambda item: item.message.id)
    return MessagePageResponse(
        data=[to_message_response(item) for item in page], next_cursor=cursor
    )


@router.get("/{message_id}", summary="Get a message", operation_id="message_get")
async def get_message(
    hub: HubDependency, caller: MessagesReader, message_id: PathId
) -> MessageDetailsResponse:
    """Return a message with its attempts and every report about it."""
    return to_details_response(await hub.outbox.get(caller.project_id, message_id))


@router.post(
    "/{message_id}/cancel",
    summary="Cancel a message",
    operation_id="message_cancel",
    responses={**ASKED_BACK, **CONFLICTS},
)
async def cancel_message(
    hub: HubDependency, caller: MessagesWriter, message_id: PathId, response: Response
) -> OutboundMessageResponse:
    """Take a message back: at once (200) while no phone has it; one that is cancelled stays so.

    A phone that knows how is asked to give it back (202): it becomes `cancelled`, or turns out to
    have been sent. Other phones cannot be asked: 409.
    """
    message = await hub.outbox.cancel(caller.project_id, message_id)
    if message.status is not Status.CANCELLED:
        response.status_code = 202
    return to_outbound_response(await hub.outbox.get(caller.project_id, message_id))


@router.post(
    "/{message_id}/resend",
    summary="Send a message again",
    operation_id="message_resend",
    responses=CONFLICTS,
)
async def resend_message(
    hub: HubDependency, caller: MessagesWriter, message_id: PathId
) -> OutboundMessageResponse:
    """Give a message that is `failed`, `uncertain` or `cancelled` another attempt.

    One that was `uncertain` may reach its recipient twice.
    """
    await hub.outbox.resend(caller.project_id, message_id)
    return to_outbound_response(await hub.outbox.get(caller.project_id, message_id))


@router.post("/estimate", summary="Estimate a message", operation_id="message_estimate")
async def estimate_message(
    hub: HubDependency, caller: MessagesReader, request: EstimateRequest
) -> EstimateResponse:
    """Tell what a message would cost and who could send it when; nothing is stored."""
    found = await hub.estimates.estimate(caller.project_id, request.text, request.to_route())
    return to_estimate_response(found)


async def _to_filter(hub: Hub, caller: Principal, query: MessageListQuery) -> MessageFilter:
    keys = None if query.contact is None else await _contact_keys(hub, caller, query.contact)
    return MessageFilter(
        direction=query.direction,
        status=query.status,
        type=query.type,
        device_id=query.device_id,
        contact_keys=keys,
        tag=query.tag,
        reference=query.reference,
        created_after=query.created_after,
        created_before=query.created_before,
        search=query.q,
    )


async def _contact_keys(hub: Hub, caller: Principal, contact: str) -> tuple[str, ...]:
    """Return the keys under which messages with *contact* may be kept.

    A leading space before a digit is a `+` that was not escaped as `%2B`.
    """
    if contact[0] == " " and contact.strip()[:1].isdecimal():
        contact = f"+{contact.strip()}"
    project = await hub.access.get_project(caller.project_id)
    return tuple({contact_key(contact, project.region), contact.strip()})
