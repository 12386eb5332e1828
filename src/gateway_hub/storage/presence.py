"""What was last told of each device: read under a lock, so that a change is told once."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import orjson
from sqlalchemy import Executable, bindparam, select, update

from gateway_hub.domain.presence import ToldStatus
from gateway_hub.storage.lists import as_list, is_one_of
from gateway_hub.storage.tables import device_states
from gateway_hub.storage.transactions import Transaction

_QUIET = (
    select(device_states.c.device_id)
    .where(
        device_states.c.told_online.is_(True),
        device_states.c.last_seen_at < bindparam("seen_before"),
        device_states.c.device_id > bindparam("after"),
    )
    .order_by(device_states.c.device_id)
    .limit(bindparam("limit"))
)
_NOTE = (
    update(device_states)
    .where(device_states.c.device_id == bindparam("of_device"))
    .values(told_online=bindparam("online"), told_status=bindparam("status"))
)


@dataclass(frozen=True, slots=True)
class ToldPresence:
    """What was last told of a device, which was last seen then; None: nothing yet."""

    last_seen_at: datetime | None
    online: bool | None
    status: ToldStatus | None


async def lock_presence(tx: Transaction, device_ids: Iterable[str]) -> dict[str, ToldPresence]:
    """Return what was told of the devices; nobody else tells of them until the end of *tx*."""
    ids = as_list(tx.dialect, sorted(device_ids))
    rows = await tx.execute(_lock(tx.dialect), {"device_ids": ids})
    return {
        row.device_id: ToldPresence(
            row.last_seen_at,
            row.told_online,
            None if row.told_status is None else ToldStatus(**orjson.loads(row.told_status)),
        )
        for row in rows
    }


async def note_told(tx: Transaction, told: Mapping[str, tuple[bool, ToldStatus | None]]) -> None:
    """Note what is told of devices that *tx* has locked: whether they are there, how they fare."""
    rows = [
        {
            "of_device": device_id,
            "online": online,
            "status": None if status is None else orjson.dumps(status.as_values()).decode(),
        }
        for device_id, (online, status) in sorted(told.items())
    ]
    if rows:
        await tx.execute(_NOTE, rows)


async def list_quiet(
    tx: Transaction, *, seen_before: datetime, after: str, limit: int
) -> list[str]:
    """Return up to *limit* ids above *after* of devices that are told to be there, and were not
    seen since then."""
    parameters = {"seen_before": seen_before, "after": after, "limit": limit}
    return list((await tx.execute(_QUIET, parameters)).scalars())


@lru_cache
def _lock(dialect: str) -> Executable:
    return (
        select(
            device_states.c.device_id,
            device_states.c.last_seen_at,
            device_states.c.told_online,
            device_states.c.told_status,
        )
        .where(is_one_of(dialect, device_states.c.device_id, "device_ids"))
        .order_by(device_states.c.device_id)
        .with_for_update()
    )
