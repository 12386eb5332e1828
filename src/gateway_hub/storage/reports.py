"""What phones reported of messages: every word, also what changed nothing."""

from collections.abc import Iterable

from sqlalchemy import bindparam, select

from gateway_hub.domain.messages import Attempt, ReportRecord
from gateway_hub.storage.inserts import insert_all_if_absent
from gateway_hub.storage.tables import reports
from gateway_hub.storage.transactions import Transaction

_REPORTS = (
    select(reports).where(reports.c.message_id == bindparam("message_id")).order_by(reports.c.id)
)


async def add_reports(tx: Transaction, new: Iterable[tuple[str, Attempt, ReportRecord]]) -> None:
    """Store each ``(id, attempt, report)``; one that is stored stays as it is."""
    rows = [
        {
            "id": report_id,
            "wire_id": record.wire_id,
            "message_id": attempt.message_id,
            "device_id": attempt.device_id,
            "raw_status": record.raw_status,
            "reason": record.reason,
            "received_at": record.received_at,
            "applied": record.applied,
        }
        for report_id, attempt, record in new
    ]
    await insert_all_if_absent(tx, reports, rows)


async def find_reports(tx: Transaction, message_id: str) -> list[ReportRecord]:
    """Return every report about the message, in order of arrival."""
    rows = await tx.execute(_REPORTS, {"message_id": message_id})
    return [
        ReportRecord(
            raw_status=row.raw_status,
            reason=row.reason,
            received_at=row.received_at,
            applied=row.applied,
            wire_id=row.wire_id,
        )
        for row in rows
    ]
