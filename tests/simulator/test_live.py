"""Live phones against a server behind a real socket."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway_hub.adapters.envaya.simulator.live import KIND as ENVAYA
from gateway_hub.adapters.medic.simulator.live import KIND as MEDIC
from gateway_hub.simulator.kinds import PhoneKind, PhoneSetup
from gateway_hub.simulator.live import LivePhone
from gateway_hub.simulator.network import PhoneNetwork, make_tls
from gateway_hub.simulator.pace import PhoneClock
from gateway_hub.simulator.radio import Radio
from tests.serving import serving
from tests.simulator.living import PATIENCE_SECONDS, Told

Serve = Callable[[dict[str, Any]], Awaitable[Response]]

FAST = 200.0
SMS = {"id": "m1", "to": "+255700000001", "content": "Habari"}


def offer(*messages: dict[str, Any]) -> Response:
    return JSONResponse({"messages": messages})


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """Yield the URL of a server that answers the JSON of posts."""

    async def respond(request: Request) -> Response:
        return await serve(await request.json())

    async with serving(Starlette(routes=[Route("/medic", respond, methods=["POST"])])) as port:
        yield f"http://127.0.0.1:{port}/medic"


@asynccontextmanager
async def living(
    url: str, told: Told, clock: PhoneClock, kind: PhoneKind = MEDIC
) -> AsyncIterator[LivePhone]:
    """Yield a phone that lives for the length of the block."""
    rng = random.Random(1)
    setup = PhoneSetup("phone", url)
    if kind is ENVAYA:
        setup = replace(setup, phone_number="+255710000001", password="rosebud")
    phone = kind.make(setup, rng, Radio(rng), clock.now())
    async with PhoneNetwork(PATIENCE_SECONDS, make_tls(), kind.habits) as network:
        live = LivePhone(phone, kind, network, clock, told)
        life = asyncio.create_task(live.live())
        try:
            yield live
        finally:
            life.cancel()
            with suppress(asyncio.CancelledError):
                await life


async def test_a_message_is_sent_and_its_way_told() -> None:
    offered: list[dict[str, Any]] = [SMS]

    async def serve(_post: dict[str, Any]) -> Response:
        return offer(*([offered.pop()] if offered else []))

    told = Told()
    async with server(serve) as url, living(url, told, PhoneClock(FAST)) as phone:
        assert phone.name == "phone"
        given = await told.until("given")
        sent = await told.until("on_air")
        await told.until("reported", status="DELIVERED")
    assert (given.wire_id, given.contact, given.text) == ("m1", "+255700000001", "Habari")
    assert (sent.wire_id, sent.contact, sent.text, sent.parts) == (*list(SMS.values()), 1)
    statuses = [step.status for step in told.named("reported")]
    assert statuses == ["UNSENT", "PENDING", "SENT", "DELIVERED"]
    assert {step.http_status for step in told.named("answered")} == {200}


async def test_a_received_sms_is_forwarded_at_once() -> None:
    posts: list[dict[str, Any]] = []

    async def serve(post: dict[str, Any]) -> Response:
        posts.append(post)
        return offer()

    told = Told()
    async with server(serve) as url, living(url, told, PhoneClock()) as phone:
        await told.until("nothing")
        phone.receive_sms("+255700000002", "Nzuri")
        await told.until("forwarded", contact="+255700000002", text="Nzuri")
    assert [len(post["messages"]) for post in posts] == [0, 1]
    assert posts[1]["messages"][0]["content"] == "Nzuri"
    assert [step.text for step in told.named("received")] == ["Nzuri"]


async def test_a_server_that_is_away_is_told_and_asked_again() -> None:
    told = Told()
    async with living("http://127.0.0.1:1/medic", told, PhoneClock(FAST)):
        silence = await told.until("no_answer")
        assert silence.detail == "the connection was refused or reset"
        assert silence.next_seconds is not None
        assert 0 < silence.next_seconds <= 60 / FAST
        await told.until("no_answer", times=2)


async def test_a_refusal_says_when_the_phone_goes_on() -> None:
    async def refuse(_post: dict[str, Any]) -> Response:
        return JSONResponse({"error": True, "message": "No."}, 401)

    told = Told()
    async with server(refuse) as url, living(url, told, PhoneClock()):
        refused = await told.until("refused")
    assert (refused.http_status, refused.detail) == (401, "No.")
    assert refused.next_seconds == pytest.approx(60, abs=5)


@asynccontextmanager
async def form_server(serve: Callable[[str], Awaitable[Response]]) -> AsyncIterator[str]:
    """Yield the URL of a server that answers EnvayaSMS by the action of its post."""

    async def respond(request: Request) -> Response:
        return await serve(str((await request.form())["action"]))

    async def show_page(_request: Request) -> Response:
        return JSONResponse({})

    routes = [Route("/envaya", respond, methods=["POST"]), Route("/page", show_page)]
    async with serving(Starlette(routes=routes)) as port:
        yield f"http://127.0.0.1:{port}/envaya"


async def test_what_a_redirect_loses_is_told() -> None:
    async def redirect(_action: str) -> Response:
        return RedirectResponse("/page", 302)

    told = Told()
    async with form_server(redirect) as url, living(url, told, PhoneClock(), ENVAYA) as phone:
        phone.receive_sms("+255700000002", "Nzuri")
        lost = await told.until("lost")
    assert (lost.contact, lost.text) == ("+255700000002", "Nzuri")
    assert len(told.named("lost")) == 1
    assert told.named("forwarded") == []


async def test_a_crash_ends_all_connections_and_says_when_the_phone_goes_on() -> None:
    may_end = asyncio.Event()

    async def serve(action: str) -> Response:
        if action == "incoming":
            await may_end.wait()
        return Response(status_code=204)

    told = Told()
    async with form_server(serve) as url:
        async with living(url, told, PhoneClock(), ENVAYA) as phone:
            phone.receive_sms("+255700000002", "Nzuri")
            crashed = await told.until("crashed")
            may_end.set()
            await told.until("asked", times=2)
        assert len(told.named("answered")) == len(told.named("crashed")) == 1
    assert crashed.http_status == 204
    assert crashed.next_seconds == pytest.approx(5, abs=1)


async def test_the_clock_is_not_hurried_while_an_answer_is_awaited() -> None:
    clock = PhoneClock(FAST)
    paces: list[float] = []

    async def serve(_post: dict[str, Any]) -> Response:
        paces.append(clock.seconds_until(clock.now() + timedelta(seconds=1000)))
        return offer()

    told = Told()
    async with server(serve) as url, living(url, told, clock):
        await told.until("nothing")
        paces.append(clock.seconds_until(clock.now() + timedelta(seconds=1000)))
    assert [round(pace) for pace in paces[:2]] == [1000, 1000 / FAST]
