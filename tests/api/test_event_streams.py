"""Event streams over a real connection: as a client hears them, and as they end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.api import event_streams, events
from gateway_hub.domain.access import Scope
from gateway_hub.services.hub import Hub
from tests.api.clients import OPERATOR_TOKEN
from tests.services.phones import submit
from tests.serving import serving


@dataclass(frozen=True)
class Block:
    """What came up to an empty line, by field; a comment is under the empty name."""

    fields: dict[str, str]

    @property
    def cursor(self) -> str:
        return self.fields["id"]

    @property
    def type(self) -> str | None:
        return self.fields.get("event")


@asynccontextmanager
async def _listening(
    app: FastAPI, token: str = OPERATOR_TOKEN, **headers: str
) -> AsyncIterator[AsyncIterator[Block]]:
    """Yield what a stream of *app* tells."""
    async with serving(app) as port:
        given = {"Authorization": f"Bearer {token}", **headers}
        url = f"http://127.0.0.1:{port}/v1/events/stream"
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("GET", url, headers=given) as answer,
        ):
            assert answer.status_code == 200
            yield _blocks(answer)


async def _blocks(answer: httpx.Response) -> AsyncIterator[Block]:
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            yield Block(fields)
            fields = {}
        else:
            name, _, value = line.partition(":")
            fields[name] = value.strip()


@pytest.fixture
async def project_id(hub: Hub) -> str:
    """The project whose events are told."""
    return (await hub.access.get_project("default")).id


async def test_a_stream_tells_what_happens_and_is_resumed_where_it_was(
    app: FastAPI, hub: Hub, project_id: str
) -> None:
    async with _listening(app) as blocks:
        greeting = await anext(blocks)
        assert greeting.fields == {"": "still here", "id": greeting.cursor}
        sent = await submit(hub, project_id)
        heard = await anext(blocks)
        assert heard.type == "message.queued"
        assert json.loads(heard.fields["data"])["data"]["id"] == sent.id
    missed = await submit(hub, project_id)
    await hub.publisher.publish_all()
    async with _listening(app, **{"Last-Event-ID": heard.cursor}) as blocks:
        assert json.loads((await anext(blocks)).fields["data"])["data"]["id"] == missed.id
    while hub.tail.open_streams:  # until the server has noticed that the client is gone
        await asyncio.sleep(0.01)


async def test_a_stream_without_events_says_that_it_is_there(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.01)
    async with _listening(app) as blocks:
        for _ in range(3):
            assert (await anext(blocks)).fields[""] == "still here"


async def test_a_stream_ends_at_once_when_the_hub_stops(app: FastAPI, hub: Hub) -> None:
    async with _listening(app) as blocks:
        greeting = await anext(blocks)
        hub.let_go()
        ended = await anext(blocks)
        assert ended.type == event_streams.ENDED
        told = {"reason": "stopping", "cursor": greeting.cursor}
        assert json.loads(ended.fields["data"]) == told
        assert [block async for block in blocks] == []


async def test_a_stream_ends_with_the_key_it_was_opened_with(
    app: FastAPI, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.01)
    new = await hub.access.create_key(
        name="key", scopes=frozenset({Scope.MESSAGES_READ}), project="default"
    )
    async with _listening(app, new.secret) as blocks:
        await anext(blocks)
        operator = await hub.access.authenticate(OPERATOR_TOKEN)
        await hub.access.revoke_key(operator, new.key.id)
        *_, last = [block async for block in blocks]
    assert json.loads(last.fields["data"])["reason"] == "not_allowed"
