"""Held polls end the moment there is work for them, and never for somebody else's."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import pytest
from sqlalchemy.pool import QueuePool

from gateway_hub.domain.devices import Device, Protocol
from gateway_hub.domain.errors import UnavailableError
from gateway_hub.services.hub import Hub
from gateway_hub.services.wakeups import Wakeups
from tests.conftest import FakeClock
from tests.services.phones import MEDIC, Phone, register, submit

_NEVER = 30.0
_SOON = 3.0


def _device(clock: FakeClock, *tags: str) -> Device:
    return Device("d", "p", "phone", MEDIC, clock.now, clock.now, tags=tags)


@pytest.mark.parametrize("queue", ["device:d", "any:p", "tag:p:clinic", "tag:p:x"])
async def test_a_waiter_is_woken_by_each_queue_its_device_serves(
    clock: FakeClock, queue: str
) -> None:
    wakeups = Wakeups()
    with wakeups.listen(_device(clock, "clinic", "x")) as waiter:
        wakeups.wake(queue)
        async with asyncio.timeout(_SOON):
            await waiter.wait(_NEVER)


@pytest.mark.parametrize("queue", ["device:e", "any:q", "tag:p:school", "tag:q:clinic", ""])
async def test_a_waiter_is_not_woken_by_another_queue(clock: FakeClock, queue: str) -> None:
    wakeups = Wakeups()
    with wakeups.listen(_device(clock, "clinic")) as waiter:
        wakeups.wake(queue)
        waiting = asyncio.create_task(waiter.wait(_NEVER))
        done, _ = await asyncio.wait([waiting], timeout=0.05)
        assert not done
        waiting.cancel()


async def test_a_wake_between_two_waits_is_not_lost(clock: FakeClock) -> None:
    wakeups = Wakeups()
    with wakeups.listen(_device(clock)) as waiter:
        await waiter.wait(0)
        wakeups.wake("any:p")
        async with asyncio.timeout(_SOON):
            await waiter.wait(_NEVER)
        started = time.monotonic()
        await waiter.wait(0.05)
        assert time.monotonic() - started >= 0.04


async def test_all_who_wait_for_a_queue_are_woken_and_nobody_who_has_gone(
    clock: FakeClock,
) -> None:
    wakeups = Wakeups()
    device = _device(clock)
    with wakeups.listen(device) as first, wakeups.listen(device) as second:
        with wakeups.listen(device):
            pass
        wakeups.wake("any:p")
        async with asyncio.timeout(_SOON):
            await asyncio.gather(first.wait(_NEVER), second.wait(_NEVER))
    assert dict(wakeups._waiters) == {}


async def test_stopping_wakes_everyone(clock: FakeClock) -> None:
    wakeups = Wakeups()
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
