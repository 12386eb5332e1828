"""How long what was sent is kept."""

from datetime import timedelta

from gateway_hub.services.retention import Retention
from gateway_hub.storage.tables import events
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock
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


async def test_what_is_in_the_log_no_more_is_dead(place: Place, clock: FakeClock) -> None:
    async with receiving(ok()) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.queued")
        await place.submit()
        await place.hub.publisher.publish_all()

        async def lose(tx: Transaction) -> None:
            await tx.execute(events.delete())

        await place.hub.database.write(lose)
        assert await place.send_all() == 0
    assert await place.statuses(endpoint) == [("message.queued", "dead", 0)]
