"""Events on their way to real receivers, on both databases."""

import asyncio
import json
from collections import Counter
from datetime import timedelta

import pytest
import standardwebhooks

from gateway_hub.domain.errors import InvalidInputError
from gateway_hub.domain.webhooks.circuit import CircuitState, DisableReason
from gateway_hub.domain.webhooks.deliveries import LEASE, DeliveryStatus, FinishedAttempt
from gateway_hub.domain.webhooks.endpoints import EndpointState
from gateway_hub.domain.webhooks.outcomes import AttemptResult, Outcome, OutcomeKind
from gateway_hub.domain.webhooks.retries import DELAYS, JITTER
from gateway_hub.services.webhook_endpoints import WebhookRules
from tests.conftest import FakeClock
from tests.services.phones import register
from tests.webhooks.conftest import MakePlace
from tests.webhooks.places import Place
from tests.webhooks.receiver import Receiver, hang, ok, receiving, status, switching

MINUTE = timedelta(minutes=1)


def ids_of(receiver: Receiver) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.requests]


def types_of(receiver: Receiver) -> list[str]:
    return [json.loads(request.body)["type"] for request in receiver.requests]


# What is sent


async def test_an_event_arrives_signed_as_the_standard_has_it(
    place: Place, clock: FakeClock
) -> None:
    async with receiving(ok(b"thanks")) as receiver:
        endpoint, secret = await place.subscribe_with_secret(receiver.url(), "message.queued")
        message = await place.submit("Habari 😀")
        assert await place.send_all() == 1
    [request] = receiver.requests
    event = json.loads(request.body)
    assert list(event) == ["id", "type", "timestamp", "project_id", "data"]
    assert event["id"] == request.headers["webhook-id"]
    assert (event["type"], event["project_id"]) == ("message.queued", place.project_id)
    assert (event["data"]["id"], event["data"]["text"]) == (message.id, "Habari 😀")
    signature = standardwebhooks.Webhook(secret).sign(event["id"], clock(), request.body.decode())
    assert request.headers["webhook-signature"] == signature
    [delivery] = await place.deliveries(endpoint)
    assert (delivery.status, delivery.event_id) == (DeliveryStatus.DELIVERED, event["id"])
    [attempt] = await place.attempts(delivery)
    assert (attempt.number, attempt.outcome) == (1, OutcomeKind.DELIVERED)
    assert (attempt.http_status, attempt.excerpt) == (200, "thanks")
    assert attempt.started_at == clock()


async def test_while_a_secret_rotates_either_is_content(place: Place, clock: FakeClock) -> None:
    async with receiving(ok()) as receiver:
        endpoint, old = await place.subscribe_with_secret(receiver.url(), "message.queued")
        _, new = await place.hub.webhook_endpoints.rotate_secret(
            place.project_id, endpoint.id, timedelta(hours=24)
        )
        for moved in (0, 24):
            clock.advance(hours=moved)
            await place.submit()
            await place.send_all()
    both, after = receiver.requests
    for request, secrets in ((both, [new, old]), (after, [new])):
        signed = [
            standardwebhooks.Webhook(secret).sign(
                request.headers["webhook-id"],
                clock() if request is after else clock() - timedelta(hours=24),
                request.body.decode(),
            )
            for secret in secrets
        ]
        assert request.headers["webhook-signature"].split(" ") == signed


async def test_only_what_was_asked_for_is_sent(place: Place) -> None:
    north = await register(place.hub, tags=("north",))
    south = await register(place.hub, number="+255710000098", tags=("south",))
    async with receiving(ok()) as all_of_it, receiving(ok()) as tagged, receiving(ok()) as typed:
        await place.subscribe(all_of_it.url())
        await place.subscribe(tagged.url(), tags=("north",))
        await place.subscribe(typed.url(), "message.received", "message.sent")
        await place.receive(north, "from north")
        await place.receive(south, "from south")
        await place.submit("along north", tag="north")
        await place.submit("along any")
        await place.send_all()
    texts = [
        sorted(json.loads(request.body)["data"]["text"] for request in receiver.requests)
        for receiver in (all_of_it, tagged, typed)
    ]
    assert texts == [
        ["along any", "along north", "from north", "from south"],
        ["along north", "from north"],
        ["from north", "from south"],
    ]


