"""When a silent phone is waited for, when it is given up, and what is never told it twice."""

import pytest

from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import IfUncertain, MessageType, Route
from gateway_hub.domain.phone_posts import ForwardedMessage
from tests.services.conftest import MakeQuietHub
from tests.services.world import World, report, wire_ids

MEDIC, ENVAYA = Protocol.MEDIC, Protocol.ENVAYA
QUESTION = ForwardedMessage(MessageType.SMS, "+255710000009", "hello", "1")


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize("policy", list(IfUncertain))
async def test_a_hub_that_was_away_takes_no_phone_for_silent(
    world: World, make_quiet_hub: MakeQuietHub, protocol: Protocol, policy: IfUncertain
) -> None:
    """No phone could be heard meanwhile: each gets the time it always has, from the start on."""
    phone = await world.phone("a", protocol)
    message = await world.submit(if_uncertain=policy)
    assert wire_ids(await world.poll(phone)) == [message.id]
    await world.hub.states.flush()
    await world.hub.database.stop()
    world.clock.advance(hours=1)
    world.hub = await make_quiet_hub()
    await world.pass_time(seconds=1)
    assert await world.status(message) is Status.DISPATCHED
    await world.pass_time(minutes=9)
    assert wire_ids(await world.poll(phone)) == [message.id]
    await world.pass_time(hours=1)
    ends = {IfUncertain.WAIT: Status.UNCERTAIN, IfUncertain.RESEND: Status.QUEUED}
    assert await world.status(message) is ends[policy]


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_hub_that_was_away_gives_up_who_does_not_come_back(
    world: World, make_quiet_hub: MakeQuietHub, protocol: Protocol
) -> None:
    phone = await world.phone("a", protocol)
    message = await world.submit()
    await world.poll(phone)
    await world.hub.states.flush()
    await world.hub.database.stop()
    world.clock.advance(hours=1)
    world.hub = await make_quiet_hub()
    await world.pass_time(minutes=10, seconds=1)
    assert await world.status(message) is Status.UNCERTAIN


@pytest.mark.parametrize(("protocol", "lease_minutes"), [(MEDIC, 5), (ENVAYA, 10)])
async def test_a_paused_phone_that_still_asks_is_asked_about_what_it_holds(
    world: World, protocol: Protocol, lease_minutes: int
) -> None:
    phone = await world.phone("a", protocol)
    await world.phone("b", protocol, phone_number="+255710000002")
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    assert wire_ids(await world.poll(phone)) == [message.id]
    await world.hub.devices.change(world.project_id, phone.id, {"paused": True})
    given: list[str] = []
    for _ in range(lease_minutes):
        await world.pass_time(minutes=1)
        given += wire_ids(await world.poll(phone))
    assert given == [message.id]
    assert await world.status(message) is Status.DISPATCHED


async def test_a_paused_phone_is_asked_to_give_back_before_another_gets_it(world: World) -> None:
    first = await world.phone("a", ENVAYA)
    message = await world.submit(if_uncertain=IfUncertain.RESEND)
    await world.poll(first)
    second = await world.phone("b", ENVAYA, phone_number="+255710000002")
    await world.hub.devices.change(world.project_id, first.id, {"paused": True})
    asked: list[str] = []
    for _ in range(25):
        await world.pass_time(minutes=1)
        asked += [command.wire_id for command in (await world.poll(first)).cancels]
        if asked:
            break
        assert wire_ids(await world.poll(second)) == []
    assert asked == [message.id]
    await world.poll(first, report(message.id, Status.CANCELLED))
    assert len(wire_ids(await world.poll(second))) == 1


async def test_a_burst_of_posts_does_not_change_how_often_a_phone_is_expected(
    world: World,
) -> None:
    """What it has to tell comes when it comes; its habit is how often it asks."""
    phone = await world.phone("a", ENVAYA)
    for _ in range(10):
        await world.pass_time(minutes=5)
        await world.poll(phone)
    for number in range(40):
        await world.pass_time(seconds=2)
        await world.poll(phone, report(f"unknown {number}", Status.SENT))
    await world.pass_time(minutes=5)
    view = await world.hub.devices.get(world.project_id, phone.id)
    assert view.online
    assert view.state.poll_gap_ms == 300_000


async def test_a_phone_that_often_asks_is_waited_for_as_long_as_any(world: World) -> None:
    """It is away for new work soon; what it holds is in doubt only after the whole silence."""
    phone = await world.phone("a")
    for _ in range(10):
        await world.pass_time(seconds=30)
        await world.poll(phone)
    message = await world.submit()
    await world.poll(phone)
    await world.pass_time(minutes=9)
    assert not (await world.hub.devices.get(world.project_id, phone.id)).online
    assert await world.status(message) is Status.DISPATCHED
    await world.pass_time(minutes=1, seconds=1)
    assert await world.status(message) is Status.UNCERTAIN


async def test_what_is_in_doubt_is_not_told_again_with_a_message_that_comes_again(
    world: World,
) -> None:
    """EnvayaSMS forwards a message for a day; by then it may have forgotten what it has sent."""
    phone = await world.phone("a", ENVAYA)
    reply = await world.submit(route=Route(device_id=phone.id))
    assert wire_ids(await world.poll(phone, messages=(QUESTION,))) == [reply.id]
    await world.pass_time(hours=9)
    assert await world.status(reply) is Status.UNCERTAIN
    assert wire_ids(await world.poll(phone, messages=(QUESTION,))) == []
    await world.pass_time(hours=1)
    assert wire_ids(await world.poll(phone)) == []


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_an_app_that_has_started_anew_is_not_told_again_what_it_may_have_sent(
    world: World, protocol: Protocol
) -> None:
    """EnvayaSMS keeps what it has sent in memory only; the CHT app writes it down."""
    phone = await world.phone("a", protocol)
    message = await world.submit()
    await world.start_app(phone)
    assert wire_ids(await world.poll(phone)) == [message.id]
    await world.pass_time(minutes=4)
    await world.start_app(phone)
    given: list[str] = []
    for _ in range(15):
        await world.pass_time(minutes=1)
        given += wire_ids(await world.poll(phone))
    known = {MEDIC: ([message.id] * 2, Status.DISPATCHED), ENVAYA: ([], Status.UNCERTAIN)}
    assert (given, await world.status(message)) == known[protocol]


@pytest.mark.parametrize(("others", "told_again"), [(79, True), (80, False)])
async def test_an_app_that_has_sent_many_others_is_not_told_again_what_it_may_have_sent(
    world: World, others: int, told_again: bool
) -> None:
    """EnvayaSMS knows the last hundred ids; one it does not know any more it would send again."""
    phone = await world.phone("a", ENVAYA, send_limit=SendLimit(segments=1000, seconds=3600))
    silent = await world.submit("silent")
    assert wire_ids(await world.poll(phone)) == [silent.id]
    for number in range(others):
        await world.submit(f"{number}")
    for _ in range(8):
        given = wire_ids(await world.poll(phone))
        sent = (report(wire_id, Status.SENT) for wire_id in given)
        await world.poll(phone, *sent, takes_work=False)
    await world.pass_time(minutes=10)
    assert wire_ids(await world.poll(phone)) == ([silent.id] if told_again else [])
    assert await world.status(silent) is (Status.DISPATCHED if told_again else Status.UNCERTAIN)
