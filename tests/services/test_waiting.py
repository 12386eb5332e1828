"""Why a message is where it is, on both databases."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message
from gateway_hub.domain.waiting import WaitingFor, WaitReason
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock
from tests.services.phones import ENVAYA, MEDIC, Phone, get, register, sms, stored, submit

REASONS = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.fixture
def hub(quiet_hub: Hub) -> Hub:
    """A hub that does what is due when the test says so: two who do it pass over each other's."""
    return quiet_hub


async def _explain(hub: Hub, message: Message) -> WaitingFor | None:
    return await hub.waiting.explain(await get(hub, message))


async def _reason(hub: Hub, message: Message) -> str | None:
    waiting = await _explain(hub, message)
    return waiting.reason if waiting else None


async def _until(hub: Hub, message: Message) -> Any:
    waiting = await _explain(hub, message)
    assert waiting is not None
    return waiting.until


async def _change(phone: Phone, **changes: Any) -> None:
    await phone.hub.devices.change(phone.project_id, phone.device.id, changes)


async def _project(hub: Hub) -> str:
    return (await hub.access.ensure_default_project()).id


async def _run_due(hub: Hub) -> None:
    while await hub.caretaker.run_due():
        pass


@pytest.mark.parametrize("reason", list(WaitReason))
def test_every_reason_is_in_the_documentation(reason: WaitReason) -> None:
    assert f"| `{reason}` |" in REASONS


async def test_a_scheduled_message_waits_for_its_time(hub: Hub, clock: FakeClock) -> None:
    later = clock.now + timedelta(hours=1)
    message = await submit(hub, await _project(hub), send_at=later)
    assert (await _reason(hub, message), await _until(hub, message)) == ("send_at", later)


async def test_a_message_that_failed_waits_for_its_next_attempt(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id, max_attempts=2)
    await phone.poll()
    await phone.report(message.id, "FAILED")
    assert await _reason(hub, message) == "retry_at"
    assert await _until(hub, message) == clock.now + timedelta(minutes=1)


async def test_a_message_waits_for_the_device_that_last_talked_with_its_contact(
    hub: Hub, clock: FakeClock
) -> None:
    phone, _ = await register(hub), await register(hub)
    await phone.post(messages=[sms("1", contact="+255710000001")])
    message = await submit(hub, phone.project_id)
    assert await _reason(hub, message) == "preferred_device"
    assert await _until(hub, message) == clock.now + timedelta(minutes=5)


async def test_a_message_does_not_wait_for_a_device_that_may_not_send_it(
    hub: Hub, clock: FakeClock
) -> None:
    """It would be told a time at which nothing happens."""
    phone = await register(hub, send_limit=SendLimit(1, 3600))
    await phone.post(messages=[sms("1", contact="+255710000001")])
    first = await submit(hub, phone.project_id, to="+255710000002")
    assert await phone.poll() == [first.id]
    message = await submit(hub, phone.project_id)
    assert (await get(hub, message)).message.preferred_until is not None
    assert await _reason(hub, message) == "budget"
    assert await _until(hub, message) == clock.now + timedelta(minutes=61)


async def test_a_message_waits_no_longer_than_until_it_expires(hub: Hub, clock: FakeClock) -> None:
    project_id = await _project(hub)
    expires_at = clock.now + timedelta(hours=1)
    message = await submit(hub, project_id, expires_at=expires_at)
    assert (await _reason(hub, message), await _until(hub, message)) == ("no_device", expires_at)
    later = await submit(
        hub, project_id, expires_at=expires_at, send_at=clock.now + timedelta(minutes=9)
    )
    assert await _until(hub, later) == later.send_at


async def test_what_arrived_waits_for_nothing_whatever_another_attempt_does(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id, max_attempts=2)
    await phone.poll()
    await phone.report(message.id, "FAILED")
    clock.advance(minutes=1)
    await _run_due(hub)
    (second,) = await phone.poll()
    assert second != message.id
    await phone.report(message.id, "DELIVERED")
    assert await _explain(hub, message) is None