async def test_what_was_before_an_endpoint_is_not_for_it(place: Place) -> None:
    async with receiving(ok()) as first, receiving(ok()) as second:
        await place.subscribe(first.url())
        await place.submit("early")
        await place.hub.publisher.publish_all()
        await place.subscribe(second.url())
        await place.submit("late")
        await place.send_all()
    assert (len(first.requests), len(second.requests)) == (2, 1)


async def test_projects_hear_nothing_of_one_another(place: Place) -> None:
    other = await place.hub.access.create_project("other", None)
    async with receiving(ok()) as ours, receiving(ok()) as theirs:
        await place.subscribe(ours.url())
        await place.subscribe_with_secret(theirs.url(), project_id=other.id)
        await place.submit("ours")
        await place.send_all()
    assert (len(ours.requests), len(theirs.requests)) == (1, 0)


# Retries


async def test_a_failing_delivery_is_retried_by_the_schedule_and_then_dead(
    place: Place, clock: FakeClock
) -> None:
    async with receiving(status(500)) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        waits: list[timedelta] = []
        for _ in range(len(DELAYS)):
            assert await place.send_due() == 1
            assert await place.send_due() == 0
            [delivery] = await place.deliveries(endpoint)
            assert delivery.next_attempt_at is not None
            waits.append(delivery.next_attempt_at - clock())
            clock.now = delivery.next_attempt_at
        assert await place.send_due() == 1
    for wait, expected in zip(waits, DELAYS, strict=True):
        assert expected * (1 - JITTER) <= wait <= expected * (1 + JITTER)
    assert await place.statuses(endpoint) == [("message.queued", "dead", 10)]
    attempts = await place.attempts((await place.deliveries(endpoint))[0])
    assert [attempt.number for attempt in attempts] == list(range(1, 11))
    assert {attempt.detail for attempt in attempts} == {"answered 500"}
    assert len(set(ids_of(receiver))) == 1
    assert len({request.body for request in receiver.requests}) == 1


async def test_retry_after_is_kept(place: Place, clock: FakeClock) -> None:
    async with receiving(status(429, "Retry-After: 3600")) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.send_all()
        clock.advance(minutes=59)
        await place.submit("another waits as well")
        assert await place.send_all() == 0
        clock.advance(minutes=8)
        assert await place.send_due() == 1
    assert (await place.endpoint(endpoint)).circuit.state is CircuitState.OPEN


async def test_one_that_fails_is_left_alone_and_then_probed(place: Place, clock: FakeClock) -> None:
    answers = switching(status(500))
    async with receiving(answers) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        for number in range(30):
            await place.submit(f"{number}")
        await place.send_all()
        assert 5 <= len(receiver.requests) <= 8  # four are under way when the fifth fails
        tried = len(receiver.requests)
        clock.advance(minutes=6)
        assert await place.send_due() == 1
        clock.advance(minutes=6)
        answers.behaviour = ok()
        assert await place.send_due() == 1
        assert (await place.endpoint(endpoint)).circuit.state is CircuitState.CLOSED
        await place.send_all()
    statuses = Counter(item.status for item in await place.deliveries(endpoint))
    assert statuses[DeliveryStatus.DELIVERED] >= 30 - tried
    assert statuses[DeliveryStatus.DEAD] == 0


async def test_gone_disables_and_tells_of_it(place: Place) -> None:
    async with receiving(status(410)) as gone, receiving(ok()) as receiver:
        endpoint = await place.subscribe(gone.url(), "message.queued")
        await place.subscribe(receiver.url(), "webhook_endpoint.disabled")
        for number in range(10):
            await place.submit(f"{number}")
        await place.send_all()
        await place.hub.webhook_deliveries.bury()
        await place.submit("after that")
        await place.send_all()
    disabled = await place.endpoint(endpoint)
    assert (disabled.state, disabled.disabled_reason) == (
        EndpointState.DISABLED,
        DisableReason.GONE,
    )
    assert {item.status for item in await place.deliveries(endpoint)} == {DeliveryStatus.DEAD}
    assert len(await place.deliveries(endpoint)) == 10
    [event] = [json.loads(request.body) for request in receiver.requests]
    assert event["type"] == "webhook_endpoint.disabled"
    assert event["data"]["id"] == endpoint.id
    assert (event["data"]["state"], event["data"]["disabled_reason"]) == ("disabled", "gone")
    assert not {"secret", "secrets"} & event["data"].keys()


