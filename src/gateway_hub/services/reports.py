"""Recording what phones report of the messages they were given."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway_hub.domain.devices import Device
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message, ReportRecord
from gateway_hub.domain.phone_posts import PhoneReport, QuarantinedItem, QuarantineKind
from gateway_hub.domain.reporting import Outcome, apply_report, requeue
from gateway_hub.domain.retries import may_resend, may_try_again, next_try_at
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.doubts import redirect
from gateway_hub.services.intake import Aside
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import reports as report_rows
from gateway_hub.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Told:
    """What *device* reports, with the id it is kept under, made before the transaction."""

    id: str
    device: Device
    report: PhoneReport


def expect(device: Device, reports: tuple[PhoneReport, ...]) -> tuple[Told, ...]:
    """Return *reports* with an id for each; the same ones may be recorded twice."""
    return tuple(Told(new_id(), device, report) for report in reports)


async def record_reports(
    tx: Transaction, told: Sequence[Told], states: DeviceStates, aside: Aside, now: datetime
) -> list[Message]:
    """Apply the reports in their order and return the messages they are about.

    Every one is kept, also one that changes nothing. A report about an id that is not its
    device's, or in a word nobody knows, goes *aside*: an error would make the phone repeat its
    whole batch for ever.
    """
    if not told:
        return []
    attempts = await attempt_rows.lock_attempts(tx, (item.report.wire_id for item in told))
    messages = await message_rows.lock_messages(tx, (item.message_id for item in attempts.values()))
    records: list[tuple[str, Attempt, ReportRecord]] = []
    heard: set[str] = set()
    for item in told:
        attempt = _own_attempt(item, attempts)
        if attempt is not None:
            before = messages[attempt.message_id]
            outcome = apply_report(before, attempt, item.report, now)
            attempts[attempt.wire_id] = outcome.attempt
            after = _after(before, outcome, now)
            if after is not outcome.message:
                after = await redirect(tx, states, after, now)
            messages[attempt.message_id] = after
            heard.add(attempt.wire_id)
            records.append((item.id, attempt, _to_record(item.report, outcome.applied, now)))
        unknown = _find_unknown(item.report, known=attempt is not None)
        if unknown is not None:
            aside.append((item.device, unknown))
    await attempt_rows.save_attempts(tx, (attempts[wire_id] for wire_id in sorted(heard)))
    touched = sorted({attempts[wire_id].message_id for wire_id in heard})
    changed = [messages[message_id] for message_id in touched]
    await message_rows.save_progress(tx, changed)
    await report_rows.add_reports(tx, records)
    return changed


def _own_attempt(told: Told, attempts: dict[str, Attempt]) -> Attempt | None:
    attempt = attempts.get(told.report.wire_id)
    return attempt if attempt and attempt.device_id == told.device.id else None


def _after(before: Message, outcome: Outcome, now: datetime) -> Message:
    """Return the message after *outcome*, waiting for another attempt if it is to have one.

    Only a message that ends by this report is: one that was taken back, or had failed, stays so.
    """
    message = outcome.message
    if message.status is before.status or outcome.attempt.number != message.attempt_count:
        return message
    if message.status is Status.FAILED and may_try_again(message, now):
        return requeue(message, now, next_try_at(message.attempt_count, now))
    # What was deleted on the phone, and nobody had asked for, is not to be sent.
    given_back = outcome.attempt.cancel_requested_at is not None
    if message.status is Status.CANCELLED and given_back and may_resend(message, now):
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


def _find_unknown(report: PhoneReport, *, known: bool) -> QuarantinedItem | None:
    """Return what of *report* the operator should see."""
    if not known:
        kind = QuarantineKind.UNKNOWN_WIRE_ID
        detail = "The phone reported on an id it was never given."
    elif report.status is None:
        kind = QuarantineKind.UNKNOWN_STATUS
        detail = "The phone reported a status that is not known."
    else:
        return None
    raw = f"id={report.wire_id} status={report.raw_status} reason={report.reason or ''}"
    return QuarantinedItem(kind, detail, raw)
