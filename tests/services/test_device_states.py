"""What phones tell of themselves, and which of their posts may be recordings played back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from gateway_hub.domain.devices import DeviceState, PhoneFacts
from gateway_hub.domain.phone_posts import PhonePost
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, PATIENCE, Phone, register, sms, stored, submit

FACTS: dict[str, Any] = {
    "app_version": "3.0.1",
    "model": "samsung GT-S5570",
    "battery_percent": 77,
    "power": "usb",
    "network": "WIFI",
    "settings_version": 12,
    "send_limit_segments": 500,
}


async def _tell(phone: Phone, **facts: Any) -> None:
    post = PhonePost(facts=PhoneFacts(**facts))
    await phone.hub.phones.exchange(phone.device, post, patience_seconds=PATIENCE)


async def _state(hub: Hub, phone: Phone) -> DeviceState:
    return (await hub.devices.get(phone.project_id, phone.device.id)).state


async def test_what_a_phone_tells_is_known_at_once_and_what_it_leaves_out_stays(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    assert await _state(hub, phone) == DeviceState()
    await _tell(phone, **FACTS, status="battery_low")
    told = DeviceState(last_seen_at=clock.now, last_status="battery_low", **FACTS)
    assert await _state(hub, phone) == told
    clock.advance(minutes=1)
    await _tell(phone)
    told = replace(told, poll_gap_ms=60_000)
    assert await _state(hub, phone) == replace(told, last_seen_at=clock.now)
    await _tell(phone, battery_percent=0, power="none")
    last = replace(told, last_seen_at=clock.now, battery_percent=0, power="none")
    assert await _state(hub, phone) == last
    view = await hub.devices.get(phone.project_id, phone.device.id)
    assert view.device.effective_send_limit.segments == 500


async def test_what_was_flushed_is_known_to_the_next_process(
    make_hub: MakeHub, database_url: str, clock: FakeClock
) -> None:
    first = await make_hub()
    phone = await register(first, ENVAYA)
    await _tell(phone, **FACTS, phone_clock_at=clock.now + timedelta(days=365))
    known = await _state(first, phone)
    await first.stop()
    second = await make_hub()
    assert await _state(second, phone) == known
    assert known.clock_skew_ms == 365 * 86_400_000
    assert known.phone_clock_high_at == clock.now + timedelta(days=365)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.postgres
async def test_the_newest_of_what_two_processes_know_is_shown(
    make_hub: MakeHub, database_url: str, clock: FakeClock
) -> None:
    first, second = await make_hub(), await make_hub()
    phone = await register(first, ENVAYA)
    await _tell(phone, battery_percent=10)
    await first.states.flush()
    clock.advance(minutes=1)
    there = replace(phone, hub=second)
    await _tell(there, battery_percent=90)
    await second.states.flush()
    assert (await _state(first, phone)).battery_percent == 90
    clock.advance(minutes=1)
    await _tell(phone, battery_percent=80)
    assert (await _state(first, phone)).battery_percent == 80


async def test_what_could_not_be_written_is_written_the_next_time(
    make_hub: MakeHub, database_url: str
) -> None:
    hub = await make_hub()
    phone = await register(hub, ENVAYA)
    engine = hub.database._writer.sync_engine

    def fail(_connection: object) -> None:
        raise RuntimeError("no commit today")

    await hub.states.flush()
    await _tell(phone, battery_percent=10)
    event.listen(engine, "commit", fail)
    with pytest.raises(RuntimeError):
        await hub.states.flush()
    event.remove(engine, "commit", fail)
    await hub.stop()
    assert (await _state(await make_hub(), phone)).battery_percent == 10


@pytest.mark.parametrize("skew", [timedelta(days=-20_000), timedelta(0), timedelta(days=400)])
async def test_a_phone_whose_clock_is_off_but_runs_is_served(
    hub: Hub, clock: FakeClock, skew: timedelta
) -> None:
    phone = await register(hub, ENVAYA)
    for number in range(4):
        await submit(hub, phone.project_id)
        assert len(await phone.poll(clock=clock.now + skew, request_key=str(number))) == 1
        clock.advance(seconds=60)
    state = await _state(hub, phone)
    assert state.clock_skew_ms == skew // timedelta(milliseconds=1)


async def test_a_phone_at_the_end_of_time_is_served(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    last = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    await phone.poll(clock=last)
    clock.advance(hours=1)
    await phone.poll(clock=last)
    assert (await _state(hub, phone)).phone_clock_high_at == last


async def _is_served(phone: Phone, clock: FakeClock, behind: timedelta, key: str) -> bool:
    """Say whether a post with the phone's clock so far behind is given work."""
    await submit(phone.hub, phone.project_id)
    return await phone.poll(clock=clock.now - behind, request_key=key) != []


