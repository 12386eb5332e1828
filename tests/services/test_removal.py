"""What becomes of messages when their device is removed, on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.errors import ConflictError
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import IfUncertain, Message, MessageDraft, MessageFilter, Route
from gateway_hub.services.hub import Hub
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage.messages import NewMessage
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, MEDIC, Phone, get, register, sms, status_of, submit


async def _remove(phone: Phone) -> None:
    await phone.hub.devices.delete(phone.project_id, phone.device.id)


@pytest.fixture
def hub(quiet_hub: Hub) -> Hub:
    """A hub that does what is due when the test says so: two who do it pass over each other's."""
    return quiet_hub


async def _error_of(hub: Hub, message: Message) -> str | None:
    error = (await get(hub, message)).message.error
    return error.code if error else None


async def _run_due(hub: Hub) -> None:
    while await hub.caretaker.run_due():
        pass


async def test_what_only_a_removed_device_was_to_send_has_failed(
    hub: Hub, clock: FakeClock
) -> None:
    phone, other = await register(hub), await register(hub)
    later = clock.now + timedelta(days=30)
    queued = await submit(hub, phone.project_id, device=phone.device)
    scheduled = await submit(hub, phone.project_id, device=phone.device, send_at=later)
    of_any = await submit(hub, phone.project_id)
    of_other = await submit(hub, phone.project_id, device=other.device)
    await _remove(phone)
    for message in (queued, scheduled):
        found = (await get(hub, message)).message
        assert (found.status, found.final) == (Status.FAILED, True)
        assert await _error_of(hub, message) == "device_deleted"
    assert set(await other.poll()) == {of_any.id, of_other.id}


async def test_what_preferred_a_removed_device_goes_through_another_at_once(hub: Hub) -> None:
    phone, other = await register(hub, tags=("t",)), await register(hub, tags=("t",))
    first = await submit(hub, phone.project_id, tag="t")
    assert await phone.poll() == [first.id]
    again = await submit(hub, phone.project_id, tag="t")
    assert await other.poll() == []
    assert not await hub.phones.wait_for_work(other.device, seconds=0)
    await _remove(phone)
    assert await other.poll() == [again.id]


async def test_a_held_poll_of_another_device_is_woken_by_what_comes_back(hub: Hub) -> None:
    phone, other = await register(hub, tags=("t",)), await register(hub, tags=("t",))
    await submit(hub, phone.project_id, tag="t")
    await phone.poll()
    again = await submit(hub, phone.project_id, tag="t")
    with hub.wakeups.listen(other.device) as woken:
        await _remove(phone)
        async with asyncio.timeout(10):
            await woken.wait(30)
    assert await other.poll() == [again.id]


async def test_a_contact_of_a_removed_device_hears_from_another_at_once(hub: Hub) -> None:
    phone, other = await register(hub), await register(hub)
    await phone.post(messages=[sms("1", contact="+255710000001")])
    await _remove(phone)
    message = await submit(hub, phone.project_id, to="+255710000001")
    assert await other.poll() == [message.id]


async def test_a_further_attempt_that_preferred_a_removed_device_prefers_another_new_one(
    hub: Hub, clock: FakeClock
) -> None:
    first, second, third = [await register(hub) for _ in range(3)]
    message = await submit(hub, first.project_id, max_attempts=2)
    assert await first.poll() == [message.id]
    await first.report(message.id, "FAILED")
    clock.advance(minutes=1)
    for phone in (first, second, third):
        await phone.poll()
    await _run_due(hub)
    await _remove(third)
    assert await first.poll() == []
    assert len(await second.poll()) == 1


@pytest.mark.parametrize("protocol", [MEDIC, ENVAYA])
@pytest.mark.parametrize("word", [None, "UNSENT", "PENDING", "failed"])
async def test_what_a_removed_device_holds_is_uncertain(
    hub: Hub, clock: FakeClock, protocol: Protocol, word: str | None
) -> None:
    """It may send it still, and nobody would hear of it."""
    phone, _ = await register(hub, protocol), await register(hub, protocol)
    message = await submit(hub, phone.project_id)
    await phone.poll()
    if word is not None:
        await phone.report(message.id, word)
    await _remove(phone)
    assert await status_of(hub, message) is Status.UNCERTAIN
    assert await _error_of(hub, message) == "device_deleted"
    clock.advance(days=2)
    await _run_due(hub)
    details = await get(hub, message)
    assert details.message.status is Status.UNCERTAIN
    assert [item.status for item in details.attempts] == [Status.UNCERTAIN]