async def test_five_days_of_nothing_but_failures_disable(place: Place, clock: FakeClock) -> None:
    async with receiving(status(500)) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        for _ in range(6):
            await place.submit()
            await place.send_due()
            clock.advance(days=1)
        await place.send_due()
    disabled = await place.endpoint(endpoint)
    assert (disabled.state, disabled.disabled_reason) == (
        EndpointState.DISABLED,
        DisableReason.FAILING,
    )


async def test_events_of_one_message_come_in_their_order(place: Place, clock: FakeClock) -> None:
    answers = switching(status(500))
    async with receiving(answers) as receiver:
        endpoint = await place.subscribe(receiver.url())
        message = await place.submit()
        await place.hub.outbox.cancel(place.project_id, message.id)
        await place.hub.outbox.resend(place.project_id, message.id)
        other = await place.submit("another")
        await place.send_all()
        assert Counter(types_of(receiver)) == {"message.queued": 2}
        answers.behaviour = ok()
        clock.advance(seconds=6)
        await place.send_all()
    seen = [
        (event["type"])
        for event in (json.loads(request.body) for request in receiver.requests)
        if event["data"]["id"] == message.id
    ]
    assert seen == ["message.queued", "message.queued", "message.cancelled", "message.queued"]
    assert {item.status for item in await place.deliveries(endpoint)} == {DeliveryStatus.DELIVERED}
    assert other.id in {json.loads(request.body)["data"]["id"] for request in receiver.requests}


async def test_no_endpoint_has_more_than_its_share_at_once(place: Place) -> None:
    async with receiving(hang) as slow, receiving(ok()) as quick:
        slow_one = await place.subscribe(slow.url(), "message.queued")
        quick_one = await place.subscribe(quick.url(), "message.queued")
        for number in range(10):
            await place.submit(f"{number}")
        await place.hub.publisher.publish_all()
        place.worker._begin(await place.worker._record_and_claim(room=100))
        # More is taken than is under way; when one fails the rest is given back.
        assert place.worker._held == {slow_one.id: 10, quick_one.id: 10}
        assert place.worker._under_way == {slow_one.id: 4, quick_one.id: 4}
        await place.worker.stop()
    assert {item.claim_id for item in (await place.deliveries(quick_one))[4:]} == {None}


async def test_a_process_takes_no_more_than_it_has_room_for(place: Place) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        for number in range(10):
            await place.submit(f"{number}")
        await place.hub.publisher.publish_all()
        claim = place.hub.webhook_deliveries.record_and_claim
        assert len(await claim([], busy={endpoint.id: 61}, room=100)) == 3
        assert len(await claim([], busy={}, room=2)) == 2


# Several processes


async def test_two_processes_share_the_work(make_place: MakePlace) -> None:
    here, there = await make_place(), await make_place()
    async with receiving(ok()) as receiver:
        endpoint = await here.subscribe(receiver.url(), "message.queued")
        for number in range(40):
            await here.submit(f"{number}")
        await here.hub.publisher.publish_all()
        while sum(await asyncio.gather(here.worker.work_once(), there.worker.work_once())):
            pass
    assert len(receiver.requests) == 40
    assert len(set(ids_of(receiver))) == 40
    assert await here.statuses(endpoint) == [("message.queued", "delivered", 1)] * 40