@pytest.mark.parametrize(
    ("seconds", "served"), [(-3600, True), (0, True), (120, True), (121, False), (86_400, False)]
)
async def test_a_post_with_a_clock_set_back_is_given_no_work(
    hub: Hub, clock: FakeClock, seconds: int, served: bool
) -> None:
    phone = await register(hub, ENVAYA)
    assert await _is_served(phone, clock, timedelta(0), "first")
    assert await _is_served(phone, clock, timedelta(seconds=seconds), "second") is served


async def test_a_stale_post_is_taken_in_but_changes_nothing_known_of_the_phone(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    await _tell(phone, phone_clock_at=clock.now, battery_percent=50)
    before = await _state(hub, phone)
    await submit(hub, phone.project_id)
    clock.advance(minutes=5)
    hour_ago = clock.now - timedelta(hours=1)
    answer = await phone.post(clock=hour_ago, messages=[sms("1")], request_key="old")
    assert answer.offers == ()
    assert len(await stored(hub, phone.project_id, search="hello")) == 1
    assert await _state(hub, phone) == before


async def test_a_phone_whose_clock_was_set_back_is_believed_after_three_posts(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    assert await _is_served(phone, clock, timedelta(0), "before")
    year = timedelta(days=365)
    served = []
    for number in range(4):
        clock.advance(seconds=60)
        served.append(await _is_served(phone, clock, year, f"after {number}"))
    assert served == [False, False, True, True]
    clock.advance(seconds=60)
    assert await _is_served(phone, clock, timedelta(0), "set right again")


Recording = list[tuple[datetime, str]]


async def _record(phone: Phone, clock: FakeClock, posts: int) -> Recording:
    """Let the phone post that often, a minute apart; return what an eavesdropper has."""
    recording: Recording = []
    for number in range(posts):
        recording.append((clock.now, f"signature {number}"))
        await phone.poll(clock=clock.now, request_key=recording[-1][1])
        clock.advance(seconds=60)
    return recording


def _burst(_clock: FakeClock) -> None:
    """All at once."""


def _slowly(clock: FakeClock) -> None:
    clock.advance(seconds=300)


@pytest.mark.parametrize("pause", [_burst, _slowly])
async def test_no_recordings_played_back_are_given_work(
    hub: Hub, clock: FakeClock, pause: Callable[[FakeClock], None]
) -> None:
    phone = await register(hub, ENVAYA)
    recording = await _record(phone, clock, 40)
    message = await submit(hub, phone.project_id)
    clock.advance(hours=1)
    for phone_clock_at, key in recording:
        assert await phone.poll(clock=phone_clock_at, request_key=key) == []
        pause(clock)
    assert await phone.poll(clock=clock.now, request_key="genuine") == [message.id]


async def test_recordings_are_given_nothing_while_the_phone_itself_polls(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    recording = await _record(phone, clock, 40)
    clock.advance(hours=1)
    for number, (phone_clock_at, key) in enumerate(recording):
        clock.advance(seconds=60)
        await phone.poll(clock=clock.now, request_key=f"genuine {number}")
        await submit(hub, phone.project_id)
        assert await phone.poll(clock=phone_clock_at, request_key=key) == []


async def test_the_last_post_of_a_phone_that_is_off_is_not_served_to_who_plays_it_back(
    make_hub: MakeHub, database_url: str, clock: FakeClock
) -> None:
    """Not even by a process that has never seen it."""
    first = await make_hub()
    phone = await register(first, ENVAYA)
    await phone.poll(clock=clock.now, request_key="recorded")
    recorded_at = clock.now
    await submit(first, phone.project_id)
    await first.stop()
    second = await make_hub()
    found = (await second.devices.get(phone.project_id, phone.device.id)).device
    there = replace(phone, hub=second, device=found)
    clock.advance(seconds=121)
    assert await there.poll(clock=recorded_at, request_key="recorded") == []
    assert len(await there.poll(clock=clock.now, request_key="genuine")) == 1


async def test_what_another_process_saw_makes_a_recording_old_here_too(
    make_hub: MakeHub, clock: FakeClock
) -> None:
    hub = await make_hub()
    if hub.database.is_sqlite:
        pytest.skip("SQLite has one process")
    other = await make_hub()
    phone = await register(hub, ENVAYA)
    await phone.post(hub=other, clock=clock.now, request_key="first")
    clock.advance(minutes=5)
    recorded = clock.now
    await phone.post(hub=hub, clock=recorded, request_key="recorded")
    await hub.states.flush()
    await other.states.follow()
    clock.advance(minutes=30)
    await submit(hub, phone.project_id)
    assert not await phone.poll(hub=other, clock=recorded, request_key="recorded")
