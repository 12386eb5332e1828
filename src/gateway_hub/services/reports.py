"""Recording what phones report of the messages they were given."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway_hub.domain.devices import Device
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message, ReportRecord
from gateway_hub.domain.phone_posts import PhoneReport, QuarantinedItem, QuarantineKind
from gateway_hub.domain.reporting import Outcome, apply_report, requeue
from gateway_hub.domain.retries import may_resend, may_try_again, next_try_at
from gateway_hub.storage import inbound as inbound_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import outbox as outbox_rows
from gateway_hub.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Told:
    """A report with the id it is kept under, made before the transaction."""

    id: str
    report: PhoneReport


def expect(reports: tuple[PhoneReport, ...]) -> tuple[Told, ...]:
    """Return *reports* with an id for each; the same ones may be recorded twice."""
    return tuple(Told(new_id(), report) for report in reports)


async def record_reports(
    tx: Transaction, device: Device, told: tuple[Told, ...], now: datetime
) -> None:
    """Apply the reports in their order; every one is kept, also one that changes nothing.

    A report about an id that is not this device's, or in a word nobody knows, is put aside: an
    error would make the phone repeat its whole batch for ever.
    """
    reports = [item.report for item in told]
    attempts = await outbox_rows.lock_attempts(tx, device.id, (item.wire_id for item in reports))
    messages = await message_rows.lock_messages(tx, (item.message_id for item in attempts.values()))
    records: list[tuple[str, str, ReportRecord]] = []
    heard: set[str] = set()
    for item in told:
        report = item.report
        attempt = attempts.get(report.wire_id)
        if attempt is None:
            continue
        message = messages[attempt.message_id]
        outcome = apply_report(message, attempt, report, now)
        attempts[report.wire_id] = outcome.attempt
        messages[message.id] = _after(outcome, now)
        heard.add(report.wire_id)
        records.append((item.id, message.id, _to_record(report, outcome.applied, now)))
    await _save(tx, attempts, messages, heard)
    await outbox_rows.add_reports(tx, device.id, records)
    await inbound_rows.put_aside(
        tx,
        project_id=device.project_id,
        device_id=device.id,
        items=_unknown_of(reports, attempts),
        now=now,
    )


async def _save(
    tx: Transaction,
    attempts: dict[str, Attempt],
    messages: dict[str, Message],
    changed: set[str],
) -> None:
    await outbox_rows.save_attempts(tx, (attempts[wire_id] for wire_id in sorted(changed)))
    touched = sorted({attempts[wire_id].message_id for wire_id in changed})
    await message_rows.save_progress(tx, (messages[message_id] for message_id in touched))


def _after(outcome: Outcome, now: datetime) -> Message:
    """Return the message after *outcome*, waiting for another attempt if it is to have one."""
    message, attempt = outcome.message, outcome.attempt
    if not outcome.applied or attempt.number != message.attempt_count:
        return message
    if message.status is Status.FAILED and may_try_again(message, now):
        return requeue(message, now, next_try_at(message.attempt_count, now))
    asked_by_hub = message.cancel_requested_at is None
    if message.status is Status.CANCELLED and asked_by_hub and may_resend(message, now):
        return requeue(message, now)
    return message


def _to_record(report: PhoneReport, applied: bool, now: datetime) -> ReportRecord:
    return ReportRecord(
        raw_status=report.raw_status,
        reason=report.reason,
        received_at=now,
        applied=applied,
        wire_id=report.wire_id,
    )


def _unknown_of(
    reports: Iterable[PhoneReport], attempts: dict[str, Attempt]
) -> list[QuarantinedItem]:
    items: list[QuarantinedItem] = []
    for report in reports:
        raw = f"id={report.wire_id} status={report.raw_status} reason={report.reason or ''}"
        if report.wire_id not in attempts:
            detail = "The phone reported on an id it was never given."
            items.append(QuarantinedItem(QuarantineKind.UNKNOWN_WIRE_ID, detail, raw))
        elif report.status is None:
            detail = "The phone reported a status that is not known."
            items.append(QuarantinedItem(QuarantineKind.UNKNOWN_STATUS, detail, raw))
    return items
