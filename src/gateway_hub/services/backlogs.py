"""How much a project may have waiting: what no phone will send for days is better refused."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.storage import statistics as statistics_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_KNOWN_FOR_SECONDS = 1.0
_MOST_PROJECTS = 10_000
_RETRY_AFTER_SECONDS = 60


class QueueFullError(UnavailableError):
    """The project has as many messages waiting as it may."""

    code = "queue_full"

    def __init__(self) -> None:
        super().__init__(
            "As many messages are queued as the project may have.",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )


@dataclass(slots=True)
class _Known:
    waiting: int
    read_at: float


class Backlogs:
    """The backlogs of all projects, as they were a second ago at the most.

    So the limit is exceeded by what one second brings, and no submission asks the database.
    """

    def __init__(
        self,
        database: Database,
        max_queued: int | None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._max_queued = max_queued
        self._timer = timer
        self._known: dict[str, _Known] = {}

    async def make_room(self, project_id: str, messages: int) -> None:
        """Count *messages* that are to be queued. Raises QueueFullError if they are too many."""
        if self._max_queued is None:
            return
        known = self._known.get(project_id)
        if known is None or self._timer() - known.read_at > _KNOWN_FOR_SECONDS:
            known = await self._look_again(project_id, known)
        if known.waiting + messages > self._max_queued:
            raise QueueFullError
        known.waiting += messages

    async def _look_again(self, project_id: str, known: _Known | None) -> _Known:
        """Return what is waiting now; whoever asks meanwhile goes by what was known before."""
        if known is None:
            if len(self._known) >= _MOST_PROJECTS:
                self._known.clear()
            known = self._known[project_id] = _Known(0, 0.0)
        known.read_at = self._timer()
        known.waiting = await self._read(project_id)
        return known

    async def _read(self, project_id: str) -> int:
        async def query(tx: Transaction) -> int:
            return await statistics_rows.count_whole_backlog(tx, project_id)

        return await self._database.read(query)
