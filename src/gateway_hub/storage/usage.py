"""What each device has sent of its budget: segments by the minute, recipients by the month."""

from collections.abc import Collection
from functools import lru_cache

from sqlalchemy import Executable, bindparam, delete, func, select

from gateway_hub.storage.inserts import insert_all_if_absent, insert_for
from gateway_hub.storage.tables import device_recipients, device_usage
from gateway_hub.storage.transactions import Transaction

_USED = select(func.coalesce(func.sum(device_usage.c.segments), 0)).where(
    device_usage.c.device_id == bindparam("of_device"),
    device_usage.c.minute >= bindparam("from_minute"),
)
_BY_MINUTE = (
    select(device_usage.c.minute, device_usage.c.segments)
    .where(
        device_usage.c.device_id == bindparam("of_device"),
        device_usage.c.minute >= bindparam("from_minute"),
    )
    .order_by(device_usage.c.minute)
)
_FORGET_SEGMENTS = delete(device_usage).where(
    device_usage.c.device_id == bindparam("of_device"),
    device_usage.c.minute < bindparam("before_minute"),
)
_FORGET_RECIPIENTS = delete(device_recipients).where(
    device_recipients.c.device_id == bindparam("of_device"),
    device_recipients.c.month < bindparam("before_month"),
)
_RECIPIENTS = select(func.count()).where(
    device_recipients.c.device_id == bindparam("of_device"),
    device_recipients.c.month == bindparam("of_month"),
)
_KNOWN = select(device_recipients.c.contact_key).where(
    device_recipients.c.device_id == bindparam("of_device"),
    device_recipients.c.month == bindparam("of_month"),
    device_recipients.c.contact_key.in_(bindparam("contacts", expanding=True)),
)


async def sum_segments(tx: Transaction, device_id: str, *, from_minute: int) -> int:
    """Return how many segments the device was handed since the beginning of *from_minute*."""
    parameters = {"of_device": device_id, "from_minute": from_minute}
    return int((await tx.execute(_USED, parameters)).scalar_one())


async def list_segments(
    tx: Transaction, device_id: str, *, from_minute: int
) -> list[tuple[int, int]]:
    """Return ``(minute, segments)`` handed to the device since *from_minute*, oldest first."""
    rows = await tx.execute(_BY_MINUTE, {"of_device": device_id, "from_minute": from_minute})
    return [(row.minute, row.segments) for row in rows]


async def add_segments(tx: Transaction, device_id: str, *, minute: int, segments: int) -> None:
    """Count *segments* handed to the device in *minute*."""
    if segments:
        values = {"device_id": device_id, "minute": minute, "segments": segments}
        await tx.execute(_add(tx.dialect), values)


async def forget_before(
    tx: Transaction, device_ids: Collection[str], *, minute: int, month: str
) -> None:
    """Remove what those devices sent before *minute*, and to whom before *month*.

    Device by device, so that the rows that stay are not looked at.
    """
    of_devices = [{"of_device": device_id} for device_id in sorted(device_ids)]
    if of_devices:
        await tx.execute(
            _FORGET_SEGMENTS, [item | {"before_minute": minute} for item in of_devices]
        )
        await tx.execute(
            _FORGET_RECIPIENTS, [item | {"before_month": month} for item in of_devices]
        )


async def count_recipients(tx: Transaction, device_id: str, month: str) -> int:
    """Return to how many numbers the device sent in *month* (``2026-03``)."""
    return int(
        (await tx.execute(_RECIPIENTS, {"of_device": device_id, "of_month": month})).scalar_one()
    )


async def find_known_recipients(
    tx: Transaction, device_id: str, month: str, contacts: Collection[str]
) -> set[str]:
    """Return which of *contacts* the device sent to in *month*."""
    if not contacts:
        return set()
    parameters = {"of_device": device_id, "of_month": month, "contacts": sorted(contacts)}
    return set((await tx.execute(_KNOWN, parameters)).scalars())


async def add_recipients(
    tx: Transaction, device_id: str, month: str, contacts: Collection[str]
) -> None:
    """Note that the device sends to *contacts* in *month*."""
    rows = [
        {"device_id": device_id, "month": month, "contact_key": contact}
        for contact in sorted(contacts)
    ]
    await insert_all_if_absent(tx, device_recipients, rows)


@lru_cache
def _add(dialect: str) -> Executable:
    statement = insert_for(dialect, device_usage)
    return statement.on_conflict_do_update(
        index_elements=["device_id", "minute"],
        set_={"segments": device_usage.c.segments + statement.excluded.segments},
    )