@pytest.mark.parametrize("word", ["SENT", "DELIVERED", "FAILED"])
async def test_what_a_removed_device_said_last_stands(hub: Hub, word: str) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id, device=phone.device)
    await phone.poll()
    await phone.report(message.id, word)
    before = (await get(hub, message)).message
    await _remove(phone)
    await _run_due(hub)
    assert (await get(hub, message)).message == before


async def test_what_is_to_be_sent_again_goes_through_another_device_of_the_route(hub: Hub) -> None:
    phone = await register(hub, tags=("t",))
    message = await submit(hub, phone.project_id, tag="t", if_uncertain=IfUncertain.RESEND)
    await phone.poll()
    other = await register(hub, tags=("t",))
    await other.poll()
    await _remove(phone)
    (wire_id,) = await other.poll()
    assert wire_id != message.id
    await other.report(wire_id, "SENT")
    assert await status_of(hub, message) is Status.SENT


async def test_what_no_other_device_may_send_is_not_sent_again(hub: Hub) -> None:
    phone = await register(hub)
    message = await submit(
        hub, phone.project_id, device=phone.device, if_uncertain=IfUncertain.RESEND
    )
    await phone.poll()
    await _remove(phone)
    await _run_due(hub)
    assert await status_of(hub, message) is Status.UNCERTAIN


async def test_nobody_can_have_it_sent_again_by_a_removed_device(hub: Hub) -> None:
    phone, _ = await register(hub), await register(hub)
    routed = await submit(hub, phone.project_id, device=phone.device)
    await _remove(phone)
    with pytest.raises(ConflictError) as raised:
        await hub.outbox.resend(phone.project_id, routed.id)
    assert raised.value.code == "not_resendable"
    assert await status_of(hub, routed) is Status.FAILED


async def test_of_very_many_messages_none_is_left(quiet_hub: Hub) -> None:
    """A hub that does nothing by itself: what its own caretaker had locked would be passed over."""
    hub = quiet_hub
    phone = await register(hub)
    drafts = [MessageDraft("+255710000001", "hi", Route(phone.device.id))] * 450
    await hub.outbox.submit_batch(phone.project_id, drafts)
    await _remove(phone)
    await _run_due(hub)
    assert await _count(hub, phone.project_id, Status.FAILED) == 450


async def _count(hub: Hub, project_id: str, status: Status) -> int:
    found = 0
    before = "~"
    while page := await hub.outbox.list_messages(
        project_id, MessageFilter(status=status), before=before, limit=200
    ):
        found, before = found + len(page), page[-1].message.id
    return found


async def _store(hub: Hub, message: Message) -> None:
    """Store *message* as a request does that began before its device was removed."""

    async def use_case(tx: Transaction) -> None:
        await message_rows.add_messages(tx, [NewMessage(message)])

    await hub.database.write(use_case)


async def test_what_came_at_the_moment_of_the_removal_fails_too(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id, device=phone.device)
    await _remove(phone)
    late = replace(message, id=message.id[:-1] + ("0" if message.id[-1] != "0" else "1"))
    await _store(hub, late)
    clock.advance(seconds=30)
    await _run_due(hub)
    assert await _error_of(hub, late) == "device_deleted"


async def test_a_hub_that_starts_again_ends_what_was_left(
    make_hub: MakeHub, clock: FakeClock
) -> None:
    hub = await make_hub()
    phone = await register(hub)
    message = await submit(hub, phone.project_id, device=phone.device)
    await _remove(phone)
    late = replace(message, id=message.id[:-1] + ("0" if message.id[-1] != "0" else "1"))
    await _store(hub, late)
    clock.advance(days=90)
    await hub.caretaker.let_go_of_all_deleted()
    assert await _error_of(hub, late) == "device_deleted"
