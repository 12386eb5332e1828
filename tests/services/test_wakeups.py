"""Held polls end the moment there is work for them, and never for somebody else's."""

import asyncio
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.pool import QueuePool

from gateway_hub.domain.devices import Device, Protocol, SendLimit
from gateway_hub.domain.errors import UnavailableError
from gateway_hub.domain.messages import MessageDraft, Route
from gateway_hub.services.hub import Hub
from gateway_hub.services.outbox import Outbox
from gateway_hub.services.wakeups import Waiter, Wakeups
from gateway_hub.services.work_hints import WorkHints
from gateway_hub.storage.database import Database
from gateway_hub.storage.work import OpenWork
from tests.conftest import FakeClock
from tests.services.phones import ENVAYA, MEDIC, Phone, register, submit

_NEVER = 30.0
_SOON = 3.0


def _wakeups(clock: FakeClock) -> Wakeups:
    nowhere = Database("sqlite+aiosqlite:///nowhere.sqlite3")
    return Wakeups(WorkHints(nowhere, clock))


def _device(clock: FakeClock, *tags: str) -> Device:
    return Device("d", "p", "phone", MEDIC, clock.now, clock.now, tags=tags)


@pytest.mark.parametrize("queue", ["device:d", "any:p", "tag:p:clinic", "tag:p:x"])
async def test_a_waiter_is_woken_by_each_queue_its_device_serves(
    clock: FakeClock, queue: str
) -> None:
    wakeups = _wakeups(clock)
    with wakeups.listen(_device(clock, "clinic", "x")) as waiter:
        wakeups.wake(queue)
        async with asyncio.timeout(_SOON):
            await waiter.wait(_NEVER)


@pytest.mark.parametrize("queue", ["device:e", "any:q", "tag:p:school", "tag:q:clinic", ""])
async def test_a_waiter_is_not_woken_by_another_queue(clock: FakeClock, queue: str) -> None:
    wakeups = _wakeups(clock)
    with wakeups.listen(_device(clock, "clinic")) as waiter:
        wakeups.wake(queue)
        waiting = asyncio.create_task(waiter.wait(_NEVER))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        waiting.cancel()


async def test_a_wake_between_two_waits_is_not_lost(clock: FakeClock) -> None:
    wakeups = _wakeups(clock)
    with wakeups.listen(_device(clock)) as waiter:
        await waiter.wait(0)
        wakeups.wake("any:p")
        async with asyncio.timeout(_SOON):
            await waiter.wait(_NEVER)
        started = time.monotonic()
        await waiter.wait(0.05)
        assert time.monotonic() - started >= 0.04


async def _woken(waiters: list[Waiter]) -> list[int]:
    """Return which of *waiters* have been woken since they were last asked about."""
    waits = [asyncio.ensure_future(waiter.wait(_NEVER)) for waiter in waiters]
    await asyncio.sleep(0)
    found = [number for number, wait in enumerate(waits) if wait.done()]
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    return found


async def test_as_many_are_woken_as_messages_came_and_each_in_turn(clock: FakeClock) -> None:
    wakeups = _wakeups(clock)
    with ExitStack() as stack:
        devices = [replace(_device(clock), id=str(number)) for number in range(4)]
        waiters = [stack.enter_context(wakeups.listen(device)) for device in devices]
        wakeups.wake("any:p")
        assert await _woken(waiters) == [0]
        wakeups.wake("any:p", 2)
        assert await _woken(waiters) == [1, 2]
        wakeups.wake("any:p", 3)
        assert await _woken(waiters) == [0, 1, 3]
        wakeups.wake("any:p", 100)
        assert await _woken(waiters) == [0, 1, 2, 3]
    assert dict(wakeups._waiters) == {}


async def test_of_a_phone_that_asks_twice_both_polls_are_woken(clock: FakeClock) -> None:
    """One of them may be dead without anyone having noticed."""
    wakeups = _wakeups(clock)
    with wakeups.listen(_device(clock)) as first, wakeups.listen(_device(clock)) as second:
        wakeups.wake("device:d")
        assert await _woken([first, second]) == [0, 1]


async def test_nobody_is_woken_who_has_gone(clock: FakeClock) -> None:
    wakeups = _wakeups(clock)
    with wakeups.listen(_device(clock)) as staying:
        with wakeups.listen(_device(clock)):
            pass
        wakeups.wake("any:p")
        assert await _woken([staying]) == [0]


async def test_a_paused_phone_does_not_stand_in_the_way_of_another(clock: FakeClock) -> None:
    wakeups = _wakeups(clock)
    paused = replace(_device(clock), id="paused", paused=True)
    with wakeups.listen(paused) as waiting, wakeups.listen(_device(clock)) as served:
        wakeups.wake("any:p")
        assert await _woken([waiting, served]) == [1]
        wakeups.wake("device:paused")
        assert await _woken([waiting, served]) == [0]


