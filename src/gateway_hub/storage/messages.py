"""Messages of both directions, and what belongs to each: attachments, attempts, reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Executable,
    Select,
    bindparam,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.engine import Row

from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.ids import first_id_at
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import (
    Attachment,
    Direction,
    IfUncertain,
    Message,
    MessageError,
    MessageFilter,
    MessageType,
    Route,
)
from gateway_hub.domain.segments import Encoding
from gateway_hub.storage.inserts import insert_all_if_absent, insert_if_absent
from gateway_hub.storage.lists import as_list, is_one_of, list_of
from gateway_hub.storage.tables import attachments, inbound_receipts, messages
from gateway_hub.storage.tags import belongs_to_tag
from gateway_hub.storage.transactions import Transaction

_COLUMNS = [column for column in messages.c if column.name != "text_original"]
LOCKED_MESSAGE = select(*_COLUMNS, literal(0).label("repeats"))
"""Of a statement that locks, which cannot lock the outer side of a join: `repeats` is not read."""

_MESSAGE = select(*_COLUMNS, inbound_receipts.c.repeats).select_from(
    messages.outerjoin(inbound_receipts, inbound_receipts.c.message_id == messages.c.id)
)
_BY_ID = _MESSAGE.where(
    messages.c.id == bindparam("message_id"), messages.c.project_id == bindparam("of_project")
)
_LOCK = LOCKED_MESSAGE.order_by(messages.c.id).with_for_update()
_ALL_FROM = (
    LOCKED_MESSAGE.where(messages.c.id > bindparam("after"))
    .order_by(messages.c.id)
    .limit(bindparam("limit"))
)
_ATTACHMENTS = (
    select(attachments)
    .where(attachments.c.message_id.in_(bindparam("message_ids", expanding=True)))
    .order_by(attachments.c.message_id, attachments.c.position)
)
_ATTACHMENT_BY_ID = (
    select(attachments)
    .join(messages, messages.c.id == attachments.c.message_id)
    .where(
        attachments.c.id == bindparam("attachment_id"),
        messages.c.project_id == bindparam("of_project"),
    )
)
_SAVE_PROGRESS = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(
        status=bindparam("new_status"),
        device_id=bindparam("new_device_id"),
        device_protocol=bindparam("new_device_protocol"),
        attempt_count=bindparam("new_attempt_count"),
        error_code=bindparam("new_error_code"),
        error_message=bindparam("new_error_message"),
        reached=bindparam("new_reached"),
        queue=bindparam("new_queue"),
        preferred_until=bindparam("new_preferred_until"),
        due_at=bindparam("new_due_at"),
        cancel_requested_at=bindparam("new_cancel_requested_at"),
        updated_at=bindparam("new_updated_at"),
    )
)


_IDS_DIFFER_BY = timedelta(days=1)
"""How far the time in a message's id may be from when it was stored: a wall clock may be set back.

The ids bound what is read of a large table."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be stored, with what only the database needs to know of it."""

    message: Message
    text_original: bytes | None = None


async def add_messages(tx: Transaction, new: Iterable[NewMessage]) -> None:
    """Store *new*; one that is stored already, by a run of this before, is left as it is."""
    added = list(new)
    if tx.is_repeat:
        added = [item for item in added if await insert_if_absent(tx, messages, _to_values(item))]
    else:
        await insert_all_if_absent(tx, messages, [_to_values(item) for item in added])
    stored = [item.message for item in added]
    tx.tally.note_added(stored)
    tx.journal.note_messages(stored)


async def add_attachments(tx: Transaction, new: Iterable[Attachment]) -> None:
    """Store *new*; their bytes are in the attachment store already."""
    added = list(new)
    rows = [
        {column.name: getattr(attachment, column.name) for column in attachments.c}
        for attachment in added
    ]
    await insert_all_if_absent(tx, attachments, rows)
    tx.journal.note_attachments(added)


async def find_message(
    tx: Transaction, project_id: str, message_id: str, tag: str | None = None
) -> Message | None:
    """Return that message of that project, if it belongs to *tag*; None: to any."""
    parameters = {"message_id": message_id, "of_project": project_id, "within_tag": tag}
    statement = _BY_ID if tag is None else _by_id_within_tag(tx.dialect)
    row = (await tx.execute(statement, parameters)).one_or_none()
    return _to_message(row) if row else None


@lru_cache
def _by_id_within_tag(dialect: str) -> Executable:
    return _BY_ID.where(belongs_to_tag(dialect, "within_tag"))


