"""How long what was sent is kept, and what is lost or cannot be signed."""

from datetime import timedelta

from structlog.testing import capture_logs

from gateway_hub.domain.webhooks.deliveries import LEASE, DeliveryStatus
from gateway_hub.domain.webhooks.endpoints import WebhookEndpoint
from gateway_hub.services.retention import Retention
from gateway_hub.services.secrets import SecretBox
from gateway_hub.storage.tables import events, webhook_endpoints
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock
from tests.webhooks.conftest import SECRET, MakePlace
from tests.webhooks.places import Place
from tests.webhooks.receiver import ok, receiving, status

MONTH = timedelta(days=30)


async def rest(_seconds: float) -> None:
    """Take no time."""


async def purge(place: Place) -> int:
    retention = Retention(
        place.hub.database, place.hub.attachments, place.clock, keep=None, pause=rest
    )
    return (await retention.purge(MONTH)).events


async def test_deliveries_go_with_their_events(place: Place, clock: FakeClock) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.hub.webhook_endpoints.test(place.project_id, endpoint.id)
        assert await place.send_all() == 2
        clock.advance(days=20)
        await place.submit("young")
        await place.send_all()
        clock.advance(days=11)
        await purge(place)
    assert len(await place.deliveries(endpoint)) == 1


async def test_an_event_stays_as_long_as_it_is_on_its_way(place: Place, clock: FakeClock) -> None:
    async with receiving(status(500)) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.send_all()
        clock.advance(days=31)
        assert await purge(place) == 0
        assert await place.send_all() == 1
        assert len({request.body for request in receiver.requests}) == 1
        assert len(await place.deliveries(endpoint)) == 1


async def lose(place: Place, event_id: str | None = None) -> None:
    """Take an event out of the log, or all."""
    gone = events.delete() if event_id is None else events.delete().where(events.c.id == event_id)

    async def use_case(tx: Transaction) -> None:
        await tx.execute(gone)

    await place.hub.database.write(use_case)


async def test_what_is_in_the_log_no_more_is_dead(place: Place, clock: FakeClock) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.hub.publisher.publish_all()
        await lose(place)
        clock.advance(minutes=1)
        assert await place.send_all() == 0
    assert await place.statuses(endpoint) == [("message.queued", "dead", 0)]
    [delivery] = await place.deliveries(endpoint)
    assert (delivery.updated_at, delivery.next_attempt_at) == (clock(), None)
    assert delivery.claim_id is None


async def test_what_waits_for_an_event_that_is_lost_goes_at_once(place: Place) -> None:
    woken: list[str] = []
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url())
        message = await place.submit()
        await place.hub.outbox.cancel(place.project_id, message.id)
        await place.hub.publisher.publish_all()
        await lose(place, (await place.deliveries(endpoint))[0].event_id)
        place.hub.subscriptions.on_due = lambda: woken.append("due")
        assert await place.send_due() == 0
        assert woken == ["due"]
        assert await place.send_due() == 1
    assert await place.statuses(endpoint) == [
        ("message.queued", "dead", 0),
        ("message.cancelled", "delivered", 1),
    ]


async def test_what_is_lost_is_left_to_who_has_taken_it_since(
    make_place: MakePlace, clock: FakeClock
) -> None:
    here, there = await make_place(), await make_place()
    async with receiving(ok()) as receiver:
        endpoint = await here.subscribe(receiver.url(), "message.queued")
        await here.submit()
        await here.hub.publisher.publish_all()
        [taken] = await here.hub.webhook_deliveries.record_and_claim([], busy={}, room=1)
        clock.now += LEASE
        assert await there.send_all() == 1

        # The one that was frozen comes back, and does not find the event.
        await here.hub.webhook_deliveries.claims.end_lost([taken.delivery])
    assert await here.statuses(endpoint) == [("message.queued", "delivered", 1)]


async def test_what_cannot_be_signed_waits_until_it_can_be(place: Place, clock: FakeClock) -> None:
    async with receiving(ok()) as receiver, receiving(ok()) as other:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.subscribe(other.url(), "message.queued")
        await _seal(place, endpoint, SecretBox([SecretBox.generate_key()]).encrypt("x", SECRET))
        await place.submit()
        with capture_logs() as lines:
            assert await place.send_all() == 1
        assert (len(receiver.requests), len(other.requests)) == (0, 1)
        assert [(line["event"], line["log_level"], line["endpoint_id"]) for line in lines] == [
            ("webhook_secret_unreadable", "error", endpoint.id)
        ]
        assert SECRET not in str(lines)
        [delivery] = await place.deliveries(endpoint)
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.PENDING, 0)
        assert delivery.next_attempt_at == clock() + LEASE

        await _seal(place, endpoint, endpoint.secrets.current)
        assert await place.send_all() == 0
        clock.now += LEASE
        assert await place.send_all() == 1
    assert await place.statuses(endpoint) == [("message.queued", "delivered", 1)]


async def _seal(place: Place, endpoint: WebhookEndpoint, secret: bytes) -> None:
    """Store *secret*, which is encrypted, as that of *endpoint*."""
    changed = webhook_endpoints.update().where(webhook_endpoints.c.id == endpoint.id)

    async def use_case(tx: Transaction) -> None:
        await tx.execute(changed.values(secret=secret))

    await place.hub.database.write(use_case)
