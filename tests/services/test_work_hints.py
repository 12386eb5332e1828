"""Whether to ask for work is known without asking, and never wrongly denied for long."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from gateway_hub.domain.devices import PhoneFacts
from gateway_hub.domain.messages import IfUncertain
from gateway_hub.services.hub import Hub
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, Phone, register, submit, told


async def _settled(hub: Hub) -> None:
    await hub.hints.refresh()


async def test_before_the_database_was_read_there_may_be_work(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    await _settled(hub)
    assert not hub.hints.may_have_work(phone.device)
    clock.advance(seconds=21)
    assert hub.hints.may_have_work(phone.device)


@pytest.mark.parametrize("route", ["device", "tag", "any"])
async def test_a_queued_message_is_known_of_at_once_to_those_who_may_send_it(
    hub: Hub, route: str
) -> None:
    phone = await register(hub, tags=("clinic",))
    other = await register(hub)
    await _settled(hub)
    device = phone.device if route == "device" else None
    await submit(hub, phone.project_id, device=device, tag="clinic" if route == "tag" else None)
    assert hub.hints.may_have_work(phone.device)
    assert hub.hints.may_have_work(other.device) == (route == "any")


async def test_a_paused_device_is_not_sent_to_ask_for_what_is_queued(hub: Hub) -> None:
    phone = await register(hub)
    await _settled(hub)
    await submit(hub, phone.project_id)
    view = await hub.devices.change(phone.project_id, phone.device.id, {"paused": True})
    assert not hub.hints.may_have_work(view.device)


async def test_a_message_that_another_process_queued_is_known_of_after_the_next_reading(
    make_hub: MakeHub, clock: FakeClock
) -> None:
    hub = await make_hub()
    if hub.database.is_sqlite:
        pytest.skip("SQLite has one process")
    other = await make_hub()
    phone = await register(hub)
    await _settled(other)
    await submit(hub, phone.project_id)
    await other.hints.refresh()
    assert other.hints.may_have_work(phone.device)


async def test_what_is_held_is_asked_for_again_when_its_lease_ends(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    await submit(hub, phone.project_id)
    assert await phone.poll()
    await _settled(hub)
    assert not hub.hints.may_have_work(phone.device)
    assert hub.hints.may_have_work(phone.device, "a request that may be a repeat")
    clock.advance(minutes=5)
    await _settled(hub)
    assert hub.hints.may_have_work(phone.device)


async def test_what_was_reported_sent_is_not_held_any_more(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    await submit(hub, phone.project_id)
    (wire_id,) = await phone.poll()
    await phone.report(wire_id, "SENT")
    clock.advance(hours=1)
    await _settled(hub)
    assert not hub.hints.may_have_work(phone.device)


async def _asked_back(hub: Hub) -> Phone:
    phone = await register(hub, ENVAYA)
    await phone.post(takes_commands=True)
    message = await submit(hub, phone.project_id)
    assert await phone.poll()
    await hub.outbox.cancel(message.project_id, message.id)
    return phone


async def test_who_is_to_give_a_message_back_is_told_at_once(hub: Hub) -> None:
    phone = await _asked_back(hub)
    assert hub.hints.may_have_work(phone.device)
    assert (await phone.post(takes_commands=True)).cancels
    await _settled(hub)
    assert hub.hints.may_have_work(phone.device)


async def test_a_message_requeued_by_a_report_is_known_of_at_once(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    await phone.post(takes_commands=True)
    await submit(hub, phone.project_id, max_attempts=2, if_uncertain=IfUncertain.RESEND)
    (wire_id,) = await phone.poll()

    async def ask_back(tx: Transaction) -> None:
        until = clock.now + timedelta(minutes=10)
        await attempt_rows.ask_back(tx, wire_id, now=clock.now, lease_until=until)

    await hub.database.write(ask_back)
    await _settled(hub)
    await phone.post(reports=[told(wire_id, "cancelled")], takes_work=False)
    assert hub.hints.may_have_work(phone.device)


async def test_an_idle_poll_costs_no_query(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    await _settled(hub)
    statements = _statements_of(hub)
    assert not await phone.poll()
    assert not await phone.hub.phones.wait_for_work(phone.device, seconds=0)
    assert statements == []


def _statements_of(hub: Hub) -> list[str]:
    statements: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    for engine in (hub.database._reader, hub.database._writer):
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    return statements


async def test_facts_are_noted_without_a_query_either(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    await _settled(hub)
    statements = _statements_of(hub)
    hub.states.note(phone.device, PhoneFacts(battery_percent=40))
    clock.advance(seconds=5)
    await phone.poll()
    assert statements == []
    assert hub.states.current(phone.device).battery_percent == 40