async def lock_messages(tx: Transaction, message_ids: Iterable[str]) -> dict[str, Message]:
    """Return *message_ids* by id; nobody else changes them until the end of the transaction.

    They are locked in the order of their ids, so that two who lock several do not block each other.
    """
    wanted = sorted(set(message_ids))
    if not wanted:
        return {}
    ids = as_list(tx.dialect, wanted)
    rows = await tx.execute(_lock(tx.dialect), {"message_ids": ids})
    return {message.id: message for message in read_locked(tx, rows)}


def read_locked(tx: Transaction, rows: Iterable[Row[Any]]) -> list[Message]:
    """Return the messages that *rows* of `LOCKED_MESSAGE` stand for; they may be changed now."""
    locked = [_to_message(row) for row in rows]
    for message in locked:
        tx.tally.note_locked(message)
    return locked


@lru_cache
def _lock(dialect: str) -> Executable:
    return _LOCK.where(is_one_of(dialect, messages.c.id, "message_ids"))


async def list_messages(
    tx: Transaction, project_id: str, wanted: MessageFilter, *, before: str, limit: int
) -> list[Message]:
    """Return up to *limit* messages with ids below *before*, newest first."""
    statement = (
        _filter(_MESSAGE, wanted, tx.dialect)
        .where(messages.c.project_id == project_id, messages.c.id < before)
        .order_by(messages.c.id.desc())
        .limit(limit)
    )
    return [_to_message(row) for row in await tx.execute(statement)]


async def list_from(tx: Transaction, *, after: str, limit: int) -> list[Message]:
    """Return up to *limit* messages of any project with ids above *after*, oldest first."""
    rows = await tx.execute(_ALL_FROM, {"after": after, "limit": limit})
    return [_to_message(row) for row in rows]


async def find_attachments(tx: Transaction, message_ids: Sequence[str]) -> list[Attachment]:
    """Return the attachments of *message_ids*, in order."""
    if not message_ids:
        return []
    rows = await tx.execute(_ATTACHMENTS, {"message_ids": list(message_ids)})
    return [Attachment(**row._mapping) for row in rows]


async def find_attachment(
    tx: Transaction, project_id: str, attachment_id: str, tag: str | None = None
) -> Attachment | None:
    """Return that attachment, if its message belongs to that project, and to *tag* if not None."""
    parameters = {"attachment_id": attachment_id, "of_project": project_id, "within_tag": tag}
    statement = _ATTACHMENT_BY_ID if tag is None else _attachment_within_tag(tx.dialect)
    row = (await tx.execute(statement, parameters)).one_or_none()
    return Attachment(**row._mapping) if row else None


@lru_cache
def _attachment_within_tag(dialect: str) -> Executable:
    return _ATTACHMENT_BY_ID.where(belongs_to_tag(dialect, "within_tag"))


async def find_last_devices(
    tx: Transaction, project_id: str, contact_keys: Iterable[str]
) -> dict[str, str]:
    """Return by contact the device that last talked with them, in either direction."""
    contacts = as_list(tx.dialect, sorted(set(contact_keys)))
    parameters = {"of_project": project_id, "contacts": contacts}
    rows = await tx.execute(_last_devices(tx.dialect), parameters)
    return {row.contact: row.device_id for row in rows if row.device_id is not None}