async def test_stopping_wakes_everyone(clock: FakeClock) -> None:
    wakeups = _wakeups(clock)
    with wakeups.listen(_device(clock)) as waiter:
        wakeups.stop()
        async with asyncio.timeout(_SOON):
            await waiter.wait(_NEVER)
    assert wakeups.stopping


def _connections_in_use(hub: Hub) -> int:
    pool = hub.database._reader.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


async def _hold(phone: Phone, seconds: float = _NEVER) -> asyncio.Task[bool]:
    """Return a held poll of *phone*, once it waits."""
    task = asyncio.create_task(phone.hub.phones.wait_for_work(phone.device, seconds=seconds))
    async with asyncio.timeout(_SOON):
        while not phone.hub.wakeups._waiters or _connections_in_use(phone.hub):
            await asyncio.sleep(0.005)
    return task


async def _ends(task: asyncio.Task[bool]) -> bool:
    async with asyncio.timeout(_SOON):
        return await task


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_held_poll_ends_when_a_message_for_it_is_queued(
    hub: Hub, protocol: Protocol
) -> None:
    phone = await register(hub, protocol, tags=("clinic",))
    for tag in (None, "clinic"):
        held = await _hold(phone)
        message = await submit(hub, phone.project_id, tag=tag)
        assert await _ends(held) is True
        assert await phone.poll() == [message.id]


async def test_a_held_poll_is_not_ended_by_anothers_message(hub: Hub) -> None:
    phone, neighbour = await register(hub), await register(hub)
    other = await hub.access.create_project("other", None)
    held = await _hold(phone)
    await submit(hub, phone.project_id, device=neighbour.device)
    await submit(hub, phone.project_id, tag="clinic")
    await submit(hub, other.id)
    done, _ = await asyncio.wait([held], timeout=0.2)
    assert not done
    await submit(hub, phone.project_id, device=phone.device)
    assert await _ends(held) is True


async def test_a_held_poll_ends_when_a_scheduled_message_is_due(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    await submit(hub, phone.project_id, send_at=clock.now + timedelta(hours=1))
    held = await _hold(phone)
    clock.advance(hours=1)
    while await hub.caretaker.run_due():
        pass
    assert await _ends(held) is True


async def test_a_poll_is_not_held_when_there_is_work_or_no_time(hub: Hub) -> None:
    phone = await register(hub)
    assert await hub.phones.wait_for_work(phone.device, seconds=0) is False
    started = time.monotonic()
    assert await hub.phones.wait_for_work(phone.device, seconds=0.05) is False
    assert 0.04 <= time.monotonic() - started < _SOON
    await submit(hub, phone.project_id)
    async with asyncio.timeout(_SOON):
        assert await hub.phones.wait_for_work(phone.device, seconds=_NEVER) is True
    assert dict(hub.wakeups._waiters) == {}


async def test_held_polls_hold_no_connection_and_end_when_the_hub_stops(hub: Hub) -> None:
    phones = [await register(hub) for _ in range(20)]
    held = [await _hold(phone) for phone in phones]
    assert _connections_in_use(hub) == 0
    assert await hub.caretaker.run_due() == 0
    await hub.stop()
    assert [await _ends(task) for task in held] == [False] * 20


async def test_a_poll_that_is_just_reading_when_the_hub_stops_leaves_nothing_open(
    hub: Hub,
) -> None:
    phones = [await register(hub) for _ in range(20)]
    polls = [
        asyncio.create_task(hub.phones.wait_for_work(phone.device, seconds=_NEVER))
        for phone in phones
    ]
    while not _connections_in_use(hub):
        await asyncio.sleep(0)
    await hub.stop()
    assert _connections_in_use(hub) == 0
    for poll in polls:
        with suppress(UnavailableError):
            assert await _ends(poll) is False


async def test_a_held_poll_that_is_given_up_is_forgotten(hub: Hub) -> None:
    phone = await register(hub)
    held = await _hold(phone)
    held.cancel()
    await asyncio.wait([held])
    assert dict(hub.wakeups._waiters) == {}


async def test_a_held_poll_asks_the_database_nothing_until_there_may_be_something(
    hub: Hub,
) -> None:
    phone, neighbour = await register(hub), await register(hub)
    held = await _hold(phone)
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(hub.database._reader.sync_engine, "before_cursor_execute", note)
    await submit(hub, phone.project_id, device=neighbour.device)
    await hub.following.refresh()
    assert not [statement for statement in asked if "messages.queue IN" in statement]
    await submit(hub, phone.project_id, device=phone.device)
    assert await _ends(held) is True


async def test_hundreds_of_held_polls_take_no_task_beside_their_own_and_no_connection(
    hub: Hub, clock: FakeClock
) -> None:
    project = await hub.access.ensure_default_project()
    await hub.following.refresh()
    before = asyncio.all_tasks()
    held = [
        asyncio.create_task(hub.phones.wait_for_work(device, seconds=_NEVER))
        for device in (
            Device(f"d{number}", project.id, "phone", ENVAYA, clock.now, clock.now)
            for number in range(500)
        )
    ]
    while hub.wakeups.waiting < 500:
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks() - before - set(held)) < 10
    async with asyncio.timeout(_SOON):
        while _connections_in_use(hub):
            await asyncio.sleep(0.005)
    hub.wakeups.stop()
    assert await asyncio.gather(*held) == [False] * 500