async def test_who_is_away_is_told_with_when_it_was_seen(hub: Hub, clock: FakeClock) -> None:
    phone, paused = await register(hub), await register(hub)
    message = await submit(hub, phone.project_id, to="+255710000001")
    waiting = await _explain(hub, message)
    assert waiting is not None
    assert waiting.detail == "Devices that may send it: 0 paused, 2 away, never seen."
    await phone.poll(takes_work=False)
    await _change(paused, paused=True)
    clock.advance(hours=1)
    waiting = await _explain(hub, message)
    assert waiting is not None
    seen = "last seen 2026-03-01T12:00:00.000Z"
    assert waiting.detail == f"Devices that may send it: 1 paused, 1 away, {seen}."


@pytest.mark.parametrize("tag", [None, "clinic"])
async def test_a_message_waits_where_its_route_has_no_device(hub: Hub, tag: str | None) -> None:
    other = await hub.access.create_project("other", None)
    await register(hub, project_id=other.id, tags=("clinic",))
    if tag is not None:
        await register(hub)
    message = await submit(hub, await _project(hub), tag=tag)
    assert (await _reason(hub, message), await _until(hub, message)) == ("no_device", None)


async def test_a_message_waits_while_all_its_devices_are_paused(hub: Hub) -> None:
    phone, other = await register(hub, tags=("t",)), await register(hub, tags=("t",))
    message = await submit(hub, phone.project_id, tag="t")
    for one in (phone, other):
        await one.poll(takes_work=False)
        await _change(one, paused=True)
    assert (await _reason(hub, message), await _until(hub, message)) == ("devices_paused", None)
    await _change(other, paused=False)
    assert await _reason(hub, message) == "turn"


async def test_a_message_waits_while_the_devices_that_are_not_paused_are_away(
    hub: Hub, clock: FakeClock
) -> None:
    phone, paused = await register(hub), await register(hub)
    await paused.poll()
    await _change(paused, paused=True)
    message = await submit(hub, phone.project_id)
    assert (await _reason(hub, message), await _until(hub, message)) == ("devices_offline", None)
    await phone.poll(takes_work=False)
    assert await _reason(hub, message) == "turn"
    clock.advance(minutes=11)
    assert await _reason(hub, message) == "devices_offline"


async def test_a_message_to_one_device_waits_for_that_one(hub: Hub) -> None:
    phone, other = await register(hub), await register(hub)
    await other.poll()
    message = await submit(hub, phone.project_id, device=phone.device)
    assert await _reason(hub, message) == "devices_offline"
    await _change(phone, paused=True)
    assert await _reason(hub, message) == "devices_paused"


async def test_a_message_waits_until_the_first_device_has_room_in_its_budget(
    hub: Hub, clock: FakeClock
) -> None:
    slow = await register(hub, send_limit=SendLimit(1, 3600))
    quick = await register(hub, send_limit=SendLimit(1, 600))
    for phone in (slow, quick):
        first = await submit(hub, phone.project_id, device=phone.device)
        await phone.poll()
        await phone.report(first.id, "SENT")
    message = await submit(hub, slow.project_id, to="+255710000007")
    assert await _reason(hub, message) == "budget"
    assert await _until(hub, message) == clock.now + timedelta(minutes=11)
    clock.advance(minutes=11)
    await quick.poll(takes_work=False)
    assert await _reason(hub, message) == "turn"
    assert await quick.poll() == [message.id]


