"""Server-Sent Events over the log: each event under the cursor that it is resumed from."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import orjson
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from gateway_hub.domain.events import render_envelope
from gateway_hub.services.event_log import NewsOfLog
from gateway_hub.services.log_cursors import LogCursors

HEARTBEAT_SECONDS = 15.0
"""How often a stream without events says that it is there."""

ENDED = "stream.ended"
"""The event that tells why a stream ends, and from where to go on."""

_SEND_SECONDS = 30.0
_HEADERS = {"X-Accel-Buffering": "no"}
"""A proxy that gathers what comes would keep it for itself."""


class EventStream(EventSourceResponse):
    """An answer that goes on until one side ends it."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        super().__init__(chunks, headers=_HEADERS)
        self._chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all; a client that takes nothing for a while is cut off."""

        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(_SEND_SECONDS):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        async with aclosing(self._chunks):
            await super().__call__(scope, receive, send_in_time)


async def render_stream(
    news: AsyncGenerator[NewsOfLog, None],
    cursors: LogCursors,
    project_id: str,
    is_allowed: Callable[[], Awaitable[bool]],
) -> AsyncGenerator[bytes, None]:
    """Yield *news* as they go over the wire, until they end or are not allowed any more."""
    async with aclosing(news):
        async for item in news:
            for event in item.events:
                yield format_sse_event(
                    data_str=render_envelope(event).decode("utf-8"),
                    event=event.type.value,
                    id=cursors.seal(project_id, event.seq),
                )
            cursor = cursors.seal(project_id, item.place)
            ending = item.ending if await is_allowed() else "not_allowed"
            if ending is not None:
                yield _render_ending(ending, cursor)
                return
            if not item.events or item.events[-1].seq != item.place:
                yield format_sse_event(comment="still here", id=cursor)


def _render_ending(reason: str, cursor: str) -> bytes:
    data = orjson.dumps({"reason": reason, "cursor": cursor}).decode()
    return format_sse_event(data_str=data, event=ENDED, id=cursor)
