"""Two processes on one PostgreSQL: one knows at once what the other does, and finds the rest."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

from gateway_hub.domain.access import Scope
from gateway_hub.domain.errors import UnauthenticatedError
from gateway_hub.services.hub import Hub
from gateway_hub.storage.notice_line import MISSED
from gateway_hub.storage.work import OpenWork
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, Phone, register, submit

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgres"], indirect=True),
]

_LONG = 60.0
_SOON = 10.0
_NET = {"Following.refresh", "Following.follow", "Following.catch_up"}


async def _end_tasks(hub: Hub, names: set[str]) -> None:
    ended = [task for task in hub._tasks if task.get_name() in names]
    assert len(ended) == len(names)
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(_SOON):
        while not condition():
            await asyncio.sleep(0.005)


async def _start(make_hub: MakeHub) -> Hub:
    """Return a hub that hears what others say, and looks for nothing by itself."""
    hub = await make_hub()
    await _until(lambda: hub.database.line.is_open and not hub.following._behind.is_set())
    await hub.following.refresh()
    await hub.following.follow()
    await _end_tasks(hub, _NET)
    return hub


@pytest.fixture
async def here(make_hub: MakeHub) -> Hub:
    """A hub where things happen."""
    return await _start(make_hub)


@pytest.fixture
async def there(make_hub: MakeHub) -> Hub:
    """Another hub on the same database."""
    return await _start(make_hub)


async def _hold(phone: Phone, hub: Hub) -> asyncio.Task[bool]:
    """Return a poll of *phone* that *hub* holds."""
    before = hub.wakeups.waiting
    task = asyncio.create_task(hub.phones.wait_for_work(phone.device, seconds=_LONG))
    await _until(lambda: hub.wakeups.waiting > before)
    assert not task.done()
    return task


async def _ends(task: asyncio.Task[bool]) -> bool:
    async with asyncio.timeout(_SOON):
        return await task


async def test_a_message_queued_here_ends_a_poll_held_there(here: Hub, there: Hub) -> None:
    phone = await register(here, tags=("clinic",))
    for tag in (None, "clinic"):
        held = await _hold(phone, there)
        message = await submit(here, phone.project_id, tag=tag)
        assert await _ends(held) is True
        answer = await there.phones.collect(phone.device, None, patience_seconds=5)
        assert [offer.wire_id for offer in answer.offers] == [message.id]
        await here.following.refresh()
        await there.following.refresh()


@pytest.mark.parametrize("paused", [False, True])
async def test_a_message_to_be_given_back_is_asked_for_there(
    here: Hub, there: Hub, paused: bool
) -> None:
    phone = await register(here, ENVAYA)
    message = await submit(here, phone.project_id)
    assert await phone.poll(takes_commands=True) == [message.id]
    await here.states.flush()
    assert await phone.poll(takes_commands=True, hub=there) == []
    held = await _hold(replace(phone, device=replace(phone.device, paused=paused)), there)
    await here.outbox.cancel(phone.project_id, message.id)
    assert await _ends(held) is True
    answer = await there.phones.collect(phone.device, None, patience_seconds=5)
    assert [command.wire_id for command in answer.cancels] == [message.id]


async def test_a_request_answered_here_gets_the_same_answer_there(here: Hub, there: Hub) -> None:
    phone = await register(here)
    message = await submit(here, phone.project_id)
    await _until(lambda: there.hints.may_have_work(phone.device))
    there.hints._known = OpenWork()
    assert await phone.poll(request_key="k") == [message.id]
    await _until(lambda: there.hints.may_have_work(phone.device, "k"))
    assert await phone.poll(request_key="k", hub=there) == [message.id]


async def test_a_key_revoked_here_is_refused_there(here: Hub, there: Hub) -> None:
    scopes = frozenset({Scope.MESSAGES_READ})
    made = await here.access.create_key(name="n", scopes=scopes, project="default")
    assert (await there.access.authenticate(made.secret)).key_id == made.key.id
    await here.access.revoke_key(await here.access.authenticate(made.secret), made.key.id)
    await _until(lambda: not there.directory._known)
    with pytest.raises(UnauthenticatedError):
        await there.access.authenticate(made.secret)


async def _change(phone: Phone) -> None:
    await phone.hub.devices.change(phone.project_id, phone.device.id, {"paused": True})


async def _remove(phone: Phone) -> None:
    await phone.hub.devices.delete(phone.project_id, phone.device.id)


async def _renew(phone: Phone) -> None:
    await phone.hub.devices.renew_credentials(
        phone.project_id, phone.device.id, password=None, grace_seconds=0
    )


@pytest.mark.parametrize("happens", [_change, _remove, _renew])
async def test_a_phone_changed_here_is_let_go_there_and_no_other(
    here: Hub, there: Hub, happens: Callable[[Phone], Awaitable[None]]
) -> None:
    phone, neighbour = await register(here), await register(here)
    held, other = await _hold(phone, there), await _hold(neighbour, there)
    await happens(phone)
    assert await _ends(held) is True
    assert not other.done()


async def test_the_processes_say_nothing_inside_of_a_transaction(here: Hub, there: Hub) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement.lower())

    for engine in (here.database._writer, here.database._reader):
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    phone = await register(here)
    held = await _hold(phone, there)
    await submit(here, phone.project_id)
    assert await _ends(held) is True
    assert [statement for statement in statements if "insert into messages" in statement]
    assert not [statement for statement in statements if "notify" in statement]


async def _deafen(hub: Hub) -> None:
    """Let *hub* neither hear nor be heard from now on."""
    await _end_tasks(hub, {"Following.listen"})


async def test_what_was_not_said_is_found_by_looking(here: Hub, there: Hub) -> None:
    await _deafen(there)
    phone, neighbour = await register(here), await register(here)
    held, other = await _hold(phone, there), await _hold(neighbour, there)
    await submit(here, phone.project_id, device=phone.device)
    await asyncio.wait([held], timeout=0.1)
    assert not held.done()
    await there.following.refresh()
    assert await _ends(held) is True
    assert not other.done()


async def test_a_phone_that_was_changed_is_let_go_by_looking_and_no_other(
    here: Hub, there: Hub, clock: FakeClock
) -> None:
    await _deafen(there)
    phone, removed, neighbour = [await register(here) for _ in range(3)]
    await there.following.follow()
    held = [await _hold(item, there) for item in (phone, removed, neighbour)]
    await there.following.follow()
    clock.advance(seconds=1)
    await _change(phone)
    await _remove(removed)
    await asyncio.wait(held, timeout=0.1)
    assert not [task for task in held if task.done()]
    await there.following.follow()
    assert await _ends(held[0]) is True
    assert await _ends(held[1]) is True
    await there.following.follow()
    assert not held[2].done()


async def _kill_newest_line(url: str, hub: Hub) -> None:
    """Let the server end the connection over which *hub*, which was started last, hears."""
    plain = url.replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(plain)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'gateway-hub notices' AND datname = current_database()"
            " ORDER BY backend_start DESC LIMIT 1"
        )
    finally:
        await connection.close()
    await _until(lambda: not hub.database.line.is_open)


async def test_work_queued_while_the_line_was_down_is_found_when_it_is_back(
    make_hub: MakeHub, database_url: str, here: Hub
) -> None:
    there = await make_hub()
    await _until(lambda: there.database.line.is_open and not there.following._behind.is_set())
    await _end_tasks(there, {"Following.refresh", "Following.follow"})
    phone, later = await register(here), await register(here)
    held, other = await _hold(phone, there), await _hold(later, there)
    await _kill_newest_line(database_url, there)
    assert here.database.line.is_open
    await submit(here, phone.project_id, device=phone.device)
    assert await _ends(held) is True
    await _until(lambda: there.database.line.is_open)
    await submit(here, phone.project_id, device=later.device)
    assert await _ends(other) is True


async def test_what_cannot_be_understood_is_passed_over(here: Hub) -> None:
    phone = await register(here)
    held = await _hold(phone, here)
    for text in ("", "nonsense", "[]", '["dance", "any:p", 1]', '["queued"]', "{}", "[1, 2, 3]"):
        here.following.hear(text)
    here.following.hear('["held", "device", -1]')
    here.following.hear('["queued", "any:p", -1]')
    assert not here.following._behind.is_set()
    here.following.hear(MISSED)
    assert here.following._behind.is_set()
    assert not held.done()
    held.cancel()
