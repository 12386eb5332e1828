"""Moments that every process has to know of."""

from datetime import datetime
from functools import lru_cache

from sqlalchemy import Executable, bindparam, select

from gateway_hub.storage.inserts import insert_for
from gateway_hub.storage.tables import marks
from gateway_hub.storage.transactions import Transaction

REMOVED_UNTIL = "removed_until"
"""Before this, messages may have been removed: what happened to them then cannot be counted."""

_READ = select(marks.c.moment).where(marks.c.name == bindparam("of_name"))


async def find_mark(tx: Transaction, name: str) -> datetime | None:
    """Return the latest moment that *name* was raised to."""
    return (await tx.execute(_READ, {"of_name": name})).scalar_one_or_none()


async def raise_mark(tx: Transaction, name: str, moment: datetime) -> None:
    """Note *moment* under *name*, unless a later one is noted there."""
    await tx.execute(_raise(tx.dialect), {"name": name, "moment": moment})


@lru_cache
def _raise(dialect: str) -> Executable:
    statement = insert_for(dialect, marks)
    return statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"moment": statement.excluded.moment},
        where=marks.c.moment < statement.excluded.moment,
    )
