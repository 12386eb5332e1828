"""The plain way to store: each message by an ORM session of its own, with its own commit.

The rows, the indexes and the durability are the hub's. It does not look for what was stored before,
nor for the device that last talked with a contact.
"""

import itertools
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import registry

from gateway_hub.domain.clock import system_clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.phone_posts import PhoneAnswer, PhonePost
from gateway_hub.services.directory import Directory
from gateway_hub.services.exchange import PhoneExchange
from gateway_hub.services.intake import _to_claim, _to_new, expect
from gateway_hub.storage.database import Database
from gateway_hub.storage.engines import create_writer_engine
from gateway_hub.storage.inbound import Receipt
from gateway_hub.storage.inbound import _to_row as _receipt_values
from gateway_hub.storage.messages import NewMessage
from gateway_hub.storage.messages import _to_values as _message_values
from gateway_hub.storage.tables import inbound_receipts
from gateway_hub.storage.tables import messages as message_table
from gateway_hub.storage.tallies import Tally, choose_shard, write_tallies

_mapped = registry()
_turns = itertools.count()
"""Who comes next counts in the next shard, so that few wait for one another."""


class _Row:
    def __init__(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, name, value)


class _MessageRow(_Row):
    """A row of `messages`."""


class _ReceiptRow(_Row):
    """A row of `inbound_receipts`."""


_mapped.map_imperatively(_MessageRow, message_table)
_mapped.map_imperatively(_ReceiptRow, inbound_receipts)

Sessions = async_sessionmaker[AsyncSession]


def open_sessions(database: Database) -> Sessions:
    """Return what makes sessions on *database*, with SQLAlchemy's own pool of connections.

    For SQLite it is one connection: many would only wait for one another, in steps of milliseconds.
    """
    return async_sessionmaker(_engine(database), expire_on_commit=False)


def _engine(database: Database) -> AsyncEngine:
    if database.is_sqlite:
        return create_writer_engine(database.url)
    return create_async_engine(database.url)


async def store_message(
    sessions: Sessions, new: NewMessage, receipt: Receipt | None = None
) -> None:
    """Store a message, with the receipt of one that came in, and count it.

    Raises IntegrityError if it is stored already.
    """
    async with sessions.begin() as session:
        if receipt is not None:
            session.add(_ReceiptRow(_receipt_values(receipt, new.message.created_at)))
        session.add(_MessageRow(_message_values(new)))
        await session.flush()
        connection = await session.connection()
        shard = choose_shard(connection.dialect.name, next(_turns))
        tally = Tally()
        tally.note_added([new.message])
        await write_tallies(connection, [tally], shard=shard)


class PlainExchange(PhoneExchange):
    """Takes in what phones forward. There is no work for any of them."""

    sessions: Sessions
    directory: Directory

    async def exchange(
        self,
        device: Device,
        post: PhonePost,
        *,
        patience_seconds: float,  # noqa: ARG002 - the hub's signature
    ) -> PhoneAnswer:
        """Store what *post* says; a message that is stored already is left as it is."""
        region = await self.directory.region_of(device)
        for arrival in expect(device, region, post.messages):
            new = _to_new(arrival, system_clock())
            with suppress(IntegrityError):
                await store_message(self.sessions, new, _to_claim(arrival))
        return PhoneAnswer()
