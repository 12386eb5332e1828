"""Who sends a message once more, when nobody does, and what its sender is told of it."""

from datetime import timedelta
from typing import Any

import pytest

from gateway_hub.domain.devices import Device, Protocol, SendLimit
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import IfUncertain, Message, Route
from tests.services.world import World, report, wire_ids

ENVAYA = Protocol.ENVAYA


async def _in_doubt_and_waiting(world: World, phone: Device, **draft: Any) -> Message:
    """Return a message that *phone* was given and said nothing of, and that is to be sent again."""
    message = await world.submit(if_uncertain=IfUncertain.RESEND, **draft)
    assert wire_ids(await world.poll(phone)) == [message.id]
    await world.pass_time(minutes=15)
    assert await world.status(message) is Status.QUEUED
    return message


async def test_what_is_given_back_goes_out_through_another_phone(world: World) -> None:
    first = await world.phone("a", ENVAYA)
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    assert wire_ids(await world.poll(first)) == [message.id]
    second = await world.phone("b", ENVAYA, phone_number="+255710000002")
    asked: list[str] = []
    while not asked:
        await world.pass_time(minutes=1)
        await world.poll(second)
        asked = [item.wire_id for item in (await world.poll(first)).cancels]
    answer = await world.poll(first, report(message.id, Status.CANCELLED))
    assert wire_ids(answer) == []
    (wire_id,) = wire_ids(await world.poll(second))
    assert wire_id != message.id


async def test_a_message_deleted_on_the_phone_is_not_sent_again(world: World) -> None:
    phone = await world.phone("a", ENVAYA)
    message = await world.submit(if_uncertain=IfUncertain.RESEND, max_attempts=3)
    await world.poll(phone)
    answer = await world.poll(phone, report(message.id, Status.CANCELLED, reason="deleted by user"))
    assert wire_ids(answer) == []
    await world.pass_time(hours=1)
    assert await world.status(message) is Status.CANCELLED


async def test_a_phone_that_gives_back_too_late_does_not_end_what_a_person_sends_again(
    world: World,
) -> None:
    first = await world.phone("a", ENVAYA)
    message = await world.submit()
    await world.poll(first)
    await world.hub.outbox.cancel(world.project_id, message.id)
    await world.pass_time(hours=2)
    assert await world.status(message) is Status.UNCERTAIN
    await world.hub.outbox.resend(world.project_id, message.id)
    await world.hub.devices.change(world.project_id, first.id, {"paused": True})
    await world.poll(first, report(message.id, Status.CANCELLED))
    assert await world.status(message) is Status.QUEUED
    second = await world.phone("b", ENVAYA, phone_number="+255710000002")
    assert len(wire_ids(await world.poll(second))) == 1


async def test_each_attempt_goes_through_a_phone_that_had_none_before(world: World) -> None:
    phones = {name: await world.phone(name) for name in "abc"}
    for phone in phones.values():
        await world.poll(phone)
    await world.submit(max_attempts=3)
    took: list[str] = []
    for _ in phones:
        for name, phone in reversed(phones.items()):
            for wire_id in wire_ids(await world.poll(phone)):
                took.append(name)
                await world.poll(phone, report(wire_id, Status.FAILED), takes_work=False)
        await world.pass_time(minutes=3)
    assert sorted(took) == ["a", "b", "c"]


async def test_a_further_attempt_goes_through_a_phone_that_may_send(world: World) -> None:
    first = await world.phone("a")
    free = await world.phone("b")
    used_up = await world.phone("c", send_limit=SendLimit(segments=1, seconds=3600))
    other = await world.submit(route=Route(device_id=used_up.id))
    assert wire_ids(await world.poll(used_up)) == [other.id]
    await world.poll(used_up, report(other.id, Status.SENT))
    message = await world.submit(max_attempts=2, to="+255710000077")
    assert wire_ids(await world.poll(first)) == [message.id]
    await world.poll(first, report(message.id, Status.FAILED))
    for phone in (free, used_up):
        await world.poll(phone)
    await world.pass_time(minutes=1)
    assert len(wire_ids(await world.poll(free))) == 1


@pytest.mark.parametrize("tagged", [False, True])
async def test_a_contact_hears_at_the_time_given_from_the_phone_that_last_talked_with_them(
    world: World, tagged: bool
) -> None:
    tags = ("clinic",) if tagged else ()
    other, last = await world.phone("a", tags=tags), await world.phone("b", tags=tags)
    earlier = await world.submit(route=Route(device_id=last.id))
    assert wire_ids(await world.poll(last)) == [earlier.id]
    await world.poll(last, report(earlier.id, Status.SENT))
    route = Route(tag="clinic") if tagged else Route()
    message = await world.submit(send_at=world.clock.now + timedelta(minutes=1), route=route)
    await world.pass_time(minutes=1)
    assert wire_ids(await world.poll(other)) == []
    assert wire_ids(await world.poll(last)) == [message.id]


