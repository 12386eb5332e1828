"""What each method of the clients says to the hub, and what it makes of the answer."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gateway_hub.client.errors import HubProblemError, WaitTimeoutError
from gateway_hub.client.exchanges import Call, Conversation, Pause, RetryPolicy, converse, post
from gateway_hub.client.results import Event, Message, Page, WebhookEndpoint
from gateway_hub.client.wishes import Draft

_PAGE_ITEMS = 100
_FIRST_LOOK_SECONDS, _LAST_LOOK_SECONDS = 0.5, 5.0
_TAKEN = 201


def send(draft: Draft, key: str | None, policy: RetryPolicy) -> Conversation[Message]:
    """Return the message that *draft* became."""
    return Message.from_json(
        (yield from converse(post("/v1/messages", draft.to_json(), key), policy))
    )


def send_batch(
    drafts: Sequence[Draft], key: str | None, policy: RetryPolicy
) -> Conversation[list[Message | HubProblemError]]:
    """Return what each of *drafts* became."""
    body = {"messages": [draft.to_json() for draft in drafts]}
    told = yield from converse(post("/v1/messages/batch", body, key), policy)
    return [
        Message.from_json(item["message"])
        if item["status"] == _TAKEN
        else HubProblemError.from_json(item["problem"])
        for item in told["data"]
    ]


def get(message_id: str, policy: RetryPolicy) -> Conversation[Message]:
    """Return that message."""
    return Message.from_json((yield from converse(Call("GET", _path_of(message_id)), policy)))


def act(
    message_id: str, action: str, key: str | None, policy: RetryPolicy
) -> Conversation[Message]:
    """Return the message after *action*."""
    call = post(f"{_path_of(message_id)}/{action}", None, key)
    return Message.from_json((yield from converse(call, policy)))


def await_status(
    message_id: str,
    until: Collection[str],
    timeout_seconds: float,
    policy: RetryPolicy,
    clock: Callable[[], float] = time.monotonic,
) -> Conversation[Message]:
    """Return the message once its status is one of *until*, or none will follow.

    Raises WaitTimeoutError.
    """
    ends_at = clock() + timeout_seconds
    pause = _FIRST_LOOK_SECONDS
    while True:
        message = yield from get(message_id, policy)
        if message.status in until or message.final:
            return message
        left = ends_at - clock()
        if left <= 0:
            raise WaitTimeoutError(message)
        yield Pause(min(pause, left))
        pause = min(pause * 1.5, _LAST_LOOK_SECONDS)


def get_page(
    path: str, filters: Mapping[str, Any], cursor: str | None, policy: RetryPolicy
) -> Conversation[Page]:
    """Return the page of the list at *path* that begins at *cursor*."""
    place = {} if cursor is None else {"cursor": cursor}
    params = {"limit": _PAGE_ITEMS, **filters, **place}
    return Page.from_json((yield from converse(Call("GET", path, params=params), policy)))


def to_events(page: Page) -> Iterator[Event]:
    """Yield the events of *page*; from within it nobody can go on, so only the last says where."""
    for position, item in enumerate(page.data, 1):
        yield Event.from_json(item, page.cursor if position == len(page.data) else None)


def create_webhook_endpoint(
    body: Mapping[str, Any], key: str | None, policy: RetryPolicy
) -> Conversation[WebhookEndpoint]:
    """Return the webhook endpoint that *body* asks for, with its secret."""
    call = post("/v1/webhook-endpoints", body, key)
    return WebhookEndpoint.from_json((yield from converse(call, policy)))


def _path_of(message_id: str) -> str:
    return f"/v1/messages/{quote(message_id, safe='')}"
