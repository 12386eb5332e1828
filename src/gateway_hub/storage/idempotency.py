"""Idempotency keys: what callers want done once, and what they were answered when it was."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update

from gateway_hub.storage.inserts import insert_all_if_absent
from gateway_hub.storage.tables import idempotency_keys
from gateway_hub.storage.transactions import Transaction

_columns = idempotency_keys.c
_BY_DIGEST = select(idempotency_keys).where(
    _columns.key_digest.in_(bindparam("digests", expanding=True))
)
_ONE = _columns.key_digest == bindparam("digest")
_SAVE_ANSWER = update(idempotency_keys).where(_ONE).values(answer=bindparam("new_answer"))
_REMOVE = delete(idempotency_keys).where(_ONE)
_OLDEST = (
    select(_columns.key_digest)
    .where(_columns.created_at < bindparam("before"))
    .order_by(_columns.created_at)
    .limit(bindparam("limit"))
    .with_for_update(skip_locked=True)
)
_FORGET = delete(idempotency_keys).where(_columns.key_digest.in_(_OLDEST.scalar_subquery()))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that is taken. *claim_id* tells who took it; *answer* is None until they are done."""

    key_digest: bytes
    claim_id: str
    request_digest: bytes
    created_at: datetime
    answer: bytes | None = None


async def add_keys(tx: Transaction, keys: Iterable[StoredKey]) -> None:
    """Take *keys*, but those that are taken already: `find_keys` tells which.

    A key that another transaction is about to take is waited for. All are taken in one order, so
    that two transactions do not wait for each other.
    """
    rows = [
        {
            "key_digest": key.key_digest,
            "claim_id": key.claim_id,
            "request_digest": key.request_digest,
            "created_at": key.created_at,
        }
        for key in sorted(keys, key=lambda key: key.key_digest)
    ]
    await insert_all_if_absent(tx, idempotency_keys, rows)


async def find_keys(tx: Transaction, digests: Sequence[bytes]) -> dict[bytes, StoredKey]:
    """Return by digest those of the keys that are taken."""
    rows = await tx.execute(_BY_DIGEST, {"digests": digests})
    return {row.key_digest: StoredKey(**row._mapping) for row in rows}


async def save_answers(tx: Transaction, answers: Mapping[bytes, bytes]) -> None:
    """Keep by digest what was answered, in the transaction that took the keys."""
    if answers:
        rows = [{"digest": digest, "new_answer": answer} for digest, answer in answers.items()]
        await tx.execute(_SAVE_ANSWER, rows)


async def remove_keys(tx: Transaction, digests: Sequence[bytes]) -> None:
    """Give back keys, in the transaction that took them, as if it had not."""
    if digests:
        await tx.execute(_REMOVE, [{"digest": digest} for digest in digests])


async def forget_keys(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Remove up to *limit* keys taken before that time, and return how many that were."""
    result = await tx.execute(_FORGET, {"before": before, "limit": limit})
    return result.rowcount
