"""Numbers that are kept, so that nobody has to count messages: how many wait in each queue, and how
many reached each status in each hour.

A transaction notes what it does to messages; what that adds up to is written once for all who share
a commit. Each writer has rows of its own, a shard, so that none waits for another's commit; whoever
reads a number sums its shards.
"""

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, Message
from gateway_hub.domain.statistics import hour_of
from gateway_hub.storage.driver_sql import insert_sql
from gateway_hub.storage.tables import message_counts, queue_backlogs

FOLDED = 0
"""The shard into which the others are folded. Writers on PostgreSQL, who may be many, leave it
alone, so that folding waits for none of them; the one writer of SQLite has no other."""

_SHARDS = 16

Counts = dict[tuple[str, int, str, str], list[int]]
"""Messages and segments, by project, hour since 1970, direction and status."""

_Waiting = Counter[tuple[str, str]]
"""How many more messages wait, by project and queue."""

_Reached = defaultdict[tuple[str, Direction, str, str | datetime], list[int]]
"""Messages and segments, by project, direction, status and the moment it was reached."""


class Tally:
    """What one transaction does to messages, and what that adds to the kept numbers."""

    def __init__(self) -> None:
        self._locked: dict[str, Message] = {}
        self.waiting: _Waiting = Counter()
        self.reached: _Reached = defaultdict(lambda: [0, 0])

    def note_locked(self, message: Message) -> None:
        """Take in *message* as it stands; nobody else changes it until the transaction ends."""
        self._locked[message.id] = message

    def note_added(self, messages: Iterable[Message]) -> None:
        """Count *messages*, which were not there before."""
        for message in messages:
            if message.status is Status.QUEUED and message.queue is not None:
                self.waiting[message.project_id, message.queue] += 1
            if message.direction is Direction.INBOUND:
                self._note_reached(message, message.status, message.created_at)
            for status, moment in message.reached.items():
                self._note_reached(message, status, moment)

    def note_changed(self, messages: Iterable[Message]) -> list[Message]:
        """Count what has changed in *messages* since they were locked or last changed.

        Return those that have another status now. Raises RuntimeError for one that this
        transaction has not locked: what it was before would be a guess.
        """
        moved: list[Message] = []
        for message in messages:
            before = self._locked.get(message.id)
            if before is None:
                raise RuntimeError(f"message {message.id} was changed without being locked")
            self._locked[message.id] = message
            if before.status is Status.QUEUED and before.queue is not None:
                self.waiting[before.project_id, before.queue] -= 1
            if message.status is Status.QUEUED and message.queue is not None:
                self.waiting[message.project_id, message.queue] += 1
            for status, moment in message.reached.items():
                if status not in before.reached:
                    self._note_reached(message, status, moment)
            if message.status is not before.status:
                moved.append(message)
        return moved

    def add_counts_to(self, counts: Counts) -> None:
        """Add to *counts* what was reached."""
        for (project_id, direction, status, moment), (messages, segments) in self.reached.items():
            size = counts.setdefault((project_id, _hour_of(moment), direction, status), [0, 0])
            size[0] += messages
            size[1] += segments

    def _note_reached(self, message: Message, status: str, moment: str | datetime) -> None:
        size = self.reached[message.project_id, message.direction, status, moment]
        size[0] += 1
        size[1] += message.segments or 0


def choose_shard(dialect: str, writer: int) -> int:
    """Return the shard of the writer with that number: no two of one process have the same."""
    if dialect == "sqlite":
        return FOLDED
    return 1 + (_first_shard() + writer) % _SHARDS


async def write_tallies(
    connection: AsyncConnection, tallies: Iterable[Tally], *, shard: int
) -> None:
    """Add *tallies* to the numbers of *shard*: the last thing before the commit.

    In the order of the keys, so that two who meet in a row do not wait for each other.
    """
    waiting: _Waiting = Counter()
    counts: Counts = {}
    for tally in tallies:
        waiting.update(tally.waiting)
        tally.add_counts_to(counts)
    changes = [(*key, shard, change) for key, change in sorted(waiting.items()) if change]
    await _add(connection, queue_backlogs, changes)
    await _add(connection, message_counts, to_count_rows(counts, shard=shard))


def to_count_rows(counts: Counts, *, shard: int) -> list[tuple[str | int, ...]]:
    """Return the rows of *counts*, in the order of their keys."""
    return [(*key, shard, *counts[key]) for key in sorted(counts)]


async def _add(
    connection: AsyncConnection, table: Table, rows: Sequence[tuple[str | int, ...]]
) -> None:
    if rows:
        await connection.exec_driver_sql(adding_to(table, connection.dialect.name), list(rows))


@lru_cache
def adding_to(table: Table, dialect: str) -> str:
    """Return the statement, in the driver's own form, that adds a row's numbers to those there."""
    key = ", ".join(column.name for column in table.c if column.primary_key)
    sums = ", ".join(
        f"{column.name} = {table.name}.{column.name} + excluded.{column.name}"
        for column in table.c
        if not column.primary_key
    )
    insert = insert_sql(dialect, table.name, (column.name for column in table.c))
    return f"{insert} ON CONFLICT ({key}) DO UPDATE SET {sums}"


@lru_cache
def _hour_of(moment: str | datetime) -> int:
    return hour_of(datetime.fromisoformat(moment) if isinstance(moment, str) else moment)


@lru_cache
def _first_shard() -> int:
    return secrets.randbelow(_SHARDS)
