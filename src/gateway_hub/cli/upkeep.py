"""Work on the rows of a database: removing old ones, counting anew."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from gateway_hub.cli.explanations import explaining
from gateway_hub.cli.schema import require_head
from gateway_hub.domain.clock import system_clock
from gateway_hub.ops.logging import configure_logging
from gateway_hub.services.attachments import Attachments
from gateway_hub.services.orphans import Orphans
from gateway_hub.services.retention import Purged, Retention
from gateway_hub.services.statistics import Statistics
from gateway_hub.settings import Settings
from gateway_hub.storage.blobs import FileBlobStore
from gateway_hub.storage.database import Database


async def count_old(settings: Settings, days: int) -> Purged:
    """Return what `remove_old` would remove now."""
    async with _opened(settings) as database:
        return await _retention(settings, database).count(timedelta(days=days))


async def remove_old(settings: Settings, days: int, on_step: Callable[[Purged], None]) -> Purged:
    """Remove what has been over for so many days, then bytes that no message names."""
    async with _opened(settings) as database:
        purged = await _retention(settings, database).purge(timedelta(days=days), on_step)
        await Orphans(database, _attachments(settings)).remove_all()
        return purged


async def recount(settings: Settings) -> int:
    """Put right the numbers that are kept of messages; return how many messages there are."""
    async with _opened(settings) as database:
        return await Statistics(database, system_clock).recount()


def _retention(settings: Settings, database: Database) -> Retention:
    return Retention(database, _attachments(settings), system_clock, keep=None)


def _attachments(settings: Settings) -> Attachments:
    return Attachments(FileBlobStore(settings.data_dir / "attachments"))


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database around the block; a running hub on SQLite refuses this."""
    configure_logging("WARNING", settings.log_format)
    await require_head(settings)
    with explaining(settings):
        database = Database(settings.effective_database_url, settings.direct_database_url)
        try:
            await database.start(migrate=False)
            yield database
        finally:
            await database.stop()
