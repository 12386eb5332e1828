"""An SMS that is answered in the answer to its event."""

import asyncio
import json

import pytest

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, Message, MessageType
from gateway_hub.domain.webhooks.deliveries import LEASE
from gateway_hub.services.webhook_history import Replay
from tests.conftest import FakeClock
from tests.services.phones import register, stored
from tests.webhooks.conftest import MakePlace
from tests.webhooks.places import Place
from tests.webhooks.receiver import Behaviour, ok, receiving

SENDER = "+255710000009"


def replying(text: object) -> Behaviour:
    return ok(json.dumps({"reply": {"text": text}}).encode())


async def sent_by(place: Place) -> list[Message]:
    found = await stored(place.hub, place.project_id, direction=Direction.OUTBOUND)
    return [item.message for item in found]


async def test_the_reply_goes_to_the_sender_through_the_phone_that_received_it(
    place: Place,
) -> None:
    await register(place.hub, number="+255710000098")
    phone = await register(place.hub)
    async with receiving(replying("Asante! 😀")) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.received")
        await place.receive(phone, "Habari", contact=SENDER)
        await place.send_all()
    [reply] = await sent_by(place)
    assert (reply.text, reply.to_number, reply.status) == ("Asante! 😀", SENDER, Status.QUEUED)
    assert reply.route.device_id == phone.device.id
    [delivery] = await place.deliveries(endpoint)
    assert delivery.reply_id == reply.id
    assert await phone.poll() == [reply.id]


async def test_a_reply_is_sent_once_however_often_the_event_is(place: Place) -> None:
    phone = await register(place.hub)
    async with receiving(replying("Asante!")) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.received")
        await place.receive(phone, "Habari")
        await place.send_all()
        [delivery] = await place.deliveries(endpoint)
        for _ in range(2):
            wanted = Replay(event_ids=(delivery.event_id,))
            await place.hub.webhook_history.replay(place.project_id, endpoint.id, wanted)
            assert await place.send_all() == 1
    assert len(receiver.requests) == 3
    assert [reply.id for reply in await sent_by(place)] == [delivery.reply_id]


async def test_a_reply_is_sent_once_although_two_processes_were_answered(
    make_place: MakePlace, clock: FakeClock
) -> None:
    here, there = await make_place(), await make_place()
    phone = await register(here.hub)
    async with receiving(replying("Asante!")) as receiver:
        await here.subscribe(receiver.url(), "message.received")
        await here.receive(phone, "Habari")
        await here.hub.publisher.publish_all()
        here.worker._begin(await here.worker._record_and_claim(room=10))
        await asyncio.gather(*here.worker._sends)  # it was answered, and froze before it wrote it
        clock.now += LEASE
        assert await there.send_all() == 1
        await here.send_all()
    assert len(receiver.requests) == 2
    assert len(await sent_by(there)) == 1


async def test_only_a_received_message_is_replied_to(place: Place) -> None:
    async with receiving(replying("Asante!")) as receiver:
        await place.subscribe(receiver.url())
        await place.submit("out")
        await place.send_all()
    assert [message.text for message in await sent_by(place)] == ["out"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "empty", id="empty"),
        pytest.param("x" * 16_000, "segments", id="too long"),
        pytest.param("\x00", "characters", id="unsendable"),
        pytest.param(7, "object with a text", id="no text"),
    ],
)
async def test_what_cannot_be_sent_is_noted_and_the_event_is_delivered(
    place: Place, text: object, words: str
) -> None:
    phone = await register(place.hub)
    async with receiving(replying(text)) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.received")
        await place.receive(phone, "Habari")
        await place.send_all()
    assert await sent_by(place) == []
    [delivery] = await place.deliveries(endpoint)
    [attempt] = await place.attempts(delivery)
    assert (delivery.status, delivery.reply_id) == ("delivered", None)
    assert words in (attempt.reply_problem or "")


async def test_who_hides_their_number_gets_no_reply(place: Place) -> None:
    phone = await register(place.hub)
    async with receiving(replying("Asante!")) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.received")
        await place.receive(phone, "", contact="", type=MessageType.CALL)
        await place.receive(phone, "from a bank", contact="BANK")
        await place.send_all()
    assert await sent_by(place) == []
    problems = [
        (await place.attempts(delivery))[0].reply_problem
        for delivery in await place.deliveries(endpoint)
    ]
    assert problems == [
        "there is no number to reply to",
        "The recipient must be a phone number or a short code.",
    ]


async def test_a_phone_that_was_removed_sends_no_reply(place: Place) -> None:
    phone = await register(place.hub)
    async with receiving(replying("Asante!")) as receiver:
        endpoint = await place.subscribe(receiver.url(), "message.received")
        await place.receive(phone, "Habari")
        await place.hub.devices.delete(place.project_id, phone.device.id)
        await place.send_all()
    assert await sent_by(place) == []
    [attempt] = await place.attempts((await place.deliveries(endpoint))[0])
    assert attempt.reply_problem == "There is no such device."
