"""Conditions over lists of any length in one statement, so that the database plans it once.

An expanded ``IN (…)`` is another statement for each length.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import ColumnElement, String, TableValuedAlias, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.expression import any_


def list_of(dialect: str, name: str) -> TableValuedAlias:
    """Return the texts bound, by `as_list`, as *name*: rows of one column, ``value``."""
    if dialect == "postgresql":
        texts = func.unnest(bindparam(name, type_=ARRAY(String)))
        return texts.table_valued("value").render_derived()
    return func.json_each(bindparam(name, type_=String)).table_valued("value")


def is_one_of(dialect: str, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Return the condition that *column* is among the texts bound, by `as_list`, as *name*."""
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(String)))
    return column.in_(select(list_of(dialect, name).c.value))


def as_list(dialect: str, values: Iterable[str]) -> list[str] | str:
    """Return *values* as `is_one_of` wants them bound."""
    wanted = list(values)
    return wanted if dialect == "postgresql" else orjson.dumps(wanted).decode()
