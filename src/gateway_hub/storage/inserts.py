"""INSERT … ON CONFLICT, which both databases have and SQLAlchemy spells per dialect."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from gateway_hub.storage.transactions import Transaction


def insert_for(dialect: str, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Return an INSERT into *table* that can say what to do on a conflict."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@lru_cache
def _do_nothing(dialect: str, table: Table) -> Executable:
    return insert_for(dialect, table).on_conflict_do_nothing()


async def insert_if_absent(tx: Transaction, table: Table, values: dict[str, Any]) -> bool:
    """Insert one row; return False, changing nothing, if any unique key of it is taken."""
    result = await tx.execute(_do_nothing(tx.dialect, table), values)
    return result.rowcount == 1


async def insert_all_if_absent(
    tx: Transaction, table: Table, rows: Sequence[dict[str, Any]]
) -> None:
    """Insert *rows*, leaving out those whose unique key is taken."""
    if rows:
        await tx.execute(_do_nothing(tx.dialect, table), rows)
