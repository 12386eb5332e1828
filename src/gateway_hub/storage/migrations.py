"""Alembic, driven from code: the scripts are in the wheel, or beside ``src`` in a checkout."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

_PACKAGE = Path(__file__).resolve().parent.parent
_MIGRATION_LOCK = 7_411_680_421


def script_directory() -> Path:
    """Return the folder of the migration scripts."""
    packaged = _PACKAGE / "_alembic"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "alembic"


def make_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration; *connection* is used instead of opening one."""
    config = Config()
    config.set_main_option("script_location", str(script_directory()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the missing migrations on *connection*: all of them or, if one fails, none.

    On SQLite none that came before is undone. On PostgreSQL one process at a time, held by an
    advisory lock; the others wait and find nothing left to do.
    """
    with _alone(connection):
        command.upgrade(make_config(connection), revision)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Keep other processes from migrating; without the time limit of a request's statements.

    On PostgreSQL all is one transaction: a pooler takes away with it what a session would hold.
    """
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.commit()
    with connection.begin():
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        yield


def downgrade(connection: Connection, revision: str) -> None:
    """Take the schema back to *revision*."""
    with _alone(connection):
        command.downgrade(make_config(connection), revision)


def current_revision(connection: Connection) -> str | None:
    """Return the revision the database is at, None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str | None:
    """Return the newest revision there is a script for."""
    return ScriptDirectory.from_config(make_config()).get_current_head()


def is_at_head(connection: Connection) -> bool:
    """Say whether the schema is the one this version works with."""
    return current_revision(connection) == head_revision()
