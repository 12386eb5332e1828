"""What the kept numbers ought to be: counted from the messages, by other means than the hub's."""

import json
from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import text

from gateway_hub.services.hub import Hub

Numbers = Counter[tuple[Any, ...]]


async def read(hub: Hub, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows that *sql* finds on a connection of its own."""
    async with hub.database._reader.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def change_by_hand(hub: Hub, sql: str) -> None:
    """Do *sql* behind the hub's back."""
    async with hub.database._writer.begin() as connection:
        await connection.execute(text(sql))


async def kept_backlogs(hub: Hub) -> Numbers:
    """Return the backlog of each queue as it is kept, without those of nothing."""
    rows = await read(hub, "SELECT project_id, queue, messages FROM queue_backlogs")
    return _add_up(rows)


async def counted_backlogs(hub: Hub) -> Numbers:
    """Return how many messages really wait in each queue."""
    rows = await read(hub, "SELECT project_id, queue FROM messages WHERE status = 'queued'")
    return Counter(rows)


async def kept_counts(hub: Hub) -> Numbers:
    """Return messages and segments by project, hour, direction and status, as they are kept."""
    rows = await read(
        hub,
        "SELECT project_id, hour, direction, status, 'messages', messages FROM message_counts"
        " UNION ALL "
        "SELECT project_id, hour, direction, status, 'segments', segments FROM message_counts",
    )
    return _add_up(rows)


async def counted_counts(hub: Hub) -> Numbers:
    """Return the same from what the messages themselves tell."""
    numbers: Numbers = Counter()
    rows = await read(
        hub, "SELECT project_id, direction, created_at, reached, segments FROM messages"
    )
    for project_id, direction, created_at, reached, segments in rows:
        moments = json.loads(reached) if isinstance(reached, str) else reached
        hours = {status: _hour(moment) for status, moment in moments.items()}
        if direction == "inbound":
            hours = {"received": created_at // 3_600_000}
        for status, hour in hours.items():
            key = (project_id, hour, direction, status)
            numbers[(*key, "messages")] += 1
            numbers[(*key, "segments")] += segments or 0
    return +numbers


def _add_up(rows: list[tuple[Any, ...]]) -> Numbers:
    """Return the sums of the last field by the others, without those that are 0."""
    numbers: Numbers = Counter()
    for *key, number in rows:
        numbers[tuple(key)] += number
    return Counter({key: number for key, number in numbers.items() if number})


def _hour(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp()) // 3600


async def check_numbers(hub: Hub) -> None:
    """Fail unless what is kept is what there is."""
    assert await kept_backlogs(hub) == await counted_backlogs(hub)
    assert await kept_counts(hub) == await counted_counts(hub)
