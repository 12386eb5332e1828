"""Counters that tell every process that something it keeps in memory has changed."""

from functools import lru_cache

from sqlalchemy import Executable, bindparam, select

from gateway_hub.storage.inserts import insert_for
from gateway_hub.storage.tables import versions
from gateway_hub.storage.transactions import Transaction

_READ = select(versions.c.version).where(versions.c.name == bindparam("of_name"))


async def read_version(tx: Transaction, name: str) -> int:
    """Return the version of *name*; 0 before anything has changed."""
    return (await tx.execute(_READ, {"of_name": name})).scalar_one_or_none() or 0


async def raise_version(tx: Transaction, name: str) -> None:
    """Count a change of *name*; those who change it at the same moment wait for one another."""
    await tx.execute(_raise(tx.dialect), {"name": name, "version": 1})


@lru_cache
def _raise(dialect: str) -> Executable:
    return insert_for(dialect, versions).on_conflict_do_update(
        index_elements=["name"], set_={"version": versions.c.version + 1}
    )