async def test_what_may_have_been_sent_and_then_expires_stays_in_doubt(world: World) -> None:
    phone = await world.phone("a")
    expires_at = world.clock.now + timedelta(minutes=30)
    message = await _in_doubt_and_waiting(world, phone, expires_at=expires_at)
    await world.pass_time(minutes=30)
    ended = await world.get(message)
    assert ended.status is Status.UNCERTAIN
    assert ended.error is not None
    assert ended.error.code == "device_silent"


async def test_what_was_given_back_and_then_expires_is_expired(world: World) -> None:
    phone = await world.phone("a", ENVAYA)
    expires_at = world.clock.now + timedelta(minutes=40)
    message = await world.submit(expires_at=expires_at)
    await world.poll(phone)
    await world.hub.outbox.cancel(world.project_id, message.id)
    await world.poll(phone, report(message.id, Status.CANCELLED))
    await world.hub.outbox.resend(world.project_id, message.id)
    await world.pass_time(minutes=40)
    ended = await world.get(message)
    assert (ended.status, ended.error) == (Status.EXPIRED, None)


async def test_what_may_have_been_sent_stays_in_doubt_when_its_device_is_removed(
    world: World,
) -> None:
    phone = await world.phone("a")
    message = await _in_doubt_and_waiting(world, phone, route=Route(device_id=phone.id))
    await world.hub.devices.delete(world.project_id, phone.id)
    await world.pass_time(seconds=1)
    ended = await world.get(message)
    assert ended.status is Status.UNCERTAIN
    assert ended.error is not None
    assert ended.error.code == "device_silent"


async def test_a_cancel_says_that_an_attempt_before_it_is_in_doubt(world: World) -> None:
    phone = await world.phone("a")
    message = await _in_doubt_and_waiting(world, phone)
    await world.hub.outbox.cancel(world.project_id, message.id)
    ended = await world.get(message)
    assert ended.status is Status.CANCELLED
    assert ended.error is not None
    assert ended.error.code == "device_silent"


async def test_a_phone_that_was_away_is_asked_to_give_back_when_it_comes(world: World) -> None:
    phone = await world.phone("a", ENVAYA)
    working, silent = await world.submit("working"), await world.submit("silent")
    await world.poll(phone)
    again = report(working.id, Status.FAILED, reason="no service", gives_up=False)
    await world.poll(phone, again)
    for message in (working, silent):
        await world.hub.outbox.cancel(world.project_id, message.id)
    await world.pass_time(hours=3)
    asked = {item.wire_id for item in (await world.poll(phone)).cancels}
    assert asked == {working.id, silent.id}
    for message in (working, silent):
        await world.poll(phone, report(message.id, Status.CANCELLED))
        assert await world.status(message) is Status.CANCELLED
    assert (await world.poll(phone)).cancels == ()


async def test_the_last_words_of_a_phone_that_gave_up_are_why_it_failed(world: World) -> None:
    phone = await world.phone("a", ENVAYA)
    message = await world.submit()
    await world.poll(phone)
    word = report(message.id, Status.FAILED, reason="no service", gives_up=False)
    await world.poll(phone, word)
    trying = await world.get(message)
    assert trying.error is not None
    assert trying.error.code == "device_retrying"
    await world.pass_time(hours=27)
    ended = await world.get(message)
    assert ended.status is Status.FAILED
    assert ended.error is not None
    assert (ended.error.code, ended.error.message) == ("device_failed", "no service")
    (attempt,) = (await world.hub.outbox.get(world.project_id, message.id)).attempts
    assert attempt.error == ended.error


async def test_a_word_that_ends_a_doubt_ends_its_error(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit()
    await world.poll(phone)
    await world.pass_time(minutes=15)
    assert (await world.get(message)).error is not None
    await world.poll(phone, report(message.id, Status.ACCEPTED))
    working = await world.get(message)
    assert (working.status, working.error) == (Status.ACCEPTED, None)


async def test_any_word_ends_the_doubt_of_an_attempt_not_heard_of(world: World) -> None:
    """However far the attempt before it had come."""
    phone = await world.phone("a")
    message = await world.submit(max_attempts=2, if_uncertain=IfUncertain.WAIT)
    await world.poll(phone)
    await world.poll(phone, report(message.id, Status.PENDING))
    await world.poll(phone, report(message.id, Status.FAILED))
    await world.pass_time(minutes=1)
    (second,) = wire_ids(await world.poll(phone))
    await world.pass_time(minutes=15)
    assert await world.status(message) is Status.UNCERTAIN
    await world.poll(phone, report(second, Status.ACCEPTED))
    assert await world.status(message) is Status.ACCEPTED
