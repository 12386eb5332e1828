"""What nearly every request asks for and hardly ever changes, kept in memory: who a phone or an API
key is, and what its project says."""

from collections.abc import Hashable
from typing import Any, TypeVar

from gateway_hub.domain.access import Project
from gateway_hub.domain.devices import Device
from gateway_hub.services.notices import About, Notice, Tell, tell_nobody
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage import versions
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction, UseCase

T = TypeVar("T")

_VERSION = "directory"
_MOST = 100_000


class Directory:
    """Answers found before; forgotten as a whole when anything they rest on changes.

    A change in this process is seen at once, one of another process when it tells of it, or when
    `follow` runs. Only what was found is kept, so that what is made now is found now.
    """

    FOLLOW_SECONDS = 1.0

    def __init__(self, database: Database, tell: Tell = tell_nobody) -> None:
        """*tell* lets the other processes forget what was changed here."""
        self._database = database
        self._tell = tell
        self._known: dict[Hashable, Any] = {}
        self._generation = 0
        self._version: int | None = None

    @property
    def may_be_outdated(self) -> bool:
        """Whether another process may have changed something that is not known here yet.

        Whoever is about to refuse somebody looks them up afresh then.
        """
        return not self._database.is_sqlite

    async def look_up(
        self,
        key: Hashable,
        query: UseCase[T],
        *,
        patience_seconds: float = 0,
        fresh: bool = False,
    ) -> T:
        """Return what is known under *key*, else, or if it is to be *fresh*, what *query* finds."""
        known: T | None = None if fresh else self._known.get(key)
        if known is not None:
            return known
        generation = self._generation
        found = await self._database.read(query, patience_seconds=patience_seconds)
        if found and generation == self._generation:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = found
        return found

    async def find_project(self, project_id: str) -> Project | None:
        """Return that project."""

        async def query(tx: Transaction) -> Project | None:
            return await project_rows.find_project(tx, project_id)

        return await self.look_up(("project", project_id), query)

    async def region_of(self, device: Device) -> str | None:
        """Return the default region of the numbers *device* names."""
        if device.region is not None:
            return device.region
        project = await self.find_project(device.project_id)
        return project.region if project else None

    async def note_change(self, tx: Transaction) -> None:
        """Forget everything, here and in every other process, once *tx* is committed."""
        await versions.raise_version(tx, _VERSION)
        tx.after_commit(self._note_changed)

    def _note_changed(self) -> None:
        self.forget()
        self._tell(Notice(About.DIRECTORY))

    def forget(self) -> None:
        """Ask the database again from now on."""
        self._generation += 1
        self._known.clear()

    async def follow(self) -> bool:
        """Forget everything if another process has changed something, and say so; call it often."""

        async def query(tx: Transaction) -> int:
            return await versions.read_version(tx, _VERSION)

        version = await self._database.read(query)
        changed = version != self._version
        if changed:
            self.forget()
            self._version = version
        return changed
