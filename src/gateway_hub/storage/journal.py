"""What a transaction has to tell, written with what it does: on disk together, or not at all.

SQLite has one writer, so events go straight into the log. PostgreSQL has many, and numbers that
are drawn in one order may be committed in another: there they go into an inbox, from which
`storage.events` moves them into the log.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.events import MESSAGE_EVENTS, NewEvent, describe_message
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.messages import Attachment, Message
from gateway_hub.storage.driver_sql import insert_sql

_COLUMNS = (
    "id",
    "project_id",
    "type",
    "timestamp",
    "message_id",
    "device_id",
    "route_tag",
    "status_callback",
    "data",
)

_Row = tuple[str | int | None, ...]


class Journal:
    """The events of one transaction, in the order in which they happened."""

    def __init__(self) -> None:
        self._noted: list[Message | NewEvent] = []
        self._attachments: defaultdict[str, list[Attachment]] = defaultdict(list)
        self.rows: list[_Row] = []
        """What is to be written, once it is rendered."""

    def note_messages(self, messages: Iterable[Message]) -> None:
        """Tell of *messages*, each of which is new or has come to another status."""
        self._noted.extend(messages)

    def note_attachments(self, attachments: Iterable[Attachment]) -> None:
        """Take in what belongs to messages of this transaction, in order."""
        for attachment in attachments:
            self._attachments[attachment.message_id].append(attachment)

    def note_event(self, event: NewEvent) -> None:
        """Tell of *event*."""
        self._noted.append(event)

    def render(self) -> None:
        """Make rows of what was noted; what fails in it is the failure of this transaction alone.

        Only now: attachments are stored after their message.
        """
        self.rows = [
            self._to_row(noted) if isinstance(noted, Message) else _to_other_row(noted)
            for noted in self._noted
        ]

    def _to_row(self, message: Message) -> _Row:
        attachments = self._attachments.get(message.id, ())
        return (
            new_id(),
            message.project_id,
            MESSAGE_EVENTS[message.status].value,
            to_epoch_ms(message.updated_at),
            message.id,
            message.device_id or message.route.device_id,
            message.route.tag,
            message.status_callback,
            orjson.dumps(describe_message(message, attachments)).decode(),
        )


def _to_other_row(event: NewEvent) -> _Row:
    return (
        new_id(),
        event.project_id,
        event.type.value,
        to_epoch_ms(event.timestamp),
        None,
        event.device_id,
        None,
        None,
        orjson.dumps(event.data).decode(),
    )


async def write_journals(connection: AsyncConnection, journals: Iterable[Journal]) -> int:
    """Write the events of *journals*, which are in the order of their work; return how many.

    The rows that they tell of are still locked, so that events of one message keep their order.
    """
    rows = [row for journal in journals for row in journal.rows]
    if rows:
        await connection.exec_driver_sql(_insert(connection.dialect.name), rows)
    return len(rows)


@lru_cache
def _insert(dialect: str) -> str:
    return insert_sql(dialect, "event_inbox" if dialect == "postgresql" else "events", _COLUMNS)
