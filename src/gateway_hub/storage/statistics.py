"""The numbers that are kept of messages: read, folded together, and put right after a recount."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Executable,
    Label,
    Row,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    text,
)

from gateway_hub.domain.devices import Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction
from gateway_hub.domain.routing import served_queues
from gateway_hub.domain.statistics import Count
from gateway_hub.storage.tables import message_counts, messages, queue_backlogs
from gateway_hub.storage.tallies import FOLDED, Counts, adding_to, to_count_rows
from gateway_hub.storage.transactions import Transaction

_FOLD_LOCK = 7_411_680_422

_hour = message_counts.c.hour

_BACKLOG = select(func.coalesce(func.sum(queue_backlogs.c.messages), 0)).where(
    queue_backlogs.c.project_id == bindparam("of_project")
)
_BACKLOG_OF_QUEUES = _BACKLOG.where(queue_backlogs.c.queue.in_(bindparam("queues", expanding=True)))
_TRY_TO_FOLD = select(func.pg_try_advisory_xact_lock(_FOLD_LOCK))
_UNFOLDED_BACKLOGS = select(queue_backlogs).where(queue_backlogs.c.shard != FOLDED)
# Written out, not bound: a planner uses a partial index only if it sees the condition itself.
_UNFOLDED_COUNTS = select(message_counts).where(
    text("message_counts.shard <> 0"), _hour < bindparam("before_hour")
)
_EMPTY_BACKLOGS = delete(queue_backlogs).where(
    queue_backlogs.c.shard == FOLDED, queue_backlogs.c.messages == 0
)
_LOCK = text("LOCK TABLE queue_backlogs, message_counts IN EXCLUSIVE MODE")
_WAITING = (
    select(messages.c.project_id, messages.c.queue, func.count().label("waiting"))
    .where(text("messages.status = 'queued'"), messages.c.queue.is_not(None))
    .group_by(messages.c.project_id, messages.c.queue)
)
_ALL_BACKLOGS = delete(queue_backlogs)
_COUNTS_OF_HOURS = delete(message_counts).where(
    _hour >= bindparam("from_hour"), _hour < bindparam("before_hour")
)


async def count_backlog(tx: Transaction, device: Device) -> int:
    """Return how many queued messages the device could be offered."""
    parameters = {"of_project": device.project_id, "queues": list(served_queues(device))}
    return int((await tx.execute(_BACKLOG_OF_QUEUES, parameters)).scalar_one())


async def count_whole_backlog(tx: Transaction, project_id: str) -> int:
    """Return how many messages of the project are queued."""
    return int((await tx.execute(_BACKLOG, {"of_project": project_id})).scalar_one())


async def list_counts(
    tx: Transaction, project_id: str, *, from_hour: int, before_hour: int, step: int
) -> list[Count]:
    """Return the counts of those hours, *step* hours together, oldest first.

    *from_hour* is a multiple of *step*.
    """
    parameters = {"of_project": project_id, "from_hour": from_hour, "before_hour": before_hour}
    return [
        Count(row.start, Direction(row.direction), Status(row.status), row.messages, row.segments)
        for row in await tx.execute(_counts(step), parameters)
    ]


async def fold_backlogs(tx: Transaction, *, limit: int) -> int:
    """Add up to *limit* shards to the one all have together; return how many it were.

    In a transaction of its own, which waits for nobody.
    """
    folded = await _fold(tx, queue_backlogs, _UNFOLDED_BACKLOGS, {"most": limit})
    await tx.execute(_EMPTY_BACKLOGS)
    return folded


async def fold_counts(tx: Transaction, *, before_hour: int, limit: int) -> int:
    """Do the same with the counts of hours before that one."""
    bounds = {"before_hour": before_hour, "most": limit}
    return await _fold(tx, message_counts, _UNFOLDED_COUNTS, bounds)


async def recount_backlogs(tx: Transaction) -> None:
    """Count anew how many messages wait in each queue."""
    await _lock(tx)
    found = await tx.execute(_WAITING)
    rows = [(row.project_id, row.queue, FOLDED, row.waiting) for row in found]
    await tx.execute(_ALL_BACKLOGS)
    await _add(tx, queue_backlogs, rows)


async def replace_counts(
    tx: Transaction, counts: Counts, *, from_hour: int, before_hour: int
) -> None:
    """Write *counts* of those hours instead of what is there."""
    await _lock(tx)
    await tx.execute(_COUNTS_OF_HOURS, {"from_hour": from_hour, "before_hour": before_hour})
    wanted = {key: size for key, size in counts.items() if from_hour <= key[1] < before_hour}
    await _add(tx, message_counts, to_count_rows(wanted, shard=FOLDED))


async def _lock(tx: Transaction) -> None:
    """Keep everyone from writing numbers until the end of the transaction.

    Whoever has written some is waited for, so that what is read from now on holds their messages
    too. SQLite has one writer.
    """
    if tx.dialect == "postgresql":
        await tx.execute(_LOCK)


async def _fold(
    tx: Transaction, table: Table, unfolded: Select[Any], parameters: dict[str, int]
) -> int:
    """Only one process folds at a time: it alone writes to the shard that all have together."""
    if tx.dialect == "postgresql" and not (await tx.execute(_TRY_TO_FOLD)).scalar_one():
        return 0
    chosen = unfolded.limit(bindparam("most")).with_for_update(skip_locked=True)
    rows = (await tx.execute(chosen, parameters)).all()
    if rows:
        keys = [column for column in table.c if column.primary_key]
        this_row = and_(*(column == bindparam(f"of_{column.name}") for column in keys))
        await tx.execute(
            delete(table).where(this_row),
            [{f"of_{key.name}": getattr(row, key.name) for key in keys} for row in rows],
        )
        await _add(tx, table, _sum_up(table, rows))
    return len(rows)


def _sum_up(table: Table, rows: Sequence[Row[Any]]) -> list[tuple[Any, ...]]:
    keys = [column.name for column in table.primary_key if column.name != "shard"]
    numbers = [column.name for column in table.c if not column.primary_key]
    sums: defaultdict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(numbers))
    for row in rows:
        total = sums[tuple(getattr(row, name) for name in keys)]
        for position, name in enumerate(numbers):
            total[position] += getattr(row, name)
    return [(*key, FOLDED, *sums[key]) for key in sorted(sums)]


async def _add(tx: Transaction, table: Table, rows: list[tuple[Any, ...]]) -> None:
    if rows:
        await tx.execute_many(adding_to(table, tx.dialect), rows)


@lru_cache
def _counts(step: int) -> Executable:
    start: Label[Any] = literal_column(f"hour - hour % {int(step)}").label("start")
    return (
        select(
            start,
            message_counts.c.direction,
            message_counts.c.status,
            func.sum(message_counts.c.messages).label("messages"),
            func.sum(message_counts.c.segments).label("segments"),
        )
        .where(
            message_counts.c.project_id == bindparam("of_project"),
            _hour >= bindparam("from_hour"),
            _hour < bindparam("before_hour"),
        )
        .group_by(start, message_counts.c.direction, message_counts.c.status)
        .order_by(start, message_counts.c.direction, message_counts.c.status)
    )
