"""Column types that behave alike on SQLite and PostgreSQL."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Dialect, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from gateway_hub.domain.clock import from_epoch_ms, to_epoch_ms

ID_LENGTH = 36


class UtcMoment(TypeDecorator[datetime]):
    """An aware UTC moment, kept as epoch milliseconds.

    SQLite has no time type and drops zones; the same whole number on both databases sorts,
    compares and indexes alike, and is what both phone protocols use.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - the base class names it
        """Return *value* as epoch milliseconds."""
        return None if value is None else to_epoch_ms(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base class names it
        """Return the stored milliseconds as an aware moment."""
        return None if value is None else from_epoch_ms(value)


def json_column_type() -> JSON:
    """Return JSON for SQLite, JSONB for PostgreSQL."""
    return JSON().with_variant(JSONB(), "postgresql")


def id_type() -> String:
    """Return the type of an id: UUIDv7 as 36 characters of text."""
    return String(ID_LENGTH)
