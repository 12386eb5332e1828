"""Which messages a phone is given, in what order, and when it is given one again."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway_hub.domain.devices import MAX_OFFERS_PER_ANSWER, Protocol, SendLimit
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageDraft, Route
from gateway_hub.domain.phone_posts import Offer
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, MEDIC, get, register, sms, status_of, submit


async def test_the_highest_priority_goes_first_and_the_oldest_within_it(hub: Hub) -> None:
    phone = await register(hub, tags=("clinic",))
    project = phone.project_id
    low = await submit(hub, project, priority=-1)
    old = await submit(hub, project, tag="clinic")
    new = await submit(hub, project)
    high = await submit(hub, project, priority=5, device=phone.device)
    highest = await submit(hub, project, priority=6)
    assert await phone.poll() == [item.id for item in (highest, high, old, new, low)]


async def test_an_offer_says_what_to_send_to_whom(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    await hub.access.change_project(project.id, {"region": "TZ"})
    phone = await register(hub)
    told = {
        "+255 (0) 710-000.001": "+255710000001",
        "0710 000 001": "0710000001",
        "15000": "15000",
    }
    sent = [await submit(hub, project.id, f"to {to}", to=to, priority=3) for to in told]
    answer = await phone.post()
    assert answer.offers == tuple(
        Offer(message.id, dialled, f"to {to}", 3)
        for message, (to, dialled) in zip(sent, told.items(), strict=True)
    )


async def test_a_message_goes_only_to_a_device_its_route_names(hub: Hub) -> None:
    clinic = await register(hub, tags=("clinic", "x"))
    school = await register(hub, tags=("school", "x"))
    other = await hub.access.create_project("other", None)
    stranger = await register(hub, project_id=other.id, tags=("clinic", "school", "x"))
    project = clinic.project_id
    to_school = await submit(hub, project, device=school.device)
    to_clinics = await submit(hub, project, tag="clinic")
    to_case = await submit(hub, project, tag="Clinic")
    assert await stranger.poll() == []
    assert await clinic.poll() == [to_clinics.id]
    assert await school.poll() == [to_school.id]
    to_x = await submit(hub, project, tag="x", to="+255710000098")
    to_any = await submit(hub, project, to="+255710000099")
    assert await stranger.poll() == []
    assert await school.poll() == [to_x.id, to_any.id]
    assert await clinic.poll() == []
    assert await status_of(hub, to_case) is Status.QUEUED


async def test_what_is_offered_is_in_the_devices_hands(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    message = await submit(hub, phone.project_id)
    clock.advance(seconds=7)
    assert await phone.poll() == [message.id]
    details = await get(hub, message)
    assert details.message.status is Status.DISPATCHED
    assert details.message.device_id == phone.device.id
    assert details.message.device_protocol is ENVAYA
    assert details.message.attempt_count == 1
    assert details.message.reached == {
        "queued": "2026-03-01T12:00:00.000Z",
        "dispatched": "2026-03-01T12:00:07.000Z",
    }
    (attempt,) = details.attempts
    assert (attempt.wire_id, attempt.device_id, attempt.number, attempt.offers) == (
        message.id,
        phone.device.id,
        1,
        1,
    )


async def test_a_paused_device_finishes_what_it_holds_and_is_given_nothing_new(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    held = await submit(hub, phone.project_id)
    assert await phone.poll(messages=[sms("1")]) == [held.id]
    waiting = await submit(hub, phone.project_id)
    clock.advance(hours=1)
    view = await hub.devices.change(phone.project_id, phone.device.id, {"paused": True})
    paused = replace(phone, device=view.device)
    assert await paused.poll() == [held.id]
    assert await paused.poll(messages=[sms("2")]) == []
    assert await status_of(hub, waiting) is Status.QUEUED
    assert not await hub.phones.wait_for_work(view.device, seconds=0)
    assert await phone.poll() == [waiting.id]


async def test_a_post_that_takes_no_work_is_given_none(hub: Hub) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id)
    assert await phone.poll(takes_work=False) == []
    assert await phone.poll(messages=[sms("1")], takes_work=False) == []
    assert await phone.poll(messages=[sms("2")]) == [message.id]


async def test_what_has_expired_is_not_offered_even_before_anyone_marks_it(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    for seconds in (59, 60, 61):
        expires_at = clock.now + timedelta(seconds=seconds)
        await submit(hub, phone.project_id, f"{seconds}", expires_at=expires_at)
    clock.advance(seconds=60)
    assert [offer.text for offer in (await phone.post()).offers] == ["61"]


async def test_a_held_message_that_expires_is_not_offered_again(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    await submit(hub, phone.project_id, expires_at=clock.now + timedelta(minutes=4))
    assert len(await phone.poll()) == 1
    clock.advance(minutes=6)
    assert await phone.poll() == []


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_no_answer_holds_more_than_ten(
    hub: Hub, clock: FakeClock, protocol: Protocol
) -> None:
    phone = await register(hub, protocol, tags=("clinic",))
    sent = [
        (await submit(hub, phone.project_id, tag="clinic" if number % 2 else None)).id
        for number in range(24)
    ]
    polled = [await phone.poll(request_key=str(number)) for number in range(4)]
    assert [len(ids) for ids in polled] == [10, 10, 4, 0]
    assert [wire_id for ids in polled for wire_id in ids] == sent
    clock.advance(minutes=11)
    overdue = [await phone.poll(request_key=f"later {number}") for number in range(4)]
    assert [len(ids) for ids in overdue] == [10, 10, 4, 0]
    assert sorted(wire_id for ids in overdue for wire_id in ids) == sorted(sent)


async def test_what_is_overdue_leaves_room_for_the_queue(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    held = [(await submit(hub, phone.project_id)).id for _ in range(4)]
    assert await phone.poll() == held
    clock.advance(minutes=5)
    waiting = [(await submit(hub, phone.project_id)).id for _ in range(8)]
    assert await phone.poll() == held + waiting[:6]
    assert await phone.poll() == waiting[6:]


async def test_the_repeat_of_many_messages_is_answered_with_ten_at_most(hub: Hub) -> None:
    """Every answer was lost, so the phone has put all it ever forwarded into one post."""
    phone = await register(hub)
    for _ in range(24):
        await submit(hub, phone.project_id)
    for number in range(3):
        await phone.poll(messages=[sms(str(number))])
    again = await phone.poll(messages=[sms(str(number)) for number in range(3)])
    assert len(again) == MAX_OFFERS_PER_ANSWER


async def test_no_message_is_in_two_hands_however_many_ask_at_once(
    make_hub: MakeHub, database_url: str
) -> None:
    hubs = [await make_hub()]
    if not hubs[0].database.is_sqlite:
        hubs.append(await make_hub())
    limit = SendLimit(segments=1000, seconds=60)
    phones = [await register(hubs[0], tags=("clinic",), send_limit=limit) for _ in range(6)]
    project = phones[0].project_id
    routes = [Route(), Route(tag="clinic")]
    drafts = [
        MessageDraft("+255710000001", "hi", routes[number % 2], priority=number % 3)
        for number in range(300)
    ]
    batch = await hubs[0].outbox.submit_batch(project, drafts)
    sent = {message.id for message in batch if isinstance(message, Message)}
    assert len(sent) == 300
    polls = [
        phone.poll(hub=hubs[turn % len(hubs)], messages=[sms(str(turn))] if turn % 3 else [])
        for turn in range(10)
        for phone in phones
    ]
    offered = Counter(wire_id for wire_ids in await asyncio.gather(*polls) for wire_id in wire_ids)
    while rest := [wire_id for phone in phones for wire_id in await phone.poll()]:
        offered.update(rest)
    assert set(offered) == sent
    assert set(offered.values()) == {1}


async def test_a_silent_medic_phone_is_given_the_same_id_again_ever_more_seldom(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, MEDIC)
    message = await submit(hub, phone.project_id)
    assert await phone.poll() == [message.id]
    for minutes in (5, 10, 20, 40, 60, 60, 60):
        clock.advance(minutes=minutes, milliseconds=-1)
        assert await phone.poll() == []
        clock.advance(milliseconds=1)
        assert await phone.poll() == [message.id]
        assert await phone.poll() == []
    (attempt,) = (await get(hub, message)).attempts
    assert (attempt.number, attempt.offers) == (1, 8)


async def test_a_silent_envaya_phone_is_given_the_same_id_once_more_and_never_again(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    message = await submit(hub, phone.project_id)
    assert await phone.poll(request_key="a") == [message.id]
    clock.advance(minutes=10, milliseconds=-1)
    assert await phone.poll(request_key="b") == []
    clock.advance(milliseconds=1)
    assert await phone.poll(request_key="c") == [message.id]
    for hours in (1, 24, 24 * 30):
        clock.advance(hours=hours)
        assert await phone.poll(request_key=str(hours)) == []
        assert not await hub.phones.wait_for_work(phone.device, seconds=0)


@pytest.mark.parametrize(
    ("protocol", "sign"),
    [(MEDIC, "UNSENT"), (MEDIC, "PENDING"), (ENVAYA, "failed"), (ENVAYA, "sent")],
)
async def test_a_sign_of_the_phone_ends_the_repeats(
    hub: Hub, clock: FakeClock, protocol: Protocol, sign: str
) -> None:
    phone = await register(hub, protocol)
    message = await submit(hub, phone.project_id)
    assert await phone.poll() == [message.id]
    await phone.report(message.id, sign)
    clock.advance(days=1)
    assert await phone.poll() == []


async def test_another_phone_is_not_given_what_one_holds_in_silence(
    hub: Hub, clock: FakeClock
) -> None:
    first, second = await register(hub), await register(hub)
    message = await submit(hub, first.project_id)
    assert await first.poll() == [message.id]
    clock.advance(days=2)
    assert await second.poll() == []


async def test_the_same_request_gets_the_same_answer_and_nothing_more(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    sent = [(await submit(hub, phone.project_id)).id for _ in range(12)]
    first = await phone.post(request_key="a")
    clock.advance(seconds=110)
    assert await phone.post(request_key="a") == first
    assert [offer.wire_id for offer in first.offers] == sent[:10]
    assert await phone.poll(request_key="b") == sent[10:]
    (attempt,) = (await hub.outbox.get(phone.project_id, sent[0])).attempts
    assert attempt.offers == 1


async def test_simultaneous_copies_of_one_request_get_one_answer(
    make_hub: MakeHub, database_url: str
) -> None:
    hubs = [await make_hub()]
    if not hubs[0].database.is_sqlite:
        hubs.append(await make_hub())
    phone = await register(hubs[0], ENVAYA)
    sent = [(await submit(hubs[0], phone.project_id)).id for _ in range(30)]
    answers = await asyncio.gather(
        *(phone.poll(request_key="a", hub=hubs[turn % len(hubs)]) for turn in range(4))
    )
    given = {wire_id for wire_ids in answers for wire_id in wire_ids}
    assert given == set(sent[:10])


async def test_a_repeated_request_brings_nothing_that_has_expired(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    expires_at = clock.now + timedelta(minutes=1)
    for post in ({"request_key": "signature"}, {"messages": [sms("1")]}):
        message = await submit(hub, phone.project_id, expires_at=expires_at)
        assert await phone.poll(**post) == [message.id]
        assert await phone.poll(**post) == [message.id]
    clock.advance(minutes=1)
    for post in ({"request_key": "signature"}, {"messages": [sms("1")]}):
        assert await phone.poll(**post) == []


async def test_a_repeated_offer_is_in_the_answer_to_the_repeated_request_too(
    hub: Hub, clock: FakeClock
) -> None:
    """The second and last offer of a message must not be lost with an answer."""
    phone = await register(hub, ENVAYA)
    held = await submit(hub, phone.project_id)
    assert await phone.poll(request_key="a") == [held.id]
    clock.advance(minutes=10)
    waiting = await submit(hub, phone.project_id)
    assert await phone.poll(request_key="b") == [held.id, waiting.id]
    assert await phone.poll(request_key="b") == [held.id, waiting.id]
    clock.advance(minutes=10)
    assert await phone.poll(request_key="c") == [waiting.id]


async def test_a_repeated_offer_is_in_the_answer_to_the_repeated_message_too(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    first, second = [await submit(hub, phone.project_id) for _ in range(2)]
    assert await phone.poll(request_key="a") == [first.id, second.id]
    clock.advance(minutes=10)
    assert await phone.poll(request_key="b", messages=[sms("1")]) == [first.id, second.id]
    clock.advance(seconds=20)
    assert await phone.poll(request_key="c", messages=[sms("1")]) == [first.id, second.id]


@pytest.mark.parametrize(
    ("protocol", "post", "lease"),
    [
        pytest.param(MEDIC, {"messages": [sms("1")]}, timedelta(minutes=5), id="message"),
        pytest.param(ENVAYA, {"messages": [sms("1")]}, timedelta(minutes=10), id="form"),
        pytest.param(ENVAYA, {"request_key": "a"}, timedelta(minutes=10), id="poll"),
    ],
)
async def test_what_an_answer_repeats_is_silent_from_then_on(
    hub: Hub, clock: FakeClock, protocol: Protocol, post: dict[str, Any], lease: timedelta
) -> None:
    """The phone may have heard of it a moment ago: it has the whole lease to send it."""
    phone = await register(hub, protocol)
    held = await submit(hub, phone.project_id)
    assert await phone.poll(**post) == [held.id]
    given_at = clock.now
    clock.advance(seconds=100)
    assert await phone.poll(**post) == [held.id]
    heard_at = clock.now
    clock.now = heard_at + lease - timedelta(seconds=1)
    assert await phone.poll() == []
    (attempt,) = (await get(hub, held)).attempts
    assert (attempt.offers, attempt.first_offered_at) == (1, given_at)
    assert (attempt.last_offered_at, attempt.lease_until) == (heard_at, heard_at + lease)
    clock.advance(seconds=1)
    assert await phone.poll() == [held.id]


async def test_what_an_answer_repeats_counts_once_in_the_budget_as_of_then(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, send_limit=SendLimit(segments=2, seconds=1800))
    held, second, third = [await submit(hub, phone.project_id) for _ in range(3)]
    await hub.outbox.cancel(phone.project_id, second.id)
    await hub.outbox.cancel(phone.project_id, third.id)
    assert await phone.poll(messages=[sms("1")]) == [held.id]
    clock.advance(minutes=4)
    assert await phone.poll(messages=[sms("1")]) == [held.id]
    await phone.report(held.id, "SENT")
    for message in (second, third):
        await hub.outbox.resend(phone.project_id, message.id)
    assert await phone.poll() == [second.id]
    await phone.report(second.id, "SENT")
    clock.advance(minutes=27)
    assert await phone.poll() == []
    clock.advance(minutes=4)
    assert await phone.poll() == [third.id]


async def test_a_reply_offered_again_with_another_message_comes_with_that_ones_repeat(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    reply = await submit(hub, phone.project_id)
    assert await phone.poll(messages=[sms("1")]) == [reply.id]
    clock.advance(minutes=10)
    assert await phone.poll(messages=[sms("2")]) == [reply.id]
    assert await phone.poll(messages=[sms("2")]) == [reply.id]


async def test_a_message_repeated_a_day_later_is_no_reason_to_send_its_reply_again(
    hub: Hub, clock: FakeClock
) -> None:
    """By then the phone may have forgotten what it has sent."""
    phone = await register(hub, ENVAYA)
    reply = await submit(hub, phone.project_id)
    assert await phone.poll(messages=[sms("1")]) == [reply.id]
    clock.advance(minutes=10)
    assert await phone.poll() == [reply.id]
    clock.advance(days=1)
    assert await phone.poll(messages=[sms("1")]) == []


async def test_a_recording_played_back_later_is_given_nothing(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    held = await submit(hub, phone.project_id)
    recorded = {"request_key": "recorded", "clock": clock.now}
    assert await phone.poll(**recorded) == [held.id]
    waiting = await submit(hub, phone.project_id)
    clock.advance(seconds=121)
    assert await phone.poll(**recorded) == []
    month_ago = clock.now - timedelta(days=30)
    assert await phone.poll(request_key="recorded earlier", clock=month_ago) == []
    assert await phone.poll(request_key="genuine", clock=clock.now) == [waiting.id]


async def test_two_processes_that_serve_one_phone_at_one_moment_spend_its_budget_once(
    make_hub: MakeHub,
) -> None:
    hub = await make_hub()
    if hub.database.is_sqlite:
        pytest.skip("SQLite has one process")
    hubs = [hub, await make_hub()]
    phone = await register(hub, send_limit=SendLimit(segments=5, seconds=1800))
    for _ in range(20):
        await submit(hub, phone.project_id)
    for one in hubs:
        await one.hints.refresh()
    polls = [phone.poll(hub=hubs[number % 2]) for number in range(8)]
    given = [wire_id for ids in await asyncio.gather(*polls) for wire_id in ids]
    assert len(given) == len(set(given)) == 5
