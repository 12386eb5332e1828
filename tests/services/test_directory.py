"""What is kept in memory of who is who is never older than what was changed here."""

import asyncio
from contextlib import suppress

import pytest

from gateway_hub.domain.access import Project
from gateway_hub.services.directory import Directory
from gateway_hub.services.hub import Hub
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.transactions import Transaction
from tests.conftest import MakeHub


class _Asked:
    """A query that counts how often it is asked and can be held back."""

    def __init__(self, answer: str | None) -> None:
        self.answer = answer
        self.times = 0
        self.let_go = asyncio.Event()
        self.let_go.set()

    async def __call__(self, _tx: Transaction) -> str | None:
        self.times += 1
        answer = self.answer
        await self.let_go.wait()
        return answer


@pytest.fixture
def directory(hub: Hub) -> Directory:
    """A directory that nothing but the test makes forget."""
    return Directory(hub.database)


async def test_what_was_found_is_not_asked_for_again(directory: Directory) -> None:
    asked = _Asked("found")
    assert [await directory.look_up("key", asked) for _ in range(3)] == ["found"] * 3
    assert asked.times == 1


async def test_what_was_not_found_is_asked_for_again(directory: Directory) -> None:
    asked = _Asked(None)
    assert await directory.look_up("key", asked) is None
    asked.answer = "made meanwhile"
    assert await directory.look_up("key", asked) == "made meanwhile"


async def test_whoever_wants_it_fresh_is_told_what_the_database_says_now(
    directory: Directory,
) -> None:
    asked = _Asked("old")
    await directory.look_up("key", asked)
    asked.answer = "new"
    assert await directory.look_up("key", asked) == "old"
    assert await directory.look_up("key", asked, fresh=True) == "new"
    assert await directory.look_up("key", asked) == "new"


async def test_an_answer_that_was_under_way_while_something_changed_is_not_kept(
    hub: Hub, directory: Directory
) -> None:
    asked = _Asked("old")
    asked.let_go.clear()
    looking = asyncio.create_task(directory.look_up("key", asked))
    while not asked.times:
        await asyncio.sleep(0)
    await hub.database.write(directory.note_change)
    asked.let_go.set()
    assert await looking == "old"
    asked.answer = "new"
    assert await directory.look_up("key", asked) == "new"


async def _change_region(hub: Hub, region: str) -> Project:
    project = await hub.access.ensure_default_project()
    return await hub.access.change_project(project.id, {"region": region})


async def test_a_change_here_is_seen_at_once(hub: Hub) -> None:
    project = await _change_region(hub, "TZ")
    assert await hub.directory.find_project(project.id) == project
    changed = await _change_region(hub, "KE")
    assert await hub.directory.find_project(project.id) == changed


async def test_a_change_of_another_process_is_seen_when_followed(
    make_hub: MakeHub, database_url: str
) -> None:
    hub = await make_hub()
    other = hub if hub.database.is_sqlite else await make_hub(url=database_url)
    project = await _change_region(hub, "TZ")
    await other.directory.find_project(project.id)
    changed = await _change_region(hub, "KE")
    await other.directory.follow()
    assert await other.directory.find_project(project.id) == changed


async def test_a_change_that_is_taken_back_is_not_seen(hub: Hub, directory: Directory) -> None:
    project = await _change_region(hub, "TZ")

    async def use_case(tx: Transaction) -> None:
        await directory.note_change(tx)
        found = await project_rows.find_project(tx, project.id)
        raise LookupError(found)

    known = await directory.find_project(project.id)
    with suppress(LookupError):
        await hub.database.write(use_case)
    assert await directory.find_project(project.id) is known
