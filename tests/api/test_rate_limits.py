"""How often a caller may ask, what a caller is told of it, and how much may wait."""

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.api.context import set_context
from gateway_hub.api.rate_limits import Buckets, Level, RateLimits, make_limits
from gateway_hub.domain.access import Scope
from gateway_hub.services.backlogs import Backlogs, QueueFullError
from gateway_hub.services.hub import Hub
from tests.api.clients import OPERATOR_TOKEN, connect, make_key, named, problem_of

GOOD = {"to": "+255712345678", "text": "Habari"}


class _Timer:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timer() -> _Timer:
    return _Timer()


def test_a_bucket_gives_its_tokens_and_then_one_at_a_time(timer: _Timer) -> None:
    buckets = Buckets(6, clock=timer)
    assert [buckets.take("a").left for _ in range(6)] == [5, 4, 3, 2, 1, 0]
    assert buckets.take("a") == Level(0, 60.0, 10.0)
    timer.now += 4
    assert buckets.take("a").wait_seconds == 6.0
    assert buckets.take("b").left == 5
    timer.now += 6
    assert buckets.take("a") == Level(0, 60.0, 0.0)
    assert buckets.take("a").wait_seconds == 10.0
    timer.now += 3600
    assert buckets.take("a") == Level(5, 10.0, 0.0)


def test_buckets_remember_no_more_callers_than_they_may(timer: _Timer) -> None:
    buckets = Buckets(6, clock=timer)
    for number in range(10_001):
        buckets.take(str(number))
    assert len(buckets._full_at) == 1
    timer.now += 3600
    for number in range(20_000):
        timer.now += 20
        buckets.take(str(number))
    assert len(buckets._full_at) <= 10_000


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(
    hub: Hub, app: FastAPI, timer: _Timer
) -> None:
    set_context(app, hub, (), RateLimits(requests=Buckets(2, clock=timer)))
    secrets = [await make_key(hub, [Scope.MESSAGES_READ]) for _ in range(2)]
    async with connect(app, secrets[0]) as client, connect(app, secrets[1]) as other:
        first = await client.get("/v1/messages")
        assert first.headers["RateLimit-Policy"] == '"key";q=2;w=60'
        assert first.headers["RateLimit"] == '"key";r=1;t=30'
        missing = await client.get("/v1/messages/none")
        assert (missing.status_code, missing.headers["RateLimit"]) == (404, '"key";r=0;t=60')
        refused = await client.get("/v1/messages")
        assert (refused.status_code, problem_of(refused)["code"]) == (429, "too_many_requests")
        assert refused.headers["Retry-After"] == "30"
        assert refused.headers["RateLimit"] == '"key";r=0;t=60'
        assert (await other.get("/v1/messages")).status_code == 200
        timer.now += 30
        assert (await client.get("/v1/messages")).status_code == 200
    async with connect(app, OPERATOR_TOKEN) as admin:
        answers = [await admin.get("/v1/messages") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "RateLimit" not in answers[0].headers


async def test_what_was_refused_for_its_rate_had_no_effect(
    hub: Hub, app: FastAPI, timer: _Timer
) -> None:
    set_context(app, hub, (), RateLimits(requests=Buckets(1, clock=timer)))
    secret = await make_key(hub, [Scope.MESSAGES_WRITE])
    async with connect(app, secret) as client:
        statuses = [(await client.post("/v1/messages", json=GOOD)).status_code for _ in range(3)]
    assert statuses == [201, 429, 429]
    async with connect(app, OPERATOR_TOKEN) as admin:
        assert len((await admin.get("/v1/messages")).json()["data"]) == 1


def _from(app: FastAPI, address: str, token: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(named(app), client=(address, 1234))
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(transport=transport, base_url="http://hub.test", headers=headers)


@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param(("192.0.2.1", "192.0.2.1", "192.0.2.2"), id="IPv4"),
        pytest.param(("2001:db8:1:2::1", "2001:db8:1:2:9::8", "2001:db8:1:3::1"), id="IPv6"),
        pytest.param(("::ffff:192.0.2.1", "192.0.2.1", "::ffff:192.0.2.2"), id="mapped"),
        pytest.param(("no address", "no address", "another"), id="a socket"),
    ],
)
async def test_whoever_has_no_key_is_told_to_stop_trying(
    hub: Hub, app: FastAPI, timer: _Timer, hosts: tuple[str, str, str]
) -> None:
    address, same, other = hosts
    set_context(app, hub, (), RateLimits(refusals=Buckets(2, clock=timer)))

    async def ask(host: str, token: str) -> httpx.Response:
        async with _from(app, host, token) as client:
            return await client.get("/v1/messages")

    statuses = [(await ask(host, "ghk_wrong")).status_code for host in (address, same, same)]
    assert statuses == [401, 401, 429]
    refused = await ask(address, "ghk_wrong")
    assert problem_of(refused)["code"] == "too_many_requests"
    assert refused.headers["Retry-After"] == "30"
    assert (await ask(other, "ghk_wrong")).status_code == 401
    # A stranger at the same address locks nobody out.
    assert (await ask(address, OPERATOR_TOKEN)).status_code == 200


async def test_limits_can_be_switched_off(hub: Hub, app: FastAPI) -> None:
    limits = make_limits(0, 0)
    assert (limits.requests, limits.refusals) == (None, None)
    assert make_limits(7, 0).requests is not None
    set_context(app, hub, (), limits)
    async with connect(app, await make_key(hub, [Scope.MESSAGES_READ])) as client:
        assert "RateLimit" not in (await client.get("/v1/messages")).headers


async def test_a_full_queue_takes_no_more_until_it_is_shorter(
    hub: Hub, admin: httpx.AsyncClient, timer: _Timer
) -> None:
    hub.outbox._backlogs = Backlogs(hub.database, 3, timer)
    ids = [(await admin.post("/v1/messages", json=GOOD)).json()["id"] for _ in range(2)]
    batch = await admin.post("/v1/messages/batch", json={"messages": [GOOD, GOOD]})
    assert (batch.status_code, problem_of(batch)["code"]) == (503, "queue_full")
    key = {"Idempotency-Key": "k"}
    assert (await admin.post("/v1/messages", json=GOOD, headers=key)).status_code == 201
    refused = await admin.post("/v1/messages", json=GOOD)
    assert refused.headers["Retry-After"] == "60"
    assert problem_of(refused)["code"] == "queue_full"
    repeat = await admin.post("/v1/messages", json=GOOD, headers=key)
    assert repeat.headers["Idempotent-Replayed"] == "true"
    await admin.post(f"/v1/messages/{ids[0]}/cancel")
    timer.now += 2
    assert (await admin.post("/v1/messages", json=GOOD)).status_code == 201


async def test_one_projects_full_queue_stops_no_other(hub: Hub, timer: _Timer) -> None:
    limited = Backlogs(hub.database, 1, timer)
    await limited.make_room("a", 1)
    with pytest.raises(QueueFullError):
        await limited.make_room("a", 1)
    await limited.make_room("b", 1)
