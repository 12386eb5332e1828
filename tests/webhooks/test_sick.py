"""Eleven sick endpoints and a healthy one hear of the same events."""

import ssl
import zlib
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from gateway_hub.domain.webhooks.deliveries import DeliveryStatus
from gateway_hub.domain.webhooks.endpoints import EndpointState, WebhookEndpoint
from gateway_hub.domain.webhooks.outcomes import OutcomeKind
from gateway_hub.webhooks.sender import SendLimits
from gateway_hub.webhooks.worker import WebhookWorker
from tests.conftest import FakeClock
from tests.webhooks.certificates import Authority
from tests.webhooks.conftest import MakeSender
from tests.webhooks.places import Place
from tests.webhooks.receiver import (
    Behaviour,
    Receiver,
    answering,
    drip,
    hang,
    hang_up,
    ok,
    pour,
    receiving,
    status,
    then,
)

MIB = 1 << 20
LIMITS = SendLimits(total_seconds=5.0)
ZEROS = zlib.compress(bytes(MIB), wbits=31)
LARGE = answering(f"HTTP/1.1 200 OK\nContent-Length: {200 * MIB}")


async def test_a_healthy_endpoint_gets_all_whatever_the_others_do(
    place: Place,
    make_sender: MakeSender,
    clock: FakeClock,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    strangers = Authority(tmp_path_factory.mktemp("strangers")).serve_as("127.0.0.1")
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(receiving(ok()))

        async def enter(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Receiver:
            return await stack.enter_async_context(receiving(behaviour, tls=tls))

        begin = answering("HTTP/1.1 200 OK\nContent-Length: 1000")
        sick = {
            "hangs": (await enter(hang)).url(),
            "hangs after its headers": (await enter(then(begin, hang))).url(),
            "drips": (await enter(then(begin, drip(b"x" * 1000)))).url(),
            "fails": (await enter(status(500))).url(),
            "throttles": (await enter(status(429, "Retry-After: 3600"))).url(),
            "redirects": (await enter(status(302, f"Location: {target.url()}"))).url(),
            "pours": (await enter(then(LARGE, pour(bytes(MIB), 200)))).url(),
            "packs": (await enter(ok(ZEROS, "Content-Encoding: gzip"))).url(),
            "is a stranger": (await enter(ok(), strangers)).url(scheme="https"),
            "has no name": "http://nowhere.example/",
            "hangs up": (await enter(hang_up)).url(),
            "is gone": (await enter(status(410))).url(),
        }
        healthy = await enter(ok())
        endpoints = {
            name: await place.subscribe(url, "message.queued") for name, url in sick.items()
        }
        good = await place.subscribe(healthy.url(), "message.queued")
        worker = WebhookWorker(
            place.hub.webhook_deliveries, make_sender(limits=LIMITS), clock=clock
        )
        for number in range(3):
            await place.submit(f"{number}")
        await place.hub.publisher.publish_all()
        assert await worker.work_once() == 13 * 3
        await place.hub.webhook_deliveries.bury()
    assert target.connections == 0
    assert Counter(await _statuses(place, good)) == {DeliveryStatus.DELIVERED: 3}
    fine = {"pours", "packs"}  # a 2xx is one, however much follows: nothing more is read
    for name, endpoint in endpoints.items():
        ended = Counter(await _statuses(place, endpoint))
        if name in fine:
            assert ended == {DeliveryStatus.DELIVERED: 3}, name
        elif name == "is gone":
            assert ended == {DeliveryStatus.DEAD: 3}, name
            assert (await place.endpoint(endpoint)).state is EndpointState.DISABLED
        else:
            assert ended == {DeliveryStatus.PENDING: 3}, name
            assert await _outcomes(place, endpoint) == {
                OutcomeKind.THROTTLED
                if name == "throttles"
                else OutcomeKind.REFUSED
                if name in {"fails", "redirects"}
                else OutcomeKind.UNREACHABLE
            }, name


async def _statuses(place: Place, endpoint: WebhookEndpoint) -> list[DeliveryStatus]:
    return [item.status for item in await place.deliveries(endpoint)]


async def _outcomes(place: Place, endpoint: WebhookEndpoint) -> set[OutcomeKind]:
    return {
        attempt.outcome
        for delivery in await place.deliveries(endpoint)
        for attempt in await place.attempts(delivery)
    }
