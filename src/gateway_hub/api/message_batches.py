"""Many messages in one request: each is taken or refused by itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from gateway_hub.api.message_requests import SendMessageRequest
from gateway_hub.api.message_responses import OutboundMessageResponse, to_outbound_response
from gateway_hub.api.problems import Problem, refuse_fields, to_problem
from gateway_hub.api.refused_fields import to_fields
from gateway_hub.domain.errors import FieldProblem, HubError
from gateway_hub.domain.messages import Message, MessageDetails

MAX_MESSAGES = 1000


@dataclass(frozen=True, slots=True)
class RefusedItem:
    """An item that is no message; the pointers of *fields* begin at the item."""

    fields: tuple[FieldProblem, ...]


def _validate_item(value: Any) -> SendMessageRequest | RefusedItem:
    try:
        return SendMessageRequest.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return RefusedItem(to_fields(found, skip=0))


BatchItem = Annotated[
    SendMessageRequest | RefusedItem,
    PlainValidator(_validate_item, json_schema_input_type=SendMessageRequest),
]


class SendBatchRequest(BaseModel):
    """Messages to be sent; one that is refused costs none of the others."""

    model_config = ConfigDict(extra="forbid")

    messages: list[BatchItem] = Field(min_length=1, max_length=MAX_MESSAGES)


class AcceptedItemResponse(BaseModel):
    """An item that became a message."""

    status: Literal[201]
    message: OutboundMessageResponse


class RefusedItemResponse(BaseModel):
    """An item that was refused, and why; pointers begin at the item."""

    status: int
    problem: Problem


class SendBatchResponse(BaseModel):
    """What became of each item, in order."""

    data: list[AcceptedItemResponse | RefusedItemResponse]


def to_batch_response(
    items: Sequence[SendMessageRequest | RefusedItem],
    results: Iterable[Message | HubError],
    request_id: str | None,
) -> SendBatchResponse:
    """Return what became of *items*; *results* are of those not refused already, in order."""
    following = iter(results)
    return SendBatchResponse(
        data=[
            _refuse(refuse_fields(item.fields, request_id))
            if isinstance(item, RefusedItem)
            else _tell(next(following), request_id)
            for item in items
        ]
    )


def _tell(
    result: Message | HubError, request_id: str | None
) -> AcceptedItemResponse | RefusedItemResponse:
    if isinstance(result, HubError):
        return _refuse(to_problem(result, request_id))
    return AcceptedItemResponse(status=201, message=to_outbound_response(MessageDetails(result)))


def _refuse(problem: Problem) -> RefusedItemResponse:
    return RefusedItemResponse(status=problem.status, problem=problem)
