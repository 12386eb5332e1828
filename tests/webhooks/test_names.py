"""Lookups that take long, and what they hold up: nothing."""

import asyncio
import threading
from ipaddress import ip_address

import pytest

from gateway_hub.webhooks.names import Addresses, NameLookup, NameNotFoundError, ask_system

FOUND = (ip_address("192.0.2.1"),)


class SlowNameServer:
    """Answers for some names only when it is told to."""

    def __init__(self, *slow: str) -> None:
        self.asked: list[str] = []
        self.answer = {host: threading.Event() for host in slow}

    def __call__(self, host: str) -> Addresses:
        self.asked.append(host)
        if host in self.answer:
            assert self.answer[host].wait(30)
        return FOUND


async def begin(look_up: NameLookup, *hosts: str) -> list[asyncio.Task[Addresses]]:
    tasks = [asyncio.create_task(look_up(host)) for host in hosts]
    await asyncio.sleep(0)
    return tasks


async def test_whoever_asks_for_the_same_name_shares_the_answer() -> None:
    server = SlowNameServer("slow")
    asking = await begin(NameLookup(ask=server), *["slow"] * 5)
    server.answer["slow"].set()
    assert await asyncio.gather(*asking) == [FOUND] * 5
    assert server.asked == ["slow"]


async def test_a_lookup_nobody_waits_for_any_more_goes_on_and_holds_up_no_other() -> None:
    server = SlowNameServer("slow")
    look_up = NameLookup(most_at_once=2, ask=server)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await look_up("slow")
    assert await look_up("quick") == FOUND
    (again,) = await begin(look_up, "slow")
    server.answer["slow"].set()
    assert await again == FOUND
    assert server.asked == ["slow", "quick"]


async def test_lookups_are_bounded_and_those_that_gave_up_waiting_are_not_made() -> None:
    server = SlowNameServer("slow")
    look_up = NameLookup(most_at_once=1, ask=server)
    (first,) = await begin(look_up, "slow")
    for number in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await look_up(str(number))
    server.answer["slow"].set()
    assert await first == FOUND
    assert await look_up("last") == FOUND
    assert server.asked == ["slow", "last"]


async def test_two_that_find_room_for_the_same_name_together_ask_once() -> None:
    server = SlowNameServer("a", "b", "c", "d")
    look_up = NameLookup(most_at_once=2, ask=server)
    first = await begin(look_up, "a", "b")
    others = await begin(look_up, "c", "c")
    server.answer["a"].set()
    server.answer["b"].set()
    await asyncio.gather(*first)
    server.answer["c"].set()
    assert await asyncio.gather(*others) == [FOUND] * 2
    assert server.asked.count("c") == 1
    (held,) = await begin(look_up, "d")
    assert await look_up("there is still room beside it") == FOUND
    server.answer["d"].set()
    assert await held == FOUND


async def test_a_name_that_is_not_found_is_an_error_each_time() -> None:
    look_up = NameLookup(most_at_once=1)
    for host in ("never.invalid", "b\u00fccher.example", "a\0b", "a" * 64 + ".example", ""):
        with pytest.raises(NameNotFoundError):
            await look_up(host)


async def test_where_no_thread_can_be_had_the_name_is_not_found_and_the_room_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    look_up = NameLookup(most_at_once=1, ask=SlowNameServer())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(NameNotFoundError, match="no thread"):
            await look_up("a")
    assert await look_up("a") == FOUND


def test_a_lookup_that_outlives_its_loop_ends_quietly() -> None:
    server = SlowNameServer("slow")
    before = set(threading.enumerate())

    async def ask_and_leave() -> None:
        await begin(NameLookup(ask=server), "slow")

    asyncio.run(ask_and_leave())
    (thread,) = set(threading.enumerate()) - before
    assert thread.daemon
    server.answer["slow"].set()
    thread.join(30)
    assert not thread.is_alive()


def test_the_system_knows_the_loopback_address() -> None:
    assert ask_system("127.0.0.1") == (ip_address("127.0.0.1"),)
    assert set(map(str, ask_system("localhost"))) <= {"127.0.0.1", "::1"}
