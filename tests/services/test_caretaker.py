"""What happens to messages as time passes and phones fall silent, on both databases."""

from datetime import timedelta

import pytest

from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.domain.errors import ConflictError
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import IfUncertain, MessageType, Route
from gateway_hub.domain.phone_posts import ForwardedMessage
from tests.services.world import World, report, wire_ids


async def test_a_scheduled_message_is_queued_at_its_time(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit(send_at=world.clock.now + timedelta(hours=1))
    assert await world.status(message) is Status.SCHEDULED
    await world.pass_time(minutes=59)
    assert wire_ids(await world.poll(phone)) == []
    await world.pass_time(minutes=1)
    assert wire_ids(await world.poll(phone)) == [message.id]


async def test_what_no_phone_took_in_time_expires(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit(expires_at=world.clock.now + timedelta(minutes=5))
    await world.pass_time(minutes=5)
    assert await world.status(message) is Status.EXPIRED
    assert wire_ids(await world.poll(phone)) == []


async def test_a_phone_that_falls_silent_leaves_the_message_uncertain(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit()
    await world.poll(phone)
    await world.pass_time(minutes=4)
    assert await world.status(message) is Status.DISPATCHED
    await world.pass_time(minutes=11)
    uncertain = await world.get(message)
    assert (uncertain.status, uncertain.final) == (Status.UNCERTAIN, True)
    assert uncertain.error is not None
    assert uncertain.error.code == "device_silent"


async def test_a_cht_phone_that_comes_back_is_asked_again_under_the_same_id(
    world: World,
) -> None:
    phone = await world.phone("a")
    message = await world.submit()
    await world.poll(phone)
    await world.pass_time(hours=9)
    assert await world.status(message) is Status.UNCERTAIN
    assert wire_ids(await world.poll(phone)) == [message.id]
    await world.poll(phone, report(message.id, Status.DELIVERED))
    assert await world.status(message) is Status.DELIVERED


async def test_what_expires_in_silent_hands_is_uncertain_although_the_phone_still_asks(
    world: World,
) -> None:
    phone = await world.phone("a")
    message = await world.submit(expires_at=world.clock.now + timedelta(minutes=6))
    await world.poll(phone)
    for minute in range(1, 16):
        await world.pass_time(minutes=1)
        given = wire_ids(await world.poll(phone))
        assert given == ([message.id] if minute == 5 else [])
    assert await world.status(message) is Status.UNCERTAIN


async def test_an_envaya_phone_that_comes_back_is_not_asked_again(world: World) -> None:
    phone = await world.phone("a", Protocol.ENVAYA)
    message = await world.submit()
    await world.poll(phone)
    await world.pass_time(hours=9)
    assert await world.status(message) is Status.UNCERTAIN
    assert wire_ids(await world.poll(phone)) == []
    await world.poll(phone, report(message.id, Status.SENT))
    assert await world.status(message) is Status.SENT


async def test_resend_goes_through_another_phone_under_another_wire_id(world: World) -> None:
    first, second = await world.phone("a"), await world.phone("b")
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    await world.poll(first)
    for _ in range(4):
        world.clock.advance(minutes=4)
        await world.poll(second)
        await world.pass_time(seconds=0)
    (wire_id,) = {
        item.wire_id
        for item in (await world.hub.outbox.get(world.project_id, message.id)).attempts
        if item.device_id == second.id
    }
    assert wire_id != message.id
    await world.poll(second, report(wire_id, Status.SENT))
    assert await world.status(message) is Status.SENT
    await world.poll(first, report(message.id, Status.FAILED, reason="late"))
    assert await world.status(message) is Status.SENT


async def test_a_phone_that_is_at_work_after_all_ends_the_wait_for_another(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    await world.poll(phone)
    await world.pass_time(minutes=15)
    assert await world.status(message) is Status.QUEUED
    assert wire_ids(await world.poll(phone, report(message.id, Status.ACCEPTED))) == []
    assert await world.status(message) is Status.ACCEPTED


async def test_a_word_of_the_phone_does_not_revive_what_was_taken_back(world: World) -> None:
    phone = await world.phone("a")
    for word in (Status.ACCEPTED, Status.PENDING, Status.FAILED, Status.CANCELLED):
        message = await world.submit(if_uncertain=IfUncertain.RESEND, max_attempts=3)
        assert wire_ids(await world.poll(phone)) == [message.id]
        await world.pass_time(minutes=15)
        await world.hub.outbox.cancel(world.project_id, message.id)
        assert wire_ids(await world.poll(phone, report(message.id, word))) == []
        await world.pass_time(minutes=15)
        assert await world.status(message) is Status.CANCELLED


async def test_what_had_got_through_before_it_was_taken_back_is_not_called_cancelled(
    world: World,
) -> None:
    phone = await world.phone("a")
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    await world.poll(phone)
    await world.pass_time(minutes=15)
    await world.hub.outbox.cancel(world.project_id, message.id)
    await world.poll(phone, report(message.id, Status.DELIVERED))
    assert await world.status(message) is Status.DELIVERED


async def test_resend_happens_once_however_silent_the_phones_are(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    for _ in range(6):
        await world.poll(phone)
        await world.pass_time(hours=2)
    details = await world.hub.outbox.get(world.project_id, message.id)
    assert len(details.attempts) == 2


async def test_an_envaya_phone_is_asked_to_give_back_before_another_gets_it(
    world: World,
) -> None:
    phone = await world.phone("a", Protocol.ENVAYA)
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    await world.poll(phone)
    for _ in range(2):
        for _ in range(11):
            world.clock.advance(minutes=1)
            await world.poll(phone)
        await world.pass_time(seconds=0)
    answer = await world.poll(phone)
    assert [cancel.wire_id for cancel in answer.cancels] == [message.id]
    await world.poll(phone, report(message.id, Status.CANCELLED))
    details = await world.hub.outbox.get(world.project_id, message.id)
    assert [item.number for item in details.attempts] == [1, 2]


async def test_a_failed_message_is_tried_again_as_often_as_asked(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit(max_attempts=2)
    (first,) = wire_ids(await world.poll(phone))
    await world.poll(phone, report(first, Status.FAILED, reason="generic; errorCode=1"))
    waiting = await world.get(message)
    assert waiting.status is Status.SCHEDULED
    assert waiting.due_at == world.clock.now + timedelta(minutes=1)
    await world.pass_time(minutes=1)
    (second,) = wire_ids(await world.poll(phone))
    assert second != first
    await world.poll(phone, report(second, Status.FAILED, reason="generic; errorCode=1"))
    ended = await world.get(message)
    assert (ended.status, ended.final) == (Status.FAILED, True)


async def test_late_good_news_of_the_first_attempt_ends_the_waiting(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit(max_attempts=3)
    (first,) = wire_ids(await world.poll(phone))
    await world.poll(phone, report(first, Status.FAILED))
    await world.poll(phone, report(first, Status.SENT))
    assert await world.status(message) is Status.SENT
    await world.pass_time(hours=1)
    assert wire_ids(await world.poll(phone)) == []


@pytest.mark.parametrize(
    ("protocol", "hours", "failing", "ends"),
    [
        (Protocol.MEDIC, 25, False, Status.UNCERTAIN),
        (Protocol.ENVAYA, 27, True, Status.FAILED),
        (Protocol.ENVAYA, 25, True, Status.ACCEPTED),
    ],
)
async def test_a_phone_that_worked_on_it_and_says_no_more(
    world: World, protocol: Protocol, hours: float, failing: bool, ends: Status
) -> None:
    phone = await world.phone("a", protocol)
    message = await world.submit()
    (wire_id,) = wire_ids(await world.poll(phone))
    word = (
        report(wire_id, Status.FAILED, reason="no service", gives_up=False)
        if failing
        else report(wire_id, Status.ACCEPTED)
    )
    await world.poll(phone, word)
    await world.pass_time(hours=hours)
    assert await world.status(message) is ends


async def test_a_budget_is_counted_in_segments_over_a_sliding_window(world: World) -> None:
    phone = await world.phone("a", send_limit=SendLimit(5, 600))
    for _ in range(4):
        await world.submit("x" * 200)
    given = wire_ids(await world.poll(phone))
    assert len(given) == 2
    await world.poll(phone, *(report(wire_id, Status.SENT) for wire_id in given))
    view = await world.hub.devices.get(world.project_id, phone.id)
    assert (view.budget_left, view.backlog) == (1, 2)
    await world.pass_time(minutes=9)
    assert (await world.poll(phone)).offers == ()
    await world.pass_time(minutes=2)
    assert len((await world.poll(phone)).offers) == 2


async def test_what_is_offered_again_counts_as_of_then(world: World) -> None:
    """Nobody knows whether the phone got it the first time."""
    phone = await world.phone("a", send_limit=SendLimit(segments=2, seconds=600))
    lost = [await world.submit(), await world.submit()]
    await world.poll(phone)
    waiting = await world.submit()
    await world.pass_time(minutes=6)
    assert wire_ids(await world.poll(phone)) == [item.id for item in lost]
    told = [report(item.id, Status.SENT) for item in lost]
    await world.pass_time(minutes=9)
    assert wire_ids(await world.poll(phone, *told)) == []
    await world.pass_time(minutes=2)
    assert wire_ids(await world.poll(phone)) == [waiting.id]


async def test_no_more_is_offered_again_at_once_than_the_phone_may_send(world: World) -> None:
    phone = await world.phone("a", send_limit=SendLimit(segments=1, seconds=600))
    for _ in range(3):
        await world.submit()
        await world.poll(phone)
        await world.pass_time(hours=2)
    assert len(wire_ids(await world.poll(phone))) == 1
    await world.pass_time(minutes=12)
    assert len(wire_ids(await world.poll(phone))) == 1


async def test_a_message_larger_than_the_whole_budget_goes_out_alone(world: World) -> None:
    phone = await world.phone("a", send_limit=SendLimit(1, 600))
    await world.submit("x" * 200)
    assert len((await world.poll(phone)).offers) == 1


async def test_a_cap_on_recipients_lets_known_ones_through(world: World) -> None:
    phone = await world.phone("a", send_limit=SendLimit(100, 600, recipients_per_month=1))
    for to in ("+255710000011", "+255710000012", "+255710000011"):
        await world.submit(to=to)
    assert [offer.to for offer in (await world.poll(phone)).offers] == ["+255710000011"] * 2
    world.clock.advance(days=31)
    assert [offer.to for offer in (await world.poll(phone)).offers] == ["+255710000012"]


async def test_a_cap_on_recipients_holds_up_no_known_one_behind_many_new_ones(
    world: World,
) -> None:
    limit = SendLimit(segments=30, seconds=1800, recipients_per_month=1)
    phone = await world.phone("a", send_limit=limit)
    known = await world.submit(to="+255710000001")
    assert wire_ids(await world.poll(phone)) == [known.id]
    await world.poll(phone, report(known.id, Status.SENT))
    for number in range(25):
        await world.submit(to=f"+2557200000{number:02}", priority=1)
    again = await world.submit(to="+255710000001")
    assert wire_ids(await world.poll(phone)) == [again.id]
    world.clock.now = world.clock.now.replace(month=world.clock.now.month + 1)
    assert len(wire_ids(await world.poll(phone))) == 1


async def test_a_small_budget_is_shared_between_tags_and_what_any_phone_may_send(
    world: World,
) -> None:
    """The phone may send one at a time: no queue is always the one that it takes."""
    tags = tuple(f"tag {number}" for number in range(4))
    phone = await world.phone("a", tags=tags, send_limit=SendLimit(segments=1, seconds=60))
    queues = {(await world.submit(to="+255710000001")).id: "any"}
    for tag in tags:
        for number in range(20):
            to = f"+25571000{number:02}{tags.index(tag):02}"
            queues[(await world.submit(to=to, route=Route(tag=tag))).id] = tag
    took: set[str] = set()
    for _ in range(60):
        await world.pass_time(seconds=121)
        given = wire_ids(await world.poll(phone))
        took |= {queues[wire_id] for wire_id in given}
        sent = (report(wire_id, Status.SENT) for wire_id in given)
        await world.poll(phone, *sent, takes_work=False)
    assert took == {"any", *tags}


async def test_a_contact_hears_from_the_phone_that_last_talked_with_them(world: World) -> None:
    first, second = await world.phone("a"), await world.phone("b")
    sms = ForwardedMessage(MessageType.SMS, "+255710009999", "hi", "1")
    await world.poll(second)
    await world.poll(first, messages=(sms,))
    message = await world.submit()
    assert wire_ids(await world.poll(second)) == []
    assert wire_ids(await world.poll(first)) == [message.id]


async def test_it_hears_from_another_when_that_one_does_not_come(world: World) -> None:
    first, second = await world.phone("a"), await world.phone("b")
    sms = ForwardedMessage(MessageType.SMS, "+255710009999", "hi", "1")
    await world.poll(first, messages=(sms,))
    message = await world.submit()
    await world.pass_time(minutes=5)
    assert wire_ids(await world.poll(second)) == [message.id]


async def test_a_flood_under_one_tag_does_not_hold_up_another(world: World) -> None:
    phone = await world.phone("a", tags=("flood", "quiet"))
    for _ in range(20):
        await world.submit(route=Route(tag="flood"))
    quiet = await world.submit(route=Route(tag="quiet"))
    assert quiet.id in wire_ids(await world.poll(phone))


async def test_a_paused_phone_finishes_what_it_holds_and_gets_no_more(world: World) -> None:
    phone = await world.phone("a")
    held = await world.submit()
    await world.poll(phone)
    await world.hub.devices.change(world.project_id, phone.id, {"paused": True})
    await world.submit()
    assert wire_ids(await world.poll(phone)) == []
    world.clock.advance(minutes=6)
    assert wire_ids(await world.poll(phone)) == [held.id]


async def test_a_message_in_an_envaya_phone_s_hands_is_asked_back(world: World) -> None:
    phone = await world.phone("a", Protocol.ENVAYA)
    message = await world.submit()
    await world.poll(phone)
    asked = (await world.hub.outbox.cancel(world.project_id, message.id)).message
    assert (asked.status, asked.cancel_requested_at) == (Status.DISPATCHED, world.clock.now)
    answer = await world.poll(phone)
    assert [cancel.wire_id for cancel in answer.cancels] == [message.id]
    await world.poll(phone, report(message.id, Status.CANCELLED))
    assert await world.status(message) is Status.CANCELLED


async def test_a_message_in_a_cht_phone_s_hands_cannot_be_taken_back(world: World) -> None:
    phone = await world.phone("a")
    message = await world.submit()
    await world.poll(phone)
    with pytest.raises(ConflictError):
        await world.hub.outbox.cancel(world.project_id, message.id)


@pytest.mark.parametrize("ending", [Status.FAILED, Status.CANCELLED])
async def test_a_person_may_have_it_sent_again(world: World, ending: Status) -> None:
    phone = await world.phone("a")
    message = await world.submit()
    if ending is Status.CANCELLED:
        await world.hub.outbox.cancel(world.project_id, message.id)
    else:
        (wire_id,) = wire_ids(await world.poll(phone))
        await world.poll(phone, report(wire_id, Status.FAILED))
    await world.hub.outbox.resend(world.project_id, message.id)
    assert len((await world.poll(phone)).offers) == 1
    with pytest.raises(ConflictError):
        await world.hub.outbox.resend(world.project_id, message.id)


async def test_usage_is_kept_as_long_as_any_window_reaches_back(world: World) -> None:
    month = 31 * 24 * 3600
    phone = await world.phone("a", send_limit=SendLimit(1, month))
    await world.submit()
    assert len((await world.poll(phone)).offers) == 1
    await world.submit()
    world.clock.advance(days=30)
    await world.hub.caretaker.forget_old_usage()
    view = await world.hub.devices.get(world.project_id, phone.id)
    assert view.budget_left == 0
    world.clock.advance(days=3)
    await world.hub.caretaker.forget_old_usage()
    view = await world.hub.devices.get(world.project_id, phone.id)
    assert view.budget_left == 1


async def test_what_came_due_and_expired_while_nobody_looked_only_expires(world: World) -> None:
    now = world.clock.now
    message = await world.submit(
        send_at=now + timedelta(minutes=1), expires_at=now + timedelta(minutes=2)
    )
    await world.pass_time(minutes=3)
    ended = await world.get(message)
    assert ended.status is Status.EXPIRED
    assert set(ended.reached) == {Status.SCHEDULED, Status.EXPIRED}


async def test_what_was_asked_back_is_not_offered_again(world: World) -> None:
    """The answer with the message may have been lost, and then the phone has nothing to cancel."""
    phone = await world.phone("a", Protocol.ENVAYA)
    message = await world.submit()
    await world.poll(phone)
    await world.hub.outbox.cancel(world.project_id, message.id)
    for _ in range(21):
        world.clock.advance(minutes=1)
        assert wire_ids(await world.poll(phone)) == []
        await world.pass_time(seconds=0)
    assert await world.status(message) is Status.UNCERTAIN


@pytest.mark.parametrize("word", [None, Status.FAILED, Status.CANCELLED])
async def test_what_its_sender_took_back_gets_no_further_attempt(
    world: World, word: Status | None
) -> None:
    phone = await world.phone("a", Protocol.ENVAYA)
    message = await world.submit(if_uncertain=IfUncertain.RESEND, max_attempts=3)
    await world.poll(phone)
    await world.hub.outbox.cancel(world.project_id, message.id)
    if word is not None:
        await world.poll(phone, report(message.id, word))
    await world.pass_time(hours=30)
    assert wire_ids(await world.poll(phone)) == []
    assert await world.status(message) is (word or Status.UNCERTAIN)
