"""What a use case does its work through, and what a use case is.

It is a coroutine function that takes a `Transaction` and does nothing but read and write through
it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway_hub.storage.journal import Journal
from gateway_hub.storage.tallies import Tally

Item = TypeVar("Item")
T = TypeVar("T")
Parameters = dict[str, Any] | Sequence[dict[str, Any]] | None


class Transaction:
    """A use case's view of the database while it runs.

    *is_repeat*: it may have been committed before, and only the answer to that was lost.
    """

    def __init__(self, connection: AsyncConnection, *, is_repeat: bool = False) -> None:
        self._connection = connection
        self.is_repeat = is_repeat
        self.tally = Tally()
        self.journal = Journal()
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

    async def execute_many(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run *sql*, in the driver's own form, once for each of *rows*."""
        await self._connection.exec_driver_sql(sql, list(rows))

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call *callback* once the commit is on disk; never if the use case fails."""
        self._after_commit.append(callback)

    def run_after_commit(self) -> None:
        """Run what `after_commit` collected, from the loop: one that fails harms nobody else."""
        loop = asyncio.get_running_loop()
        for callback in self._after_commit:
            loop.call_soon(callback)


UseCase = Callable[[Transaction], Awaitable[T]]
BulkUseCase = Callable[[Transaction, Sequence[Item]], Awaitable[Sequence[T]]]
"""Does for each of several items what a use case would do for one; returns one result for each."""
