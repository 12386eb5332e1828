"""Events as the clients read them: from the log, and as they happen."""

import json
from typing import Any

import httpx
import pytest

from gateway_hub.client import Event, HubProblemError, RetryPolicy
from gateway_hub.client.streams import Following
from gateway_hub.services.hub import Hub
from tests.client.conftest import Driver, Pauses, answered_by

POLICY = RetryPolicy(attempts=3)


def _told(number: int, **data: Any) -> dict[str, Any]:
    return {
        "id": f"e-{number}",
        "type": "message.queued",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "project_id": "p",
        "data": data,
    }


def _sse(number: int, **data: Any) -> bytes:
    text = json.dumps(_told(number, **data), ensure_ascii=False)
    return f"event: message.queued\ndata: {text}\nid: c-{number}\n\n".encode()


async def test_the_log_is_read_and_gone_on_with(hub: Hub, client: Driver) -> None:
    sent = [await client.ask("send", "1234", str(number)) for number in range(2)]
    await hub.publisher.publish_all()
    events: list[Event] = await client.take(9, "events")
    assert [event.type for event in events] == ["message.queued"] * 2
    assert [event.message.id for event in events] == [message.id for message in sent]
    assert events[0].cursor is None
    last = events[-1].cursor
    assert last is not None
    assert await client.take(9, "events", cursor=last) == []
    cancelled = await client.ask("cancel", sent[0].id)
    await hub.publisher.publish_all()
    [event] = await client.take(9, "events", cursor=last)
    assert (event.type, event.message.id) == ("message.cancelled", cancelled.id)
    assert await client.take(9, "events", type="message.failed") == []


async def test_events_are_told_as_they_happen(hub: Hub, client: Driver) -> None:
    sent = [await client.ask("send", "1234", str(number)) for number in range(3)]
    first, second = await client.take(2, "stream_events", cursor="earliest")
    assert [first.message.id, second.message.id] == [sent[0].id, sent[1].id]
    [third] = await client.take(1, "stream_events", cursor=second.cursor)
    assert third.message.id == sent[2].id


async def test_a_broken_stream_is_gone_on_with(kind: str, pauses: Pauses) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get("cursor"))
        if len(asked) == 2:
            raise httpx.ConnectError("refused")
        if len(asked) == 3:
            return httpx.Response(503, json={"status": 503, "code": "unavailable"})
        chunks = [_sse(2)] if len(asked) > 1 else [_sse(1), b": still here\nid: c-1b\n\n"]
        return httpx.Response(200, content=b"".join(chunks))

    async with answered_by(kind, answer, pauses, POLICY) as client:
        events = await client.take(2, "stream_events")
    assert [event.id for event in events] == ["e-1", "e-2"]
    assert asked == [None, "c-1b", "c-1b", "c-1b"]
    assert len(pauses.seconds) == 3


async def test_a_stream_that_is_refused_says_so(kind: str, pauses: Pauses) -> None:
    ended = b'event: stream.ended\ndata: {"reason": "not_allowed", "cursor": "c"}\nid: c\n\n'
    answers = [
        httpx.Response(200, content=_sse(1) + ended),
        httpx.Response(401, json={"status": 401, "code": "unauthenticated"}),
    ]
    async with answered_by(kind, lambda _: answers.pop(0), pauses, POLICY) as client:
        with pytest.raises(HubProblemError, match="unauthenticated"):
            await client.take(2, "stream_events")


async def test_a_stream_that_keeps_failing_is_given_up(kind: str, pauses: Pauses) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, json={"status": 503, "code": "unavailable"})

    async with answered_by(kind, answer, pauses, POLICY) as client:
        with pytest.raises(HubProblemError, match="unavailable"):
            await client.take(1, "stream_events")
    assert len(pauses.seconds) == 2


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_stream_is_read_however_it_is_cut(size: int) -> None:
    text = "a\u2028b\x85c\x0b😀"
    stream = _sse(1, text=text).replace(b"\n", b"\r\n") + _sse(2, text=text)
    following = Following({}, None, POLICY)
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    events = [event for chunk in chunks for event in following.feed(chunk)]
    assert [event.data["text"] for event in events] == [text, text]
    assert following.cursor == "c-2"
