"""What phones forward: receipts that make a message one however often it comes, and quarantine."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, bindparam, func, select

from gateway_hub.domain.devices import Device
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.phone_posts import QuarantinedItem, QuarantineRecord
from gateway_hub.storage.inserts import insert_all_if_absent, insert_for
from gateway_hub.storage.lists import as_list, is_one_of
from gateway_hub.storage.tables import inbound_receipts, quarantine
from gateway_hub.storage.transactions import Transaction

FORGOTTEN = b""
"""The digest of a message that has been removed: from a real one, its content could be guessed."""

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

    device_id: str
    dedupe_key: str
    message_id: str
    content_digest: bytes


async def claim_receipts(
    tx: Transaction, claims: Sequence[Receipt], now: datetime
) -> dict[str, Receipt]:
    """Claim for each message its key, or count a repeat; return by message id whose it is.

    The keys are claimed in their order: a phone posts the same messages twice at one moment, and
    two who claim them in different orders would block each other. Whoever comes second waits for
    the first to commit.
    """
    first_of_key: dict[tuple[str, str], Receipt] = {}
    for claim in claims:
        first_of_key.setdefault((claim.device_id, claim.dedupe_key), claim)
    firsts = [first_of_key[key] for key in sorted(first_of_key)]
    await insert_all_if_absent(tx, inbound_receipts, [_to_row(claim, now) for claim in firsts])
    ids = as_list(tx.dialect, (claim.message_id for claim in firsts))
    rows = await tx.execute(_claimed(tx.dialect), {"message_ids": ids})
    won = set(rows.scalars())
    return {
        claim.message_id: claim if claim.message_id in won else await _count_repeat(tx, claim, now)
        for claim in sorted(claims, key=lambda item: (item.device_id, item.dedupe_key))
    }


async def _count_repeat(tx: Transaction, claim: Receipt, now: datetime) -> Receipt:
    row = (await tx.execute(_add_or_repeat(tx.dialect), _to_row(claim, now))).one()
    return Receipt(**row._mapping)


def _to_row(claim: Receipt, now: datetime) -> dict[str, Any]:
    return {
        "device_id": claim.device_id,
        "dedupe_key": claim.dedupe_key,
        "message_id": claim.message_id,
        "content_digest": claim.content_digest,
        "first_seen_at": now,
        "repeats": 0,
        "last_repeat_at": None,
    }


async def put_aside(
    tx: Transaction, items: Iterable[tuple[Device, QuarantinedItem]], now: datetime
) -> None:
    """Store what devices sent for the operator; an item that came before is counted.

    In the order of their keys, so that two who put the same aside do not block each other.
    """
    rows = [
        {
            "id": new_id(),
            "project_id": device.project_id,
            "device_id": device.id,
            "digest": _digest(item),
            "kind": item.kind,
            "detail": item.detail,
            "raw": item.raw,
            "seen": 1,
            "first_seen_at": now,
            "last_seen_at": now,
        }
        for device, item in items
    ]
    if rows:
        rows.sort(key=lambda row: (row["device_id"], row["digest"]))
        await tx.execute(_add_or_count(tx.dialect), rows)


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
def _claimed(dialect: str) -> Executable:
    column = inbound_receipts.c.message_id
    return select(column).where(is_one_of(dialect, column, "message_ids"))


@lru_cache
def _add_or_repeat(dialect: str) -> Executable:
    statement = insert_for(dialect, inbound_receipts)
    return statement.on_conflict_do_update(
        index_elements=["device_id", "dedupe_key"],
        set_={
            "repeats": inbound_receipts.c.repeats + 1,
            "last_repeat_at": statement.excluded.first_seen_at,
        },
    ).returning(
        inbound_receipts.c.device_id,
        inbound_receipts.c.dedupe_key,
        inbound_receipts.c.message_id,
        inbound_receipts.c.content_digest,
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
