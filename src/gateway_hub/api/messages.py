"""Routes of messages: send, look up, list, cancel."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import StreamingResponse

from gateway_hub.api.authentication import MessagesReader, MessagesWriter
from gateway_hub.api.context import HubDependency
from gateway_hub.api.estimates import EstimateResponse, to_estimate_response
from gateway_hub.api.fields import PathId
from gateway_hub.api.idempotency import Told, once_of
from gateway_hub.api.message_batches import (
    SendBatchRequest,
    SendBatchResponse,
    to_batch_response,
)
from gateway_hub.api.message_exports import export_messages
from gateway_hub.api.message_filters import to_filter
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
from gateway_hub.api.openapi import ASKED_BACK, CONFLICTS, CREATED, EXPORTED
from gateway_hub.api.pages import Pager
from gateway_hub.api.problems import find_request_id
from gateway_hub.api.routes import ApiRoute, BulkApiRoute
from gateway_hub.domain.errors import HubError
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageDetails

router = APIRouter(prefix="/messages", tags=["Messages"], route_class=ApiRoute)
bulk_router = APIRouter(prefix="/messages", tags=["Messages"], route_class=BulkApiRoute)


@router.post(
    "", status_code=201, summary="Send a message", operation_id="message_send", responses=CREATED
)
async def send_message(
    hub: HubDependency,
    caller: MessagesWriter,
    request: SendMessageRequest,
    response: Response,
    http_request: Request,
) -> OutboundMessageResponse:
    """Take a message to be sent. After the 201 it is on disk and will not be lost."""
    once = once_of(http_request, _tell_first)
    message = await hub.outbox.submit(caller.project_id, request.to_draft(), once, tag=caller.tag)
    return _tell_sent(message).on(response)


@bulk_router.post("/batch", summary="Send many messages", operation_id="message_batch_send")
async def send_batch(
    hub: HubDependency, caller: MessagesWriter, batch: SendBatchRequest, request: Request
) -> SendBatchResponse:
    """Take up to 1000 messages; each is taken or refused by itself, and answered in its place."""

    async def tell(results: list[Message | HubError]) -> Told[SendBatchResponse]:
        request_id = find_request_id(request.scope)
        return Told(to_batch_response(batch.messages, results, request_id))

    drafts = [item.to_draft() for item in batch.messages if isinstance(item, SendMessageRequest)]
    once = once_of(request, tell)
    results: list[Message | HubError] = []
    if drafts or once:
        results = await hub.outbox.submit_batch(caller.project_id, drafts, once, tag=caller.tag)
    return (await tell(results)).content


@router.get("", summary="List messages", operation_id="message_list")
async def list_messages(
    hub: HubDependency, caller: MessagesReader, query: Annotated[MessageListQuery, Query()]
) -> MessagePageResponse:
    """List messages of both directions, newest first, with their attempts."""
    pager = Pager(query, "messages", caller.project_id)
    found = await hub.outbox.list_messages(
        caller.project_id,
        await to_filter(hub, caller, query),
        before=pager.before,
        limit=pager.fetch_limit,
    )
    page, cursor = pager.cut(found, lambda item: item.message.id)
    return MessagePageResponse(
        data=[to_message_response(item) for item in page], next_cursor=cursor
    )


# Before the message that would be called "export".
router.add_api_route(
    "/export",
    export_messages,
    methods=["GET"],
    summary="Export messages",
    operation_id="message_export",
    response_class=StreamingResponse,
    responses=EXPORTED,
)


@router.get("/{message_id}", summary="Get a message", operation_id="message_get")
async def get_message(
    hub: HubDependency, caller: MessagesReader, message_id: PathId
) -> MessageDetailsResponse:
    """Return a message with its attempts, every report about it, and what it waits for."""
    details = await hub.outbox.get(caller.project_id, message_id, tag=caller.tag)
    return to_details_response(details, await hub.waiting.explain(details))


@router.post(
    "/{message_id}/cancel",
    summary="Cancel a message",
    operation_id="message_cancel",
    responses={**ASKED_BACK, **CONFLICTS},
)
async def cancel_message(
    hub: HubDependency,
    caller: MessagesWriter,
    message_id: PathId,
    response: Response,
    request: Request,
) -> OutboundMessageResponse:
    """Take a message back: at once (200) while no phone has it; one that is cancelled stays so.

    A phone that knows how is asked to give it back (202): it becomes `cancelled`, or turns out to
    have been sent. Other phones cannot be asked: 409.
    """
    once = once_of(request, _tell_cancelled)
    details = await hub.outbox.cancel(caller.project_id, message_id, once, tag=caller.tag)
    return (await _tell_cancelled(details)).on(response)


@router.post(
    "/{message_id}/resend",
    summary="Send a message again",
    operation_id="message_resend",
    responses=CONFLICTS,
)
async def resend_message(
    hub: HubDependency, caller: MessagesWriter, message_id: PathId, request: Request
) -> OutboundMessageResponse:
    """Give a message that is `failed`, `uncertain` or `cancelled` another attempt.

    One that was `uncertain` may reach its recipient twice.
    """
    once = once_of(request, _tell_details)
    details = await hub.outbox.resend(caller.project_id, message_id, once, tag=caller.tag)
    return to_outbound_response(details)


@router.post("/estimate", summary="Estimate a message", operation_id="message_estimate")
async def estimate_message(
    hub: HubDependency, caller: MessagesReader, request: EstimateRequest
) -> EstimateResponse:
    """Tell what a message would cost and who could send it when; nothing is stored."""
    found = await hub.estimates.estimate(
        caller.project_id,
        request.to,
        request.text,
        request.to_route(),
        transliterated=request.transliterate,
        tag=caller.tag,
    )
    return to_estimate_response(found)


def _tell_sent(message: Message) -> Told[OutboundMessageResponse]:
    content = to_outbound_response(MessageDetails(message))
    return Told(content, status=201, location=f"/v1/messages/{message.id}")


async def _tell_first(results: list[Message | HubError]) -> Told[OutboundMessageResponse] | None:
    """Return what is told of the only message; of one that was refused nothing is kept."""
    [result] = results
    return None if isinstance(result, HubError) else _tell_sent(result)


async def _tell_details(details: MessageDetails) -> Told[OutboundMessageResponse]:
    return Told(to_outbound_response(details))


async def _tell_cancelled(details: MessageDetails) -> Told[OutboundMessageResponse]:
    done = details.message.status is Status.CANCELLED
    return Told(to_outbound_response(details), status=200 if done else 202)