@lru_cache
def _last_devices(dialect: str) -> Executable:
    contact = list_of(dialect, "contacts").c.value
    last = (
        select(messages.c.device_id)
        .where(
            messages.c.project_id == bindparam("of_project"),
            messages.c.contact_key == contact,
            messages.c.device_id.is_not(None),
        )
        .order_by(messages.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(contact.label("contact"), last.label("device_id"))


async def save_progress(tx: Transaction, changed: Iterable[Message]) -> None:
    """Write what a message's life changes: status, device, attempts, error and reached times.

    Of messages that this transaction has locked.
    """
    changed = list(changed)
    tx.journal.note_messages(tx.tally.note_changed(changed))
    rows = [
        {
            "message_id": message.id,
            "new_status": message.status,
            "new_device_id": message.device_id,
            "new_device_protocol": message.device_protocol,
            "new_attempt_count": message.attempt_count,
            "new_error_code": message.error.code if message.error else None,
            "new_error_message": message.error.message if message.error else None,
            "new_reached": message.reached,
            "new_queue": message.queue,
            "new_preferred_until": message.preferred_until,
            "new_due_at": message.due_at,
            "new_cancel_requested_at": message.cancel_requested_at,
            "new_updated_at": message.updated_at,
        }
        for message in changed
    ]
    if rows:
        await tx.execute(_SAVE_PROGRESS, rows)


def _filter(statement: Select[Any], wanted: MessageFilter, dialect: str) -> Select[Any]:
    """Return *statement* with a condition for each field of *wanted* that is given."""
    columns = messages.c
    given = {
        columns.direction: wanted.direction,
        columns.type: wanted.type,
        columns.device_id: wanted.device_id,
        columns.reference: wanted.reference,
    }
    for column, value in given.items():
        if value is not None:
            statement = statement.where(column == value)
    if wanted.contact_keys is not None:
        statement = statement.where(columns.contact_key.in_(wanted.contact_keys))
    if wanted.status is not None:
        # Written out: a planner uses a partial index only if it sees the condition itself.
        statement = statement.where(literal_column(f"messages.status = '{wanted.status.value}'"))
    if wanted.created_after is not None:
        earliest = first_id_at(to_epoch_ms(wanted.created_after - _IDS_DIFFER_BY))
        statement = statement.where(
            columns.created_at > wanted.created_after, columns.id > earliest
        )
    if wanted.created_before is not None:
        latest = first_id_at(to_epoch_ms(wanted.created_before + _IDS_DIFFER_BY))
        statement = statement.where(columns.created_at < wanted.created_before, columns.id < latest)
    if wanted.search is not None:
        statement = statement.where(columns.text.icontains(wanted.search, autoescape=True))
    for name, tag in (("tag", wanted.tag), ("within_tag", wanted.within_tag)):
        if tag is not None:
            statement = statement.where(belongs_to_tag(dialect, name)).params({name: tag})
    return statement


def _to_message(row: Row[Any]) -> Message:
    """Return the message a row of the messages table stands for."""
    return Message(
        id=row.id,
        project_id=row.project_id,
        direction=Direction(row.direction),
        type=MessageType(row.type),
        status=Status(row.status),
        text=row.text,
        created_at=row.created_at,
        updated_at=row.updated_at,
        from_number=row.from_number,
        to_number=row.to_number,
        from_e164=row.from_e164,
        to_e164=row.to_e164,
        encoding=Encoding(row.encoding) if row.encoding else None,
        segments=row.segments,
        route=Route(device_id=row.route_device_id, tag=row.route_tag),
        device_id=row.device_id,
        device_protocol=Protocol(row.device_protocol) if row.device_protocol else None,
        priority=row.priority,
        send_at=row.send_at,
        expires_at=row.expires_at,
        max_attempts=row.max_attempts,
        attempt_count=row.attempt_count,
        if_uncertain=IfUncertain(row.if_uncertain),
        reference=row.reference,
        metadata=row.metadata,
        error=MessageError(row.error_code, row.error_message) if row.error_code else None,
        reached=row.reached,
        contact_key=row.contact_key,
        due_at=row.due_at,
        queue=row.queue,
        preferred_until=row.preferred_until,
        cancel_requested_at=row.cancel_requested_at,
        sms_sent_at=row.sms_sent_at,
        sms_received_at=row.sms_received_at,
        status_callback=row.status_callback,
        repeats=row.repeats or 0,
    )


def _to_values(new: NewMessage) -> dict[str, Any]:
    message = new.message
    return {
        "id": message.id,
        "project_id": message.project_id,
        "direction": message.direction,
        "type": message.type,
        "status": message.status,
        "text": message.text,
        "text_original": new.text_original,
        "from_number": message.from_number,
        "to_number": message.to_number,
        "from_e164": message.from_e164,
        "to_e164": message.to_e164,
        "contact_key": message.contact_key,
        "encoding": message.encoding,
        "segments": message.segments,
        "route_device_id": message.route.device_id,
        "route_tag": message.route.tag,
        "queue": message.queue,
        "preferred_until": message.preferred_until,
        "due_at": message.due_at,
        "cancel_requested_at": message.cancel_requested_at,
        "device_id": message.device_id,
        "device_protocol": message.device_protocol,
        "priority": message.priority,
        "send_at": message.send_at,
        "expires_at": message.expires_at,
        "max_attempts": message.max_attempts,
        "attempt_count": message.attempt_count,
        "if_uncertain": message.if_uncertain,
        "reference": message.reference,
        "metadata": message.metadata,
        "error_code": message.error.code if message.error else None,
        "error_message": message.error.message if message.error else None,
        "reached": message.reached,
        "sms_sent_at": message.sms_sent_at,
        "sms_received_at": message.sms_received_at,
        "created_at": message.created_at,
        "updated_at": message.updated_at,
        "status_callback": message.status_callback,
    }
