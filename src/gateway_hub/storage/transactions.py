"""The one place that opens and commits transactions.

A use case is a coroutine function that takes a `Transaction` and does nothing but read and write
through it. Use cases in flight at the same moment run one after another on one connection and
share its commit; each has a savepoint, so that the failure of one leaves its neighbours alone.
Nobody is answered before that commit is on disk.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.storage.faults import is_connection_lost, is_lock_conflict, is_transient

T = TypeVar("T")
Parameters = dict[str, Any] | Sequence[dict[str, Any]] | None

MAX_SHARED = 256
"""The most use cases that share one commit: bounds the locks held and the work thrown away."""

_RETRY_PAUSE_SECONDS = 0.2


class Transaction:
    """A use case's view of the database while it runs."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._after_commit: list[Callable[[], None]] = []

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._connection.dialect.name

    async def execute(
        self, statement: Executable, parameters: Parameters = None
    ) -> CursorResult[Any]:
        """Run *statement*; others see its changes after the commit."""
        return await self._connection.execute(statement, parameters)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call *callback* once the commit is on disk; never if the use case fails."""
        self._after_commit.append(callback)

    def run_after_commit(self) -> None:
        """Run what `after_commit` collected, from the loop: one that fails harms nobody else."""
        loop = asyncio.get_running_loop()
        for callback in self._after_commit:
            loop.call_soon(callback)


UseCase = Callable[[Transaction], Awaitable[T]]


class _Job:
    """A use case that waits for its turn, and whoever waits for its answer."""

    def __init__(self, use_case: UseCase[Any], patience_seconds: float, lock_order: str) -> None:
        loop = asyncio.get_running_loop()
        self.use_case = use_case
        self.lock_order = lock_order
        self.alone = False
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.deadline = loop.time() + patience_seconds
        self.transaction: Transaction | None = None
        self.result: Any = None
        self.error: Exception | None = None

    async def run(self, connection: AsyncConnection) -> None:
        self.transaction = Transaction(connection)
        self.result = await self.use_case(self.transaction)

    def settle(self) -> None:
        """Tell the caller; only after the commit, or after the failure of this use case."""
        if self.error is not None:
            if not self.answer.done():
                self.answer.set_exception(self.error)
            return
        if self.transaction is not None:
            self.transaction.run_after_commit()
        if not self.answer.done():
            self.answer.set_result(self.result)


class _TransactionEndedError(Exception):
    """The database has ended the transaction by itself, and with it the work of all who shared it.

    SQLite does so when the disk is full; a commit would then find nothing and yet succeed.
    """


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

    def __init__(self, engine: AsyncEngine, *, writers: int) -> None:
        self._engine = engine
        self._writers = writers
        self._waiting: deque[_Job] = deque()
        self._arrived = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the writers; call once, from the running loop."""
        self._tasks = [
            asyncio.create_task(self._write_until_stopped(), name=f"writer-{number}")
            for number in range(self._writers)
        ]

    async def stop(self) -> None:
        """Commit what is waiting, then end the writers."""
        self._stopping = True
        self._arrived.set()
        await asyncio.gather(*self._tasks)

    async def run(
        self, use_case: UseCase[T], *, patience_seconds: float, lock_order: str = ""
    ) -> T:
        """Return what *use_case* returned, once it is committed; raise what it raised.

        While the database is out of reach the use case is tried again for *patience_seconds*;
        then UnavailableError. A caller that is cancelled while it waits leaves its use case done
        or not done, like any client that hangs up. Use cases that share a commit run in the order
        of *lock_order*: two groups that lock the same rows then do it in one order, and do not
        block each other.
        """
        if self._stopping:
            raise UnavailableError("The hub is stopping.")
        job = _Job(use_case, patience_seconds, lock_order)
        self._waiting.append(job)
        self._arrived.set()
        result: T = await job.answer
        return result

    async def _write_until_stopped(self) -> None:
        while True:
            while not self._waiting:
                if self._stopping:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            jobs = self._take_waiting()
            if jobs:
                await self._commit_together(jobs)

    def _take_waiting(self) -> list[_Job]:
        """Return who is next: several together, or one that failed in company before."""
        jobs: list[_Job] = []
        while self._waiting and len(jobs) < MAX_SHARED:
            if jobs and self._waiting[0].alone:
                break
            job = self._waiting.popleft()
            if job.answer.done():
                continue
            jobs.append(job)
            if job.alone:
                break
        return sorted(jobs, key=lambda job: job.lock_order)

    async def _commit_together(self, jobs: list[_Job]) -> None:
        try:
            await self._try(jobs)
        except _TransactionEndedError:
            for job in jobs:
                await self._try([job])
        await self._settle_or_retry(jobs)

    async def _try(self, jobs: list[_Job]) -> None:
        """Run *jobs* in one transaction and note the error of each that is not committed."""
        for job in jobs:
            job.error = None
        try:
            async with self._engine.begin() as connection:
                if len(jobs) == 1:
                    await jobs[0].run(connection)
                else:
                    await self._run_each(connection, jobs)
        except _TransactionEndedError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, each caller must hear of it
            for job in jobs:
                job.error = job.error or error

    async def _run_each(self, connection: AsyncConnection, jobs: list[_Job]) -> None:
        """Run *jobs* one after another, each in a savepoint."""
        for job in jobs:
            savepoint = await connection.begin_nested()
            try:
                await job.run(connection)
            except Exception as error:
                if is_connection_lost(error):
                    raise
                job.error = error
                await _end(savepoint, keep=False)
            else:
                await _end(savepoint, keep=True)

    async def _settle_or_retry(self, jobs: list[_Job]) -> None:
        again: list[_Job] = []
        now = asyncio.get_running_loop().time()
        for job in jobs:
            if job.error is None or not is_transient(job.error):
                job.settle()
            elif now < job.deadline and not self._stopping:
                job.alone = is_lock_conflict(job.error)
                again.append(job)
            else:
                unavailable = UnavailableError("The database cannot be reached now.")
                unavailable.__cause__ = job.error
                job.error = unavailable
                job.settle()
        if again:
            await asyncio.sleep(_RETRY_PAUSE_SECONDS)
            self._waiting.extendleft(reversed(again))
