"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from gateway_hub.client import conversations
from gateway_hub.client.connections import build_request, find_options
from gateway_hub.client.errors import HubProblemError
from gateway_hub.client.exchanges import Answer, Conversation, Outcome, Pause, RetryPolicy
from gateway_hub.client.results import Device, Event, Message, Page, WebhookEndpoint
from gateway_hub.client.streams import SILENCE_SECONDS, Following
from gateway_hub.client.wishes import Draft, render_given

T = TypeVar("T")


class AsyncClient:
    """A hub's REST API. Use it in an ``async with`` block, or `close` it.

    *url* is the hub's, without a path; *project* is for keys with the scope `admin`. What fails in
    a way that may pass is tried again, as *retries* says. Every method raises HubClientError.
    """

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        project: str | None = None,
        timeout_seconds: float = 30.0,
        retries: RetryPolicy | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        options = find_options(url, api_key, project, timeout_seconds)
        self._http = httpx.AsyncClient(transport=transport, **options)
        self._retries = retries or RetryPolicy()
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(
        self,
        to: str,
        text: str,
        *,
        device_id: str | None = None,
        tag: str | None = None,
        priority: int | None = None,
        send_at: datetime | None = None,
        expires_at: datetime | None = None,
        max_attempts: int | None = None,
        if_uncertain: str | None = None,
        reference: str | None = None,
        status_callback: str | None = None,
        metadata: Mapping[str, str] | None = None,
        transliterate: bool | None = None,
        idempotency_key: str | None = None,
    ) -> Message:
        """Have a message sent, once, however often this tries; return it as the hub took it.

        With an *idempotency_key* of your own that holds also if your program dies meanwhile and
        asks again, within 24 hours.
        """
        draft = Draft(
            to,
            text,
            device_id=device_id,
            tag=tag,
            priority=priority,
            send_at=send_at,
            expires_at=expires_at,
            max_attempts=max_attempts,
            if_uncertain=if_uncertain,
            reference=reference,
            status_callback=status_callback,
            metadata=metadata or {},
            transliterate=transliterate,
        )
        return await self._play(conversations.send(draft, idempotency_key, self._retries))

    async def send_batch(
        self, drafts: Sequence[Draft], *, idempotency_key: str | None = None
    ) -> list[Message | HubProblemError]:
        """Have up to 1000 messages sent; return for each, in order, the message or its problem."""
        return await self._play(conversations.send_batch(drafts, idempotency_key, self._retries))

    async def get(self, message_id: str) -> Message:
        """Return a message."""
        return await self._play(conversations.get(message_id, self._retries))

    async def wait(
        self, message_id: str, *, until: Collection[str] = (), timeout_seconds: float = 60.0
    ) -> Message:
        """Return the message once its status is one of *until*, or no other will follow.

        Raises WaitTimeoutError. Without *until*: once it is over. For many messages at once,
        `events` is better.
        """
        return await self._play(
            conversations.await_status(message_id, until, timeout_seconds, self._retries)
        )

    async def cancel(self, message_id: str, *, idempotency_key: str | None = None) -> Message:
        """Take a message back; it is `cancelled`, or its phone was asked to give it back."""
        return await self._play(
            conversations.act(message_id, "cancel", idempotency_key, self._retries)
        )

    async def resend(self, message_id: str, *, idempotency_key: str | None = None) -> Message:
        """Give a message that ended badly another attempt."""
        return await self._play(
            conversations.act(message_id, "resend", idempotency_key, self._retries)
        )

    async def messages(
        self,
        *,
        direction: str | None = None,
        status: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's own name
        device_id: str | None = None,
        contact: str | None = None,
        tag: str | None = None,
        reference: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        q: str | None = None,
    ) -> AsyncIterator[Message]:
        """Yield the messages that match, newest first, page by page."""
        filters = render_given(
            {
                "direction": direction,
                "status": status,
                "type": type,
                "device_id": device_id,
                "contact": contact,
                "tag": tag,
                "reference": reference,
                "created_after": created_after,
                "created_before": created_before,
                "q": q,
            }
        )
        async for page in self._pages("/v1/messages", filters):
            for item in page.data:
                yield Message.from_json(item)

    async def devices(self) -> AsyncIterator[Device]:
        """Yield the devices, newest first, page by page."""
        async for page in self._pages("/v1/devices", {}):
            for item in page.data:
                yield Device.from_json(item)

    async def events(
        self,
        *,
        cursor: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's own name
        message_id: str | None = None,
        device_id: str | None = None,
    ) -> AsyncIterator[Event]:
        """Yield the events after *cursor*, oldest first, up to now.

        Keep the last `Event.cursor` that is not None, and go on from it next time.
        """
        filters = render_given({"type": type, "message_id": message_id, "device_id": device_id})
        async for page in self._pages("/v1/events", filters, cursor):
            for event in conversations.to_events(page):
                yield event

    async def stream_events(
        self,
        *,
        cursor: str | None = None,
        type: str | None = None,  # noqa: A002 - the API's own name
        message_id: str | None = None,
        device_id: str | None = None,
    ) -> AsyncIterator[Event]:
        """Yield events as they happen, for ever; a broken stream is gone on with where it broke.

        Without *cursor*, what happens from now on.
        """
        filters = render_given({"type": type, "message_id": message_id, "device_id": device_id})
        following = Following(filters, cursor, self._retries)
        while True:
            outcome: Outcome = None
            request = build_request(self._http, following.next_call(), SILENCE_SECONDS)
            try:
                response = await self._http.send(request, stream=True)
                try:
                    if response.status_code == httpx.codes.OK:
                        async for chunk in response.aiter_bytes():
                            for event in following.feed(chunk):
                                yield event
                    else:
                        content = await response.aread()
                        outcome = Answer(response.status_code, response.headers, content)
                finally:
                    await response.aclose()
            except httpx.TransportError as error:
                outcome = error
            await self._sleep(following.wait_after(outcome))

    async def create_webhook_endpoint(
        self,
        url: str,
        events: Sequence[str],
        *,
        tags: Sequence[str] = (),
        description: str | None = None,
        idempotency_key: str | None = None,
    ) -> WebhookEndpoint:
        """Have *url* told of *events*, `*` for all; keep the `secret` of what is returned."""
        body = render_given(
            {"url": url, "events": [*events], "tags": [*tags], "description": description}
        )
        return await self._play(
            conversations.create_webhook_endpoint(body, idempotency_key, self._retries)
        )

    async def _pages(
        self, path: str, filters: Mapping[str, Any], cursor: str | None = None
    ) -> AsyncIterator[Page]:
        more = True
        while more:
            page = await self._play(conversations.get_page(path, filters, cursor, self._retries))
            yield page
            cursor, more = page.cursor, page.has_more

    async def _play(self, conversation: Conversation[T]) -> T:
        outcome: Outcome = None
        while True:
            try:
                step = conversation.send(outcome)
            except StopIteration as end:
                result: T = end.value
                return result
            if isinstance(step, Pause):
                await self._sleep(step.seconds)
                outcome = None
                continue
            try:
                response = await self._http.send(build_request(self._http, step))
                outcome = Answer(response.status_code, response.headers, response.content)
            except httpx.TransportError as error:
                outcome = error
