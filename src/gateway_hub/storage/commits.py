"""The one place that opens and commits transactions that write.

Use cases in flight at the same moment share a commit; those of one kind may run as one, with
statements over all of them. The failure of one leaves its neighbours alone. Nobody is answered
before that commit is on disk.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.storage.faults import is_connection_lost, is_lock_conflict, is_transient
from gateway_hub.storage.journal import write_journals
from gateway_hub.storage.tallies import choose_shard, write_tallies
from gateway_hub.storage.transactions import BulkUseCase, Item, T, Transaction, UseCase

MAX_SHARED = 256
"""The most use cases that share one commit: bounds the locks held and the work thrown away."""

_MAX_WEIGHT = 2_000
"""Rows after which nobody else joins a commit: a phone that waits for its turn waits this long."""

_RETRY_PAUSE_SECONDS = 0.2


class _Job:
    """An item that waits for its turn to be worked on, and whoever waits for the result."""

    def __init__(
        self,
        work: BulkUseCase[Any, Any],
        item: Any,
        patience_seconds: float,
        *,
        lock_order: str,
        alone: bool,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.work = work
        self.item = item
        self.lock_order = lock_order
        self.alone = alone
        self.is_repeat = False
        self.weight = 1
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.deadline = loop.time() + patience_seconds
        self.transaction: Transaction | None = None
        self.result: Any = None
        self.error: Exception | None = None

    def settle(self) -> None:
        """Tell the caller; only after the commit, or after the failure of this job."""
        if self.error is not None:
            if not self.answer.done():
                self.answer.set_exception(self.error)
            return
        if self.transaction is not None:
            self.transaction.run_after_commit()
        if not self.answer.done():
            self.answer.set_result(self.result)


_Unit = list[_Job]
"""Jobs of one kind of work, done as one."""


async def _run(unit: _Unit, connection: AsyncConnection) -> Transaction:
    transaction = Transaction(connection, is_repeat=any(job.is_repeat for job in unit))
    for job in unit:
        job.transaction = None
    results = await unit[0].work(transaction, [job.item for job in unit])
    for job, result in zip(unit, results, strict=True):
        job.result = result
    transaction.journal.render()
    unit[0].transaction = transaction  # its callbacks are those of the whole unit
    return transaction


def _units_of(jobs: Sequence[_Job]) -> list[_Unit]:
    units: dict[BulkUseCase[Any, Any], _Unit] = {}
    for job in jobs:
        units.setdefault(job.work, []).append(job)
    return list(units.values())


class _TransactionEndedError(Exception):
    """The database has ended the transaction by itself, and with it the work of all who shared it.

    SQLite does so when the disk is full; a commit would then find nothing and yet succeed.
    """


class _UnitFailedError(Exception):
    """Several jobs done as one have failed as one: each is to be done by itself."""


async def _end(savepoint: AsyncTransaction, *, keep: bool) -> None:
    try:
        await (savepoint.commit() if keep else savepoint.rollback())
    except Exception as error:
        if is_connection_lost(error):
            raise
        raise _TransactionEndedError from error


class CommitGroup:
    """Runs use cases on *writers* connections of *engine*, as many to a commit as are waiting.

    Because a use case may run again after a lost connection, when nobody knows whether the commit
    was done, it must have the same effect twice: ids are made outside of it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        writers: int,
        on_events: Callable[[], None] = lambda: None,
    ) -> None:
        """*on_events* is called after each commit that wrote events; it must not fail."""
        self._engine = engine
        self._writers = writers
        self._on_events = on_events
        self._waiting: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the writers; call once, from the running loop."""
        self._tasks = [
            asyncio.create_task(self._write_until_stopped(number), name=f"writer-{number}")
            for number in range(self._writers)
        ]

    async def stop(self) -> None:
        """Commit what is waiting, then end the writers."""
        self._stopping = True
        self._arrived.set()
        await asyncio.gather(*self._tasks)

    async def run(
        self,
        use_case: UseCase[T],
        *,
        patience_seconds: float,
        lock_order: str = "",
        alone: bool = False,
    ) -> T:
        """Return what *use_case* returned, once it is committed; raise what it raised.

        While the database is out of reach the use case is tried again for *patience_seconds*;
        then UnavailableError. A caller that is cancelled while it waits leaves its use case done
        or not done, like any client that hangs up. Use cases that share a commit run in the order
        of *lock_order*: two groups that lock the same rows then do it in one order, and do not
        block each other. *alone*: it shares its commit with nobody.
        """

        async def work(tx: Transaction, _items: Sequence[None]) -> list[T]:
            return [await use_case(tx)]

        job = _Job(work, None, patience_seconds, lock_order=lock_order, alone=alone)
        result: T = await self._queue(job)
        return result

    async def run_together(
        self,
        work: BulkUseCase[Item, T],
        item: Item,
        *,
        patience_seconds: float,
        lock_order: str = "",
        weight: int = 1,
    ) -> T:
        """Return what *work* returned for *item*, once it is committed, like `run`.

        Items that wait at the same moment for the same *work* are given to it together, in the
        order of *lock_order*. If it fails with several, it gets each of them by itself. *weight*
        is how many rows the item makes, so that a few large ones do not hold up all others.
        """
        job = _Job(work, item, patience_seconds, lock_order=lock_order, alone=False)
        job.weight = weight
        result: T = await self._queue(job)
        return result

    async def _queue(self, job: _Job) -> Any:
        if self._stopping:
            raise UnavailableError("The hub is stopping.")
        self._waiting.append(job)
        self._arrived.set()
        return await job.answer

    async def _write_until_stopped(self, number: int) -> None:
        shard = choose_shard(self._engine.dialect.name, number)
        while True:
            while not self._waiting:
                if self._stopping:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            jobs = self._take_waiting()
            if jobs:
                await self._commit_together(jobs, shard)

    def _take_waiting(self) -> list[_Job]:
        """Return who is next: several together, or one that is to be alone."""
        jobs: list[_Job] = []
        weight = 0
        while self._waiting and len(jobs) < MAX_SHARED and weight < _MAX_WEIGHT:
            if jobs and self._waiting[0].alone:
                break
            job = self._waiting.popleft()
            if job.answer.done():
                continue
            jobs.append(job)
            weight += job.weight
            if job.alone:
                break
        return sorted(jobs, key=lambda job: job.lock_order)

    async def _commit_together(self, jobs: list[_Job], shard: int) -> None:
        try:
            try:
                await self._try(jobs, _units_of(jobs), shard)
            except _UnitFailedError:
                await self._try(jobs, [[job] for job in jobs], shard)
        except _TransactionEndedError:
            for job in jobs:
                await self._try([job], [[job]], shard)
        await self._settle_or_retry(jobs)

    async def _try(self, jobs: list[_Job], units: list[_Unit], shard: int) -> None:
        """Run *jobs*, as *units*, in one transaction; note the error of each not committed."""
        for job in jobs:
            job.error = None
        try:
            async with self._engine.begin() as connection:
                if len(units) == 1:
                    done = [await self._run_only(units[0], connection)]
                else:
                    done = [tx for unit in units for tx in await self._run_apart(unit, connection)]
                await write_tallies(connection, (tx.tally for tx in done), shard=shard)
                events = await write_journals(connection, (tx.journal for tx in done))
            if events:
                self._on_events()
        except (_TransactionEndedError, _UnitFailedError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, each caller must hear of it
            for job in jobs:
                job.error = job.error or error

    async def _run_only(self, unit: _Unit, connection: AsyncConnection) -> Transaction:
        """Run *unit*, which has the transaction to itself and so needs no savepoint."""
        try:
            return await _run(unit, connection)
        except Exception as error:
            if len(unit) == 1 or is_connection_lost(error):
                raise
            raise _UnitFailedError from error

    async def _run_apart(self, unit: _Unit, connection: AsyncConnection) -> list[Transaction]:
        """Run *unit* in a savepoint; if it fails as one, each of its jobs in one of its own.

        Return what is kept of it, in the order in which it was done.
        """
        savepoint = await connection.begin_nested()
        try:
            transaction = await _run(unit, connection)
        except Exception as error:
            if is_connection_lost(error):
                raise
            await _end(savepoint, keep=False)
            if len(unit) == 1:
                unit[0].error = error
                return []
            return [tx for job in unit for tx in await self._run_apart([job], connection)]
        await _end(savepoint, keep=True)
        return [transaction]

    async def _settle_or_retry(self, jobs: list[_Job]) -> None:
        again: list[_Job] = []
        now = asyncio.get_running_loop().time()
        for job in jobs:
            if job.error is None or not is_transient(job.error):
                job.settle()
            elif now < job.deadline and not self._stopping:
                job.alone = job.alone or is_lock_conflict(job.error)
                job.is_repeat = True
                again.append(job)
            else:
                unavailable = UnavailableError("The database cannot be reached now.")
                unavailable.__cause__ = job.error
                job.error = unavailable
                job.settle()
        if again:
            await asyncio.sleep(_RETRY_PAUSE_SECONDS)
            self._waiting.extendleft(reversed(again))
