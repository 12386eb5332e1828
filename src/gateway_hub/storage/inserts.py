"""INSERT … ON CONFLICT, which both databases have and SQLAlchemy spells per dialect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import JSON, Executable, Table
from sqlalchemy.dialects import postgresql, sqlite

from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.storage.column_types import UtcMoment
from gateway_hub.storage.driver_sql import insert_sql
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
    """Insert *rows*, which all name the same columns, leaving out those whose key is taken."""
    if rows:
        insert = _driver_insert(tx.dialect, table, tuple(rows[0]))
        await tx.execute_many(insert.sql, [insert.to_parameters(row) for row in rows])


@dataclass(frozen=True, slots=True)
class _DriverInsert:
    """An INSERT as the driver takes it: SQLAlchemy's own way costs several times as much a row."""

    sql: str
    columns: tuple[str, ...]
    converters: tuple[tuple[int, Callable[[Any], Any]], ...]

    def to_parameters(self, row: dict[str, Any]) -> tuple[Any, ...]:
        values = [row[name] for name in self.columns]
        for position, convert in self.converters:
            if values[position] is not None:
                values[position] = convert(values[position])
        return tuple(values)


@lru_cache
def _driver_insert(dialect: str, table: Table, columns: tuple[str, ...]) -> _DriverInsert:
    sql = f"{insert_sql(dialect, table.name, columns)} ON CONFLICT DO NOTHING"
    converters = [
        (position, convert)
        for position, name in enumerate(columns)
        if (convert := _find_converter(table.c[name].type)) is not None
    ]
    return _DriverInsert(sql, columns, tuple(converters))


def _find_converter(column_type: object) -> Callable[[Any], Any] | None:
    if isinstance(column_type, UtcMoment):
        return to_epoch_ms
    if isinstance(column_type, JSON):
        return _to_json
    return None


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()
