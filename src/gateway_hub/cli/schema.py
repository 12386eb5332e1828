"""The database schema: where it is, to head, back; and the refusal to work with another one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway_hub.cli.explanations import explaining
from gateway_hub.cli.failures import CommandError
from gateway_hub.settings import Settings
from gateway_hub.storage import migrations
from gateway_hub.storage.database import Database
from gateway_hub.storage.engines import (
    create_reader_engine,
    create_writer_engine,
    is_sqlite,
    normalise_url,
)
from gateway_hub.storage.postgres_urls import ParameterError


@dataclass(frozen=True, slots=True)
class Revisions:
    """Where a schema is (None: empty) and where this version wants it."""

    current: str | None
    head: str | None

    @property
    def at_head(self) -> bool:
        """Whether this version works with the schema."""
        return self.current == self.head


def find_sqlite_file(settings: Settings) -> Path | None:
    """Return the database file, whether or not it exists; None for PostgreSQL.

    Raises CommandError for a URL of any other database.
    """
    with _naming("GATEWAY_HUB_DATABASE_URL"):
        url = normalise_url(settings.effective_database_url)
    if settings.direct_database_url is not None:
        with _naming("GATEWAY_HUB_DIRECT_DATABASE_URL"):
            normalise_url(settings.direct_database_url)
    return Path(url.database) if is_sqlite(url) and url.database else None


@contextmanager
def _naming(setting: str) -> Iterator[None]:
    try:
        yield
    except ParameterError as error:
        raise CommandError(f"a setting is wrong: {setting}: {error}") from error
    except Exception as error:
        raise CommandError(
            f"{setting} must begin with sqlite+aiosqlite:/// or postgresql+asyncpg://"
        ) from error


async def read_revisions(settings: Settings) -> Revisions:
    """Return where the schema is; changes nothing and makes no file."""
    file = find_sqlite_file(settings)
    if file is not None and not file.exists():
        return Revisions(None, migrations.head_revision())
    engine = create_reader_engine(normalise_url(settings.effective_database_url))
    try:
        with explaining(settings):
            async with engine.connect() as connection:
                current = await connection.run_sync(migrations.current_revision)
    finally:
        await engine.dispose()
    return Revisions(current, migrations.head_revision())


async def require_head(settings: Settings) -> None:
    """Raise CommandError unless the schema is the one this version works with."""
    revisions = await read_revisions(settings)
    if not revisions.at_head:
        raise CommandError(
            f"the database schema is at {revisions.current or 'nothing'} and this version needs "
            f"{revisions.head}. Run: gateway-hub db upgrade"
        )


async def upgrade(settings: Settings) -> Revisions:
    """Bring the schema to head and return where it was; a running hub on SQLite refuses this."""
    before = await read_revisions(settings)
    with explaining(settings):
        database = Database(settings.effective_database_url, settings.direct_database_url)
        try:
            await database.start(migrate=True)
        finally:
            await database.stop()
    return before


async def downgrade(settings: Settings, revision: str) -> Revisions:
    """Take the schema back to *revision* and return where it is then."""
    with explaining(settings):
        database = Database(settings.effective_database_url, settings.direct_database_url)
        engine = create_writer_engine(database.direct_url)
        try:
            await database.start(migrate=False)  # takes the lock of a SQLite file
            async with engine.connect() as connection:
                await connection.run_sync(migrations.downgrade, revision)
        finally:
            await engine.dispose()
            await database.stop()
    return await read_revisions(settings)
