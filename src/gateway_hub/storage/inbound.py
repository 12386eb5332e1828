"""What phones forward: receipts that make a message one however often it comes, and quarantine."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Executable, bindparam, func, select

from gateway_hub.domain.ids import new_id
from gateway_hub.domain.phone_posts import QuarantinedItem
from gateway_hub.storage.inserts import insert_for
from gateway_hub.storage.tables import inbound_receipts, quarantine
from gateway_hub.storage.transactions import Transaction

_QUARANTINE_PAGE = (
    select(quarantine)
    .where(quarantine.c.device_id == bindparam("of_device"), quarantine.c.id < bindparam("before"))
    .order_by(quarantine.c.id.desc())
    .limit(bindparam("limit"))
)
_QUARANTINE_COUNT = select(func.coalesce(func.sum(quarantine.c.seen), 0)).where(
    quarantine.c.device_id == bindparam("of_device")
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The first sight of an inbound message; *message_id* names the message it is stored as."""

    message_id: str
    content_digest: bytes
    repeats: int


@dataclass(frozen=True, slots=True)
class QuarantineRecord:
    """A bad item as it came, and how often."""

    id: str
    kind: str
    detail: str
    raw: str
    seen: int
    first_seen_at: datetime
    last_seen_at: datetime


async def record_receipt(
    tx: Transaction,
    *,
    device_id: str,
    dedupe_key: str,
    message_id: str,
    content_digest: bytes,
    now: datetime,
) -> Receipt:
    """Claim *dedupe_key* for *message_id*, or count a repeat; return whose it is.

    One statement, so that two requests with the same message at the same moment cannot both be
    the first: the second waits for the first to commit.
    """
    row = (
        await tx.execute(
            _claim_receipt(tx.dialect),
            {
                "device_id": device_id,
                "dedupe_key": dedupe_key,
                "message_id": message_id,
                "content_digest": content_digest,
                "first_seen_at": now,
                "repeats": 0,
                "last_repeat_at": None,
            },
        )
    ).one()
    return Receipt(**row._mapping)


async def put_aside(
    tx: Transaction,
    *,
    project_id: str,
    device_id: str,
    items: Iterable[QuarantinedItem],
    now: datetime,
) -> None:
    """Store *items* for the operator; one that came before is counted, not stored again."""
    for item in items:
        await tx.execute(
            _add_or_count(tx.dialect),
            {
                "id": new_id(),
                "project_id": project_id,
                "device_id": device_id,
                "digest": _digest(item),
                "kind": item.kind,
                "detail": item.detail,
                "raw": item.raw,
                "seen": 1,
                "first_seen_at": now,
                "last_seen_at": now,
            },
        )


async def list_quarantine(
    tx: Transaction, device_id: str, *, before: str, limit: int
) -> list[QuarantineRecord]:
    """Return up to *limit* records of the device with ids below *before*, newest first."""
    rows = await tx.execute(
        _QUARANTINE_PAGE, {"of_device": device_id, "before": before, "limit": limit}
    )
    return [
        QuarantineRecord(
            id=row.id,
            kind=row.kind,
            detail=row.detail,
            raw=row.raw,
            seen=row.seen,
            first_seen_at=row.first_seen_at,
            last_seen_at=row.last_seen_at,
        )
        for row in rows
    ]


@lru_cache
def _claim_receipt(dialect: str) -> Executable:
    statement = insert_for(dialect, inbound_receipts)
    return statement.on_conflict_do_update(
        index_elements=["device_id", "dedupe_key"],
        set_={
            "repeats": inbound_receipts.c.repeats + 1,
            "last_repeat_at": statement.excluded.first_seen_at,
        },
    ).returning(
        inbound_receipts.c.message_id,
        inbound_receipts.c.content_digest,
        inbound_receipts.c.repeats,
    )


@lru_cache
def _add_or_count(dialect: str) -> Executable:
    statement = insert_for(dialect, quarantine)
    return statement.on_conflict_do_update(
        index_elements=["device_id", "digest"],
        set_={
            "seen": quarantine.c.seen + 1,
            "last_seen_at": statement.excluded.last_seen_at,
        },
    )


def _digest(item: QuarantinedItem) -> bytes:
    return hashlib.sha256(f"{item.kind}\0{item.raw}".encode("utf-8", "surrogatepass")).digest()
