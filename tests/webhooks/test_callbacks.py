"""`status_callback`: a URL of one message."""

import json

import pytest

from gateway_hub.domain.errors import ConflictError, InvalidInputError
from gateway_hub.domain.events import EventType
from gateway_hub.domain.messages import MessageDraft
from gateway_hub.domain.webhooks.endpoints import EndpointKind, WebhookEndpoint
from tests.webhooks.conftest import MakePlace
from tests.webhooks.places import Place
from tests.webhooks.receiver import ok, receiving


async def callbacks_of(place: Place, project_id: str | None = None) -> list[WebhookEndpoint]:
    return await place.hub.webhook_endpoints.list_endpoints(
        project_id or place.project_id, EndpointKind.CALLBACK, before="~", limit=50
    )


async def test_each_status_of_the_message_goes_to_its_url(place: Place) -> None:
    async with receiving(ok()) as receiver, receiving(ok()) as all_events:
        await place.subscribe(all_events.url())
        base = f"http://127.0.0.1:{receiver.port}"
        message = await place.submit("one", status_callback=f"{base}/a?id=1")
        await place.submit("two", status_callback=f"{base}/b")
        await place.submit("three")
        await place.hub.outbox.cancel(place.project_id, message.id)
        await place.send_all()
    told = sorted(
        (request.line.split(" ")[1], json.loads(request.body)["type"])
        for request in receiver.requests
    )
    assert told == [
        ("/a?id=1", EventType.MESSAGE_CANCELLED),
        ("/a?id=1", EventType.MESSAGE_QUEUED),
        ("/b", EventType.MESSAGE_QUEUED),
    ]
    assert len(all_events.requests) == 4
    [callback] = await callbacks_of(place)
    assert (callback.url, callback.kind) == (f"{base}/", EndpointKind.CALLBACK)
    assert {item.url for item in await place.deliveries(callback)} == {
        f"{base}/a?id=1",
        f"{base}/b",
    }


async def test_callbacks_to_one_host_share_a_secret(make_place: MakePlace) -> None:
    here, there = await make_place(), await make_place()
    async with receiving(ok()) as receiver, receiving(ok()) as other:
        for place, to in ((here, receiver), (there, receiver), (here, other)):
            await place.submit(status_callback=to.url())
        assert len(await callbacks_of(here)) == 2
        await here.send_all()
    assert (len(receiver.requests), len(other.requests)) == (2, 1)


async def test_a_callback_of_one_project_is_none_of_another(place: Place) -> None:
    other = await place.hub.access.create_project("other", None)
    async with receiving(ok()) as receiver:
        await place.submit(status_callback=receiver.url())
        assert await callbacks_of(place, other.id) == []
        await place.send_all()
    assert len(receiver.requests) == 1


async def test_a_bad_url_costs_its_message_only(place: Place) -> None:
    async with receiving(ok()) as receiver:
        drafts = [
            MessageDraft("+255710000001", "bad", status_callback="https://169.254.169.254/"),
            MessageDraft("+255710000001", "good", status_callback=receiver.url()),
        ]
        refused, taken = await place.hub.outbox.submit_batch(place.project_id, drafts)
        await place.send_all()
    assert isinstance(refused, InvalidInputError)
    assert refused.fields[0].pointer == "/status_callback"
    assert not isinstance(taken, Exception)
    assert len(receiver.requests) == 1


async def test_a_removed_callback_is_made_again_by_the_next_message(place: Place) -> None:
    async with receiving(ok()) as receiver:
        await place.submit(status_callback=receiver.url())
        [callback] = await callbacks_of(place)
        await place.hub.webhook_endpoints.delete(place.project_id, callback.id)
        assert await callbacks_of(place) == []
        await place.submit(status_callback=receiver.url())
        [again] = await callbacks_of(place)
    assert again.id != callback.id


async def test_a_project_has_so_many_callbacks_and_no_more(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_hub.services.webhook_endpoints.MOST_ENDPOINTS", 2)
    for port in (8001, 8002, 8001):
        await place.submit(status_callback=f"http://127.0.0.1:{port}/")
    with pytest.raises(ConflictError, match="not allowed") as caught:
        await place.submit(status_callback="http://127.0.0.1:8003/")
    assert caught.value.code == "too_many_webhook_endpoints"
