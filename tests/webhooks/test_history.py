"""Looking at what was sent, and sending it again."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from gateway_hub.domain.errors import ConflictError, InvalidInputError, NotFoundError
from gateway_hub.domain.webhooks.deliveries import DeliveryStatus
from gateway_hub.domain.webhooks.endpoints import EndpointState, WebhookEndpoint
from gateway_hub.services.webhook_history import Replay
from tests.conftest import FakeClock
from tests.webhooks.places import Place
from tests.webhooks.receiver import Receiver, ok, receiving, status, switching


async def replay(place: Place, endpoint: WebhookEndpoint, **wanted: Any) -> int:
    return await place.hub.webhook_history.replay(place.project_id, endpoint.id, Replay(**wanted))


def texts_of(receiver: Receiver) -> list[str]:
    return [json.loads(request.body)["data"]["text"] for request in receiver.requests]


async def make_dead(place: Place, endpoint: WebhookEndpoint, texts: Sequence[str]) -> None:
    """Let events with *texts* be given up: the endpoint says that it is gone, and is enabled."""
    for text in texts:
        await place.submit(text)
    await place.send_all()
    await place.hub.webhook_deliveries.bury()
    await place.hub.webhook_endpoints.change(
        place.project_id, endpoint.id, {"state": EndpointState.ENABLED}
    )


async def test_all_that_are_dead_are_sent_again_with_the_ids_they_had(
    place: Place, clock: FakeClock
) -> None:
    answers = switching(status(410))
    async with receiving(answers) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await make_dead(place, endpoint, [f"{number}" for number in range(6)])
        before = {item.event_id for item in await place.deliveries(endpoint)}
        first = receiver.requests[0]
        receiver.requests.clear()
        answers.behaviour = ok()
        clock.advance(hours=1)
        assert await replay(place, endpoint, dead=True) == 6
        assert await place.send_all() == 6
    assert {request.headers["webhook-id"] for request in receiver.requests} == before
    again = next(
        request
        for request in receiver.requests
        if request.headers["webhook-id"] == first.headers["webhook-id"]
    )
    assert again.body == first.body
    assert again.headers["webhook-timestamp"] != first.headers["webhook-timestamp"]
    assert again.headers["webhook-signature"] != first.headers["webhook-signature"]
    assert {item.status for item in await place.deliveries(endpoint)} == {DeliveryStatus.DELIVERED}
    attempts = [
        item.number
        for delivery in await place.deliveries(endpoint)
        if delivery.event_id == first.headers["webhook-id"]
        for item in await place.attempts(delivery)
    ]
    assert attempts == [1, 2]
    assert await replay(place, endpoint, dead=True) == 0


async def test_all_since_a_time_are_sent_again_also_what_was_never_sent(
    place: Place, clock: FakeClock
) -> None:
    async with receiving(ok()) as receiver:
        await place.submit("too early")
        clock.advance(minutes=1)
        since = clock()
        await place.submit("before the endpoint")
        await place.hub.publisher.publish_all()
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit("heard")
        await place.send_all()
        assert texts_of(receiver) == ["heard"]
        assert await replay(place, endpoint, since=since) == 2
        await place.send_all()
    assert sorted(texts_of(receiver)) == ["before the endpoint", "heard", "heard"]


async def test_more_are_replayed_than_one_transaction_takes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_hub.services.webhook_history._AT_ONCE", 3)
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        for number in range(10):
            await place.submit(f"{number}")
        await place.send_all()
        assert await replay(place, endpoint, since=place.clock() - timedelta(days=1)) == 10
        await place.send_all()
    assert len(receiver.requests) == 20


async def test_single_events_are_sent_again(place: Place) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        for number in range(3):
            await place.submit(f"{number}")
        await place.send_all()
        wanted = (await place.deliveries(endpoint))[1].event_id
        assert await replay(place, endpoint, event_ids=(wanted,)) == 1
        assert await place.send_all() == 1
    assert receiver.requests[-1].headers["webhook-id"] == wanted


async def test_an_event_that_is_not_there_is_refused_by_its_place(place: Place) -> None:
    other = await place.hub.access.create_project("other", None)
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        theirs, _ = await place.subscribe_with_secret(receiver.url(), project_id=other.id)
        await place.submit()
        await place.send_all()
        [delivery] = await place.deliveries(endpoint)
        with pytest.raises(InvalidInputError) as caught:
            await replay(place, endpoint, event_ids=(delivery.event_id, "nothing"))
        assert [(item.pointer, item.code) for item in caught.value.fields] == [
            ("/event_ids/1", "unknown_event")
        ]
        with pytest.raises(InvalidInputError):
            await place.hub.webhook_history.replay(
                other.id, theirs.id, Replay(event_ids=(delivery.event_id,))
            )
        with pytest.raises(NotFoundError):
            await place.hub.webhook_history.replay(other.id, endpoint.id, Replay(dead=True))
        assert await place.send_all() == 0


async def test_what_waits_for_its_next_attempt_is_tried_at_once(place: Place) -> None:
    answers = switching(status(500))
    async with receiving(answers) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.send_all()
        answers.behaviour = ok()
        [delivery] = await place.deliveries(endpoint)
        assert await replay(place, endpoint, event_ids=(delivery.event_id,)) == 1
        assert await place.send_all() == 1


async def test_what_is_under_way_is_left_to_who_has_it(place: Place) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.hub.publisher.publish_all()
        await place.hub.webhook_deliveries.record_and_claim([], busy={}, room=1)
        [delivery] = await place.deliveries(endpoint)
        assert await replay(place, endpoint, event_ids=(delivery.event_id,)) == 1
        assert await place.send_all() == 0


async def test_nothing_is_replayed_to_one_that_is_disabled(place: Place) -> None:
    async with receiving(status(410)) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.send_all()
    with pytest.raises(ConflictError) as caught:
        await replay(place, endpoint, dead=True)
    assert caught.value.code == "not_enabled"


async def test_a_test_goes_to_one_endpoint_before_all_others(place: Place) -> None:
    answers = switching(status(503))
    async with receiving(answers) as receiver, receiving(ok()) as other:
        endpoint = await place.subscribe(receiver.url())
        await place.subscribe(other.url())
        await place.submit()
        await place.send_all()
        answers.behaviour = ok()
        delivery = await place.hub.webhook_endpoints.test(place.project_id, endpoint.id)
        assert await place.send_due() == 1  # although the endpoint was to be left alone
    event = json.loads(receiver.requests[-1].body)
    assert (event["type"], event["id"]) == ("webhook_endpoint.test", delivery.event_id)
    assert event["data"] == {"webhook_endpoint_id": endpoint.id}
    assert len(other.requests) == 1


async def test_one_that_is_paused_is_not_tested(place: Place) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url())
        await place.hub.webhook_endpoints.change(
            place.project_id, endpoint.id, {"state": EndpointState.PAUSED}
        )
    with pytest.raises(ConflictError):
        await place.hub.webhook_endpoints.test(place.project_id, endpoint.id)
