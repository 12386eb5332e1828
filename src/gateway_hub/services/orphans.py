"""Attachment bytes that no message names: left behind where a process ended in the middle."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from gateway_hub.services.attachments import Attachments
from gateway_hub.storage import retention as retention_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_PAUSE_SECONDS = 0.05
_AT_ONCE = 10_000

log = structlog.get_logger(__name__)


class Orphans:
    """Finds and removes bytes that have been in the store for a day and that no message names."""

    def __init__(
        self,
        database: Database,
        attachments: Attachments,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._attachments = attachments
        self._pause = pause

    async def remove_all(self) -> int:
        """Remove them; return how many there were.

        If most of the store is unknown, it is another database's: then nothing is removed.
        """
        named, orphans = 0, list[str]()
        async for keys in self._attachments.list_settled():
            found = await self._find_named(keys)
            named += len(found)
            orphans += [key for key in keys if key not in found]
            if len(orphans) >= _AT_ONCE:
                break
            await self._pause(_PAUSE_SECONDS)
        if len(orphans) > named:
            log.warning("attachments_unknown", unknown=len(orphans), known=named)
            return 0
        await self._attachments.remove(orphans)
        if orphans:
            log.info("orphaned_attachments_removed", removed=len(orphans))
        return len(orphans)

    async def _find_named(self, keys: Sequence[str]) -> set[str]:
        async def query(tx: Transaction) -> set[str]:
            return await retention_rows.find_named(tx, keys)

        return await self._database.read(query)
