"""A database as the services see it: write a use case, read a query, nothing in between."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.storage import migrations
from gateway_hub.storage.commits import CommitGroup
from gateway_hub.storage.engines import (
    POSTGRES_WRITERS,
    check_durability,
    check_way,
    create_reader_engine,
    create_writer_engine,
    is_sqlite,
    normalise_url,
)
from gateway_hub.storage.faults import is_transient
from gateway_hub.storage.notice_line import NoticeLine
from gateway_hub.storage.process_lock import ProcessLock
from gateway_hub.storage.transactions import BulkUseCase, Transaction, UseCase

Item = TypeVar("Item")
T = TypeVar("T")
Note = Callable[[], None]

DEFAULT_PATIENCE_SECONDS = 4.0
_READ_PAUSE_SECONDS = 0.5
_LAST_READS_SECONDS = 3.0


def _note_nothing() -> None:
    """Do nothing: nobody wants to know."""


class Database:
    """One database, opened by `start` and closed by `stop`.

    Migrations and `line`, which need a connection of their own, go to *direct_url* if it is given:
    past a pooler.
    """

    def __init__(self, url: str, direct_url: str | None = None) -> None:
        self.url = normalise_url(url)
        self.direct_url = normalise_url(direct_url) if direct_url else self.url
        self.line = NoticeLine(None if self.is_sqlite else self.direct_url)
        self._lock: ProcessLock | None = None
        self._stopped = False
        self._on_events: Note = _note_nothing
        self._reading = 0
        self._all_read = asyncio.Event()
        self._writer: AsyncEngine = create_writer_engine(self.url)
        self._reader: AsyncEngine = create_reader_engine(self.url)
        self._commits = CommitGroup(
            self._writer,
            writers=1 if is_sqlite(self.url) else POSTGRES_WRITERS,
            on_events=self._note_events,
        )

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a SQLite file, served by this process alone."""
        return is_sqlite(self.url)

    def when_events(self, note: Note) -> None:
        """Have *note* called after each commit of this process that wrote events."""
        self._on_events = note

    def _note_events(self) -> None:
        self._on_events()

    async def start(self, *, migrate: bool) -> None:
        """Lock (SQLite), bring the schema to head if *migrate*, check durability, start writing.

        Raises DatabaseInUseError when another process has the SQLite file.
        """
        if self.is_sqlite:
            self._acquire_lock()
        if migrate:
            await self.migrate()
        async with self._writer.connect() as connection:
            await check_way(connection, self.url)
            await check_durability(connection)
        self._commits.start()

    async def stop(self) -> None:
        """Finish the commits and queries under way and close every connection."""
        self._stopped = True
        await self._commits.stop()
        await self._let_reads_end()
        await self._reader.dispose()
        await self._writer.dispose()
        if self._lock is not None:
            self._lock.release()

    async def write(
        self,
        use_case: UseCase[T],
        *,
        patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
        lock_order: str = "",
        alone: bool = False,
    ) -> T:
        """Run *use_case* in a transaction and return its result once that is on disk.

        *lock_order* names what it locks, if others lock the same: a device's id. What locks as no
        request does shares its commit with none: *alone*.
        """
        return await self._commits.run(
            use_case, patience_seconds=patience_seconds, lock_order=lock_order, alone=alone
        )

    async def write_together(
        self,
        work: BulkUseCase[Item, T],
        item: Item,
        *,
        patience_seconds: float = DEFAULT_PATIENCE_SECONDS,
        lock_order: str = "",
        weight: int = 1,
    ) -> T:
        """Like `write`, for what many ask for at once and is cheaper done for all of them.

        *work* is given the items that wait for it at the same moment, and returns a result for
        each; see `CommitGroup.run_together`.
        """
        return await self._commits.run_together(
            work, item, patience_seconds=patience_seconds, lock_order=lock_order, weight=weight
        )

    async def read(self, query: UseCase[T], *, patience_seconds: float = 0) -> T:
        """Run *query* on a reading connection; it sees all that was committed before.

        A database out of reach is tried once more at once, then for *patience_seconds*; then
        UnavailableError.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + patience_seconds
        pause = 0.0
        while not self._stopped:
            try:
                return await self._read_once(query)
            except Exception as error:
                if not is_transient(error):
                    raise
                if pause and loop.time() >= deadline:
                    raise UnavailableError("The database cannot be reached now.") from error
            await asyncio.sleep(pause)
            pause = _READ_PAUSE_SECONDS
        raise UnavailableError("The hub is stopping.")

    async def _read_once(self, query: UseCase[T]) -> T:
        self._reading += 1
        try:
            async with self._reader.connect() as connection:
                if not self.is_sqlite:
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                return await query(Transaction(connection))
        finally:
            self._reading -= 1
            if not self._reading:
                self._all_read.set()

    async def _let_reads_end(self) -> None:
        """Wait for the queries under way: a connection in use would not be closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_READS_SECONDS):
                while self._reading:
                    self._all_read.clear()
                    await self._all_read.wait()

    async def migrate(self) -> None:
        """Bring the schema to head; several processes may try at once."""
        direct = self.direct_url != self.url
        engine = create_writer_engine(self.direct_url) if direct else self._writer
        try:
            async with engine.connect() as connection:
                await connection.run_sync(migrations.upgrade)
        finally:
            if direct:
                await engine.dispose()

    async def check(self) -> None:
        """Raise UnavailableError unless the database answers and its schema is at head."""

        async def is_at_head(connection: AsyncConnection) -> bool:
            await connection.execute(text("SELECT 1"))
            return await connection.run_sync(migrations.is_at_head)

        try:
            async with self._reader.connect() as connection:
                at_head = await is_at_head(connection)
        except Exception as error:
            if is_transient(error):
                raise UnavailableError("The database cannot be reached now.") from error
            raise
        if not at_head:
            raise UnavailableError("The database schema is not at head.")

    def _acquire_lock(self) -> None:
        path = Path(str(self.url.database))
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = ProcessLock(path)
        lock.acquire()
        self._lock = lock