async def test_what_a_process_took_and_never_ended_another_sends(
    make_place: MakePlace, clock: FakeClock
) -> None:
    here, there = await make_place(), await make_place()
    async with receiving(ok()) as receiver:
        endpoint = await here.subscribe(receiver.url(), "message.queued")
        await here.submit()
        await here.hub.publisher.publish_all()
        [taken] = await here.hub.webhook_deliveries.record_and_claim([], busy={}, room=10)
        assert await there.send_all() == 0
        clock.now += LEASE
        assert await there.send_all() == 1
        assert await there.statuses(endpoint) == [("message.queued", "delivered", 1)]

        # The one that was frozen comes back, and writes nothing.
        outcome = Outcome.of_status(410)
        late = FinishedAttempt(taken, clock(), AttemptResult(outcome, 1))
        await here.hub.webhook_deliveries.record_and_claim([late], busy={}, room=10)
    assert await there.statuses(endpoint) == [("message.queued", "delivered", 1)]
    assert (await there.endpoint(endpoint)).state is EndpointState.ENABLED
    [delivery] = await there.deliveries(endpoint)
    assert len(await there.attempts(delivery)) == 1


async def test_an_endpoint_made_in_another_process_hears_of_the_next_event(
    make_place: MakePlace,
) -> None:
    here, there = await make_place(), await make_place()
    async with receiving(ok()) as first, receiving(ok()) as second:
        await here.subscribe(first.url(), "message.queued")
        await here.submit()
        await here.send_all()
        await there.subscribe(second.url(), "message.queued")
        await there.submit()
        await here.send_all()
    assert (len(first.requests), len(second.requests)) == (2, 1)


# Paused, removed


async def test_events_wait_for_a_paused_endpoint(place: Place) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        change = place.hub.webhook_endpoints.change
        await change(place.project_id, endpoint.id, {"state": EndpointState.PAUSED})
        await place.submit()
        assert await place.send_all() == 0
        await change(place.project_id, endpoint.id, {"state": EndpointState.ENABLED})
        assert await place.send_all() == 1


async def test_what_waits_for_a_removed_endpoint_is_dead(place: Place) -> None:
    async with receiving(status(500)) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.send_all()
        await place.hub.webhook_endpoints.delete(place.project_id, endpoint.id)
        assert await place.hub.webhook_deliveries.bury() == 1
        assert await place.hub.webhook_deliveries.bury() == 0
        await place.submit()
        assert await place.send_all() == 0


async def test_an_endpoint_enabled_again_is_tried_at_once_and_not_told_what_it_missed(
    place: Place,
) -> None:
    answers = switching(status(410))
    async with receiving(answers) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit("gone")
        await place.send_all()
        await place.submit("missed")
        await place.send_all()
        answers.behaviour = ok()
        changed = await place.hub.webhook_endpoints.change(
            place.project_id, endpoint.id, {"state": EndpointState.ENABLED}
        )
        assert (changed.disabled_reason, changed.circuit.failures) == (None, 0)
        await place.submit("heard")
        assert await place.send_all() == 1
    assert json.loads(receiver.requests[-1].body)["data"]["text"] == "heard"


# By itself


async def test_a_worker_sends_by_itself_and_stops(place: Place) -> None:
    place.hub.subscriptions.on_due = place.worker.wake
    place.worker.start()
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.hub.publisher.publish_all()
        await receiver.arrived.wait()
        await place.worker.stop()
    assert await place.statuses(endpoint) == [("message.queued", "delivered", 1)]


async def test_what_is_under_way_at_the_end_is_written_down(place: Place) -> None:
    goes_on = asyncio.Event()

    async def answer_later(writer: asyncio.StreamWriter) -> None:
        await goes_on.wait()
        await ok()(writer)

    async with receiving(answer_later) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.hub.publisher.publish_all()
        place.worker.start()
        place.worker.wake()
        await receiver.arrived.wait()
        stopping = asyncio.create_task(place.worker.stop())
        await asyncio.sleep(0)
        goes_on.set()
        await stopping
    assert await place.statuses(endpoint) == [("message.queued", "delivered", 1)]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://127.0.0.1/", "url_not_public"),
        ("http://example.org/", "url_not_https"),
        ("https://user:x@example.org/", "url_credentials"),
    ],
)
async def test_a_url_is_checked_when_it_is_given(place: Place, url: str, code: str) -> None:
    place.hub.webhook_endpoints.rules = WebhookRules()
    with pytest.raises(InvalidInputError) as caught:
        await place.subscribe(url)
    assert [(item.pointer, item.code) for item in caught.value.fields] == [("/url", code)]