async def test_one_message_for_any_of_many_phones_ends_one_held_poll(hub: Hub) -> None:
    phones = [await register(hub) for _ in range(5)]
    held = [await _hold(phone) for phone in phones]
    message = await submit(hub, phones[0].project_id)
    done, pending = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(pending)) == (1, 4)
    first = phones[held.index(done.pop())]
    answer = await first.hub.phones.collect(first.device, None, patience_seconds=5)
    assert [offer.wire_id for offer in answer.offers] == [message.id]
    await asyncio.wait(pending, timeout=0.2)
    assert [task.done() for task in pending] == [False] * 4


async def test_a_phone_that_was_served_wakes_the_next_until_the_queue_is_empty(
    hub: Hub,
) -> None:
    limit = SendLimit(segments=1, seconds=60)
    phones = [await register(hub, send_limit=limit) for _ in range(5)]
    await hub.following.refresh()
    served: list[str] = []

    async def hold(phone: Phone) -> None:
        if await hub.phones.wait_for_work(phone.device, seconds=_NEVER):
            answer = await hub.phones.collect(phone.device, None, patience_seconds=5)
            served.extend(offer.wire_id for offer in answer.offers)

    polls = [asyncio.create_task(hold(phone)) for phone in phones]
    while hub.wakeups.waiting < 5:
        await asyncio.sleep(0)
    messages = [await _submit_unnoticed(hub, phones[0].project_id) for _ in range(3)]
    await hub.following.refresh()
    async with asyncio.timeout(_SOON):
        while len(served) < 3:
            await asyncio.sleep(0.005)
    assert sorted(served) == sorted(messages)
    await asyncio.wait(polls, timeout=0.2)
    assert sum(poll.done() for poll in polls) == 3


async def test_a_phone_that_hung_up_when_it_was_woken_wakes_the_next(hub: Hub) -> None:
    phone, other = await register(hub), await register(hub)
    hung_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    gone = asyncio.create_task(
        hub.phones.wait_for_work(phone.device, seconds=_NEVER, hung_up=hung_up)
    )
    while not hub.wakeups.waiting:
        await asyncio.sleep(0)
    held = await _hold(other)
    await _submit_unnoticed(hub, phone.project_id)
    hub.wakeups.rouse(f"any:{phone.project_id}")
    hung_up.set_result(None)
    assert await _ends(gone) is False
    assert await _ends(held) is True


async def _submit_unnoticed(hub: Hub, project_id: str) -> str:
    """Return a message that was queued in a process of which nothing is heard."""
    elsewhere = Outbox(
        hub.database, hub.directory, hub.states, wakeups=_wakeups(FakeClock()), clock=FakeClock()
    )
    draft = MessageDraft("+255710000001", "hi", Route())
    return (await elsewhere.submit(project_id, draft)).id


async def test_a_held_poll_ends_the_moment_a_lease_of_its_phone_does(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    message = await submit(hub, phone.project_id)
    assert await phone.poll() == [message.id]
    clock.advance(minutes=10, milliseconds=-50)
    await hub.following.refresh()
    held = await _hold(phone)
    clock.advance(milliseconds=50)
    assert await _ends(held) is True
    answer = await hub.phones.collect(phone.device, None, patience_seconds=5)
    assert [offer.wire_id for offer in answer.offers] == [message.id]


async def test_a_lease_that_another_process_knows_of_ends_a_held_poll_as_well(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    await submit(hub, phone.project_id)
    assert len(await phone.poll()) == 1
    known, hub.hints._known = hub.hints._known, OpenWork()
    clock.advance(minutes=10, milliseconds=-50)
    held = await _hold(phone)
    assert phone.device.id in known.held
    await hub.following.refresh()
    clock.advance(milliseconds=50)
    assert await _ends(held) is True


@pytest.mark.parametrize("change", [{"paused": False}, {"tags": ("clinic",)}])
async def test_a_held_poll_ends_when_its_phone_may_take_what_it_might_not(
    hub: Hub, change: dict[str, Any]
) -> None:
    phone = await register(hub)
    await hub.devices.change(phone.project_id, phone.device.id, {"paused": "paused" in change})
    view = await hub.devices.get(phone.project_id, phone.device.id)
    message = await submit(hub, phone.project_id, tag="clinic" if "tags" in change else None)
    await hub.following.refresh()
    held = await _hold(replace(phone, device=view.device))
    await hub.devices.change(phone.project_id, phone.device.id, change)
    assert await _ends(held) is True
    answer = await hub.phones.collect(view.device, None, patience_seconds=5)
    assert [offer.wire_id for offer in answer.offers] == [message.id]