async def test_a_message_to_one_number_too_many_waits_for_the_next_month(
    hub: Hub, clock: FakeClock
) -> None:
    clock.advance(days=290)
    phone = await register(hub, send_limit=SendLimit(100, 3600, recipients_per_month=1))
    first = await submit(hub, phone.project_id, to="+255710000001", device=phone.device)
    assert await phone.poll() == [first.id]
    known = await submit(hub, phone.project_id, to="+255710000001", device=phone.device)
    assert await _reason(hub, known) == "turn"
    stranger = await submit(hub, phone.project_id, to="+255710000002", device=phone.device)
    assert await _reason(hub, stranger) == "recipients"
    assert (await _until(hub, stranger)).isoformat() == "2027-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("protocol", "minutes"), [(MEDIC, 5), (ENVAYA, 10)], ids=["medic", "envaya"]
)
async def test_what_a_phone_was_given_waits_for_a_word_of_it(
    hub: Hub, clock: FakeClock, protocol: Protocol, minutes: int
) -> None:
    phone = await register(hub, protocol)
    message = await submit(hub, phone.project_id)
    await phone.poll()
    given_at = clock.now
    assert await _reason(hub, message) == "phone_report"
    assert await _until(hub, message) == given_at + timedelta(minutes=minutes)
    clock.advance(minutes=minutes)
    assert (await _reason(hub, message), await _until(hub, message)) == ("phone_report", None)
    await phone.poll(takes_work=False)
    await _run_due(hub)
    assert await phone.poll() == [message.id]
    assert await _until(hub, message) == clock.now + timedelta(minutes=10)


@pytest.mark.parametrize(
    ("protocol", "word", "hours"),
    [(MEDIC, "UNSENT", 24), (MEDIC, "PENDING", 24), (ENVAYA, "failed", 26)],
)
async def test_what_a_phone_works_on_waits_for_its_next_word(
    hub: Hub, clock: FakeClock, protocol: Protocol, word: str, hours: int
) -> None:
    phone = await register(hub, protocol)
    message = await submit(hub, phone.project_id)
    await phone.poll()
    clock.advance(minutes=1)
    await phone.report(message.id, word)
    assert await _reason(hub, message) == "phone_report"
    assert await _until(hub, message) == clock.now + timedelta(hours=hours)


async def test_what_was_asked_back_waits_for_the_phone_s_answer(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    message = await submit(hub, phone.project_id)
    await phone.poll(takes_commands=True)
    await hub.outbox.cancel(phone.project_id, message.id)
    assert await _reason(hub, message) == "cancel_confirmation"
    assert await _until(hub, message) == clock.now + timedelta(minutes=10)
    await phone.report(message.id, "failed")
    assert await _reason(hub, message) == "cancel_confirmation"
    clock.advance(minutes=10)
    assert await _reason(hub, message) == "cancel_confirmation"
    assert await _until(hub, message) == clock.now + timedelta(hours=25, minutes=50)
    await phone.report(message.id, "cancelled")
    assert await _explain(hub, message) is None


async def test_what_was_sent_waits_for_its_delivery_where_the_app_tells_of_that(hub: Hub) -> None:
    medic, envaya = await register(hub), await register(hub, ENVAYA)
    for phone, word, reason in ((medic, "SENT", "delivery_report"), (envaya, "sent", None)):
        message = await submit(hub, phone.project_id, device=phone.device)
        await phone.poll()
        await phone.report(message.id, word)
        assert await _reason(hub, message) == reason


@pytest.mark.parametrize(
    "status",
    [Status.DELIVERED, Status.FAILED, Status.UNCERTAIN, Status.CANCELLED, Status.EXPIRED],
)
async def test_what_has_ended_waits_for_nothing(hub: Hub, clock: FakeClock, status: Status) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id, expires_at=clock.now + timedelta(days=1))
    if status is Status.CANCELLED:
        await hub.outbox.cancel(phone.project_id, message.id)
    elif status is not Status.EXPIRED:
        await phone.poll()
    if status in {Status.DELIVERED, Status.FAILED}:
        await phone.report(message.id, status.name)
    clock.advance(days=1)
    assert status is not Status.EXPIRED or await _explain(hub, message) is None
    await _run_due(hub)
    assert (await get(hub, message)).message.status is status
    assert await _explain(hub, message) is None


async def test_an_inbound_message_waits_for_nothing(hub: Hub) -> None:
    phone = await register(hub)
    await phone.post(messages=[sms("1")])
    (details,) = await stored(hub, phone.project_id)
    assert await hub.waiting.explain(details) is None
