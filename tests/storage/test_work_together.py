"""Work of one kind that is asked for at the same moment is done as one, and fails one by one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

import pytest
from sqlalchemy import event, select, text

from gateway_hub.domain.errors import ConflictError
from gateway_hub.storage.commits import CommitGroup
from gateway_hub.storage.engines import create_reader_engine, create_writer_engine, normalise_url
from gateway_hub.storage.tables import projects
from gateway_hub.storage.transactions import Transaction

_ADD = text(
    "INSERT INTO projects (id, name, if_uncertain, created_at, updated_at) "
    "VALUES (:name, :name, 'wait', 0, 0)"
)


class Adder:
    """Stores names together, and remembers how they came to it."""

    def __init__(self, url: str) -> None:
        self._engine = create_writer_engine(normalise_url(url))
        self._reader = create_reader_engine(normalise_url(url))
        self.group = CommitGroup(self._engine, writers=1)
        self.given: list[list[str]] = []
        self.called_back: list[str] = []
        self.commits = 0
        event.listen(self._engine.sync_engine, "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.commits += 1

    async def add(self, tx: Transaction, names: Sequence[str]) -> list[str]:
        self.given.append(list(names))
        for name in names:
            if name == "refused":
                raise ConflictError("not this one")
            await tx.execute(_ADD, {"name": name})
            tx.after_commit(partial(self.called_back.append, name))
        return [name.upper() for name in names]

    async def run(self, name: str, lock_order: str = "", *, weight: int = 1) -> str:
        return await self.group.run_together(
            self.add, name, patience_seconds=5, lock_order=lock_order, weight=weight
        )

    async def run_alone(self, name: str) -> str:
        async def use_case(tx: Transaction) -> str:
            return (await self.add(tx, [name]))[0]

        return await self.group.run(use_case, patience_seconds=5)

    async def stored(self) -> set[str]:
        async with self._reader.connect() as connection:
            return set(await connection.scalars(select(projects.c.name)))

    async def close(self) -> None:
        await self.group.stop()
        await self._reader.dispose()
        await self._engine.dispose()


@pytest.fixture
async def adder(database_url: str) -> AsyncIterator[Adder]:
    """An adder on each kind of database."""
    adder = Adder(database_url)
    adder.group.start()
    yield adder
    await adder.close()


async def test_items_in_flight_are_worked_on_as_one_and_each_gets_its_result(adder: Adder) -> None:
    results = await asyncio.gather(*[adder.run(name) for name in ("a", "b", "c")])
    assert results == ["A", "B", "C"]
    assert adder.given == [["a", "b", "c"]]
    assert adder.commits == 1
    assert await adder.stored() == {"a", "b", "c"}


async def test_items_come_in_their_lock_order_and_results_go_to_whom_they_belong(
    adder: Adder,
) -> None:
    results = await asyncio.gather(adder.run("a", "2"), adder.run("b", "1"))
    assert list(results) == ["A", "B"]
    assert adder.given == [["b", "a"]]


async def test_one_that_fails_costs_its_neighbours_one_more_try_and_nothing_else(
    adder: Adder,
) -> None:
    names = ["a", "refused", "b"]
    results = await asyncio.gather(*map(adder.run, names), return_exceptions=True)
    assert (results[0], results[2]) == ("A", "B")
    assert isinstance(results[1], ConflictError)
    assert adder.given == [["a", "refused", "b"], ["a"], ["refused"], ["b"]]
    assert adder.commits == 1
    assert await adder.stored() == {"a", "b"}


async def test_one_that_fails_among_other_work_leaves_that_alone_too(adder: Adder) -> None:
    results = await asyncio.gather(
        adder.run("a"),
        adder.run("refused"),
        adder.run_alone("other"),
        adder.run("b"),
        return_exceptions=True,
    )
    assert [item for item in results if isinstance(item, str)] == ["A", "OTHER", "B"]
    assert isinstance(results[1], ConflictError)
    assert adder.commits == 1
    assert await adder.stored() == {"a", "b", "other"}


async def test_callbacks_of_work_that_was_taken_back_are_not_called(adder: Adder) -> None:
    await asyncio.gather(*map(adder.run, ("a", "refused", "b")), return_exceptions=True)
    await asyncio.sleep(0)
    assert adder.called_back == ["a", "b"]


async def test_nobody_joins_a_commit_that_is_heavy_already(adder: Adder) -> None:
    await asyncio.gather(*[adder.run(name, weight=1000) for name in ("a", "b", "c")])
    assert adder.given == [["a", "b"], ["c"]]
