"""Devices that come and go are told of, once, whichever process saw it."""

import asyncio
import json
from typing import Any

from gateway_hub.domain.devices import PhoneFacts
from gateway_hub.domain.phone_posts import PhonePost
from gateway_hub.services.hub import Hub
from gateway_hub.storage import events as event_rows
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock
from tests.services.conftest import MakeQuietHub
from tests.services.phones import ENVAYA, Phone, register


async def _poll(hub: Hub, phone: Phone, **facts: Any) -> None:
    """Let *phone* ask *hub* for work and tell of itself."""
    await hub.phones.exchange(
        phone.device, PhonePost(facts=PhoneFacts(**facts)), patience_seconds=5
    )


async def _told(hub: Hub) -> list[tuple[str, bool, int | None]]:
    """Return what the log tells of devices: type, whether it is there, its battery."""
    await hub.publisher.publish_all()

    async def query(tx: Transaction) -> list[tuple[str, bool, int | None]]:
        found = await event_rows.list_after(tx, 0, limit=1000)
        data = [(item, json.loads(item.data)) for item in found]
        assert all(item.device_id == told["id"] for item, told in data)
        return [(item.type, told["online"], told["battery_percent"]) for item, told in data]

    return await hub.database.read(query)


async def _hubs(make_quiet_hub: MakeQuietHub, database_url: str) -> list[Hub]:
    return [await make_quiet_hub() for _ in range(1 if "sqlite" in database_url else 2)]


async def _poll_for(hubs: list[Hub], phone: Phone, clock: FakeClock, minutes: int) -> None:
    """Let *phone* poll twice a minute, now here, now there."""
    for number in range(2 * minutes):
        clock.advance(seconds=30)
        hub = hubs[number % len(hubs)]
        await _poll(hub, phone, battery_percent=80)
        await hub.states.flush()
        for one in hubs:
            await one.states.follow()
            await one.presence.tell_of_absent()


async def test_a_phone_that_comes_and_goes_is_told_of_once_each_time(
    make_quiet_hub: MakeQuietHub, database_url: str, clock: FakeClock
) -> None:
    hubs = await _hubs(make_quiet_hub, database_url)
    phone = await register(hubs[0], ENVAYA)
    there, gone = ("device.online", True, 80), ("device.offline", False, 80)
    await _poll_for(hubs, phone, clock, minutes=10)
    assert await _told(hubs[0]) == [there]
    for _ in range(10):
        clock.advance(seconds=30)
        await asyncio.gather(*(hub.presence.tell_of_absent() for hub in hubs))
    assert await _told(hubs[0]) == [there, gone]
    await _poll_for(hubs, phone, clock, minutes=10)
    assert await _told(hubs[-1]) == [there, gone, there]


async def test_two_processes_that_see_a_new_phone_at_once_tell_of_it_once(
    make_quiet_hub: MakeQuietHub, database_url: str
) -> None:
    hubs = await _hubs(make_quiet_hub, database_url)
    phone = await register(hubs[0])
    for hub in hubs:
        await _poll(hub, phone)
    await asyncio.gather(*(hub.states.flush() for hub in hubs))
    assert await _told(hubs[0]) == [("device.online", True, None)]


async def test_how_a_phone_fares_is_told_in_steps(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    hub = await make_quiet_hub()
    phone = await register(hub, ENVAYA)
    for battery in (80, 79, 74, 70, 69, 66, 14, 13):
        clock.advance(seconds=60)
        await _poll(hub, phone, battery_percent=battery)
        await hub.states.flush()
    assert await _told(hub) == [
        ("device.online", True, 80),
        ("device.status", True, 70),
        ("device.status", True, 14),
    ]


async def test_phones_are_not_away_because_the_hub_was(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    hub = await make_quiet_hub()
    phone = await register(hub)
    await _poll_for([hub], phone, clock, minutes=2)
    clock.advance(hours=2)
    restarted = await make_quiet_hub() if not hub.database.is_sqlite else _restarted(hub, clock)
    await restarted.presence.tell_of_absent()
    clock.advance(seconds=60)
    await _poll(restarted, phone)
    await restarted.states.flush()
    await restarted.presence.tell_of_absent()
    assert [told[0] for told in await _told(restarted)] == ["device.online"]
    clock.advance(hours=1)
    await restarted.presence.tell_of_absent()
    assert [told[0] for told in await _told(restarted)] == ["device.online", "device.offline"]


def _restarted(hub: Hub, clock: FakeClock) -> Hub:
    """Return *hub* as if it had begun now: SQLite serves one at a time."""
    hub.states._began_at = clock()
    hub.presence._told.clear()
    return hub


async def test_a_deleted_phone_is_not_told_of(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    hub = await make_quiet_hub()
    phone = await register(hub)
    await _poll(hub, phone)
    await hub.states.flush()
    await hub.devices.delete(phone.project_id, phone.device.id)
    clock.advance(hours=1)
    await hub.presence.tell_of_absent()
    assert [told[0] for told in await _told(hub)] == ["device.online"]
