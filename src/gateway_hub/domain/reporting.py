"""What a phone's report does to an attempt and to its message, and how a message moves on."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway_hub.domain.clock import format_rfc3339
from gateway_hub.domain.devices import ENVAYA_MAX_TRIES, ENVAYA_TRIES_TAKE
from gateway_hub.domain.lifecycle import LADDER, Status, may_move
from gateway_hub.domain.messages import Attempt, Message, MessageError, Route
from gateway_hub.domain.phone_posts import PhoneReport

_SAME_FAILURE_WITHIN = timedelta(seconds=15)
_GOOD_NEWS = frozenset({Status.PENDING, Status.SENT, Status.DELIVERED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The attempt and message after a report; *applied* is False if it changed neither."""

    message: Message
    attempt: Attempt
    applied: bool


def apply_report(message: Message, attempt: Attempt, report: PhoneReport, now: datetime) -> Outcome:
    """Return what is so after *report*; a late, repeated or unknown one changes nothing."""
    if report.status is None:
        outcome = Outcome(message, attempt, applied=False)
    elif report.status is Status.FAILED and not report.gives_up:
        outcome = _apply_soft_failure(message, attempt, report, now)
    else:
        outcome = _apply_status(message, attempt, report.status, _error_of(report), now)
    return replace(outcome, attempt=replace(outcome.attempt, last_sign_at=now))


def _apply_soft_failure(
    message: Message, attempt: Attempt, report: PhoneReport, now: datetime
) -> Outcome:
    """Count a try that failed; the app goes on by itself until its last one.

    The tries are at least 20 s apart, so a second report at once is the first one repeated. One
    whose answer was lost is told again minutes later: counted twice, but not for the last try.
    """
    last = attempt.last_failed_at
    is_repeated = last is not None and now - last < _SAME_FAILURE_WITHIN
    still_tries = attempt.status is Status.ACCEPTED or may_move(attempt.status, Status.ACCEPTED)
    if is_repeated or not still_tries:
        return Outcome(message, attempt, applied=False)
    counted = replace(attempt, soft_failures=attempt.soft_failures + 1, last_failed_at=now)
    has_had_time = now - attempt.first_offered_at >= ENVAYA_TRIES_TAKE
    if counted.soft_failures >= ENVAYA_MAX_TRIES and has_had_time:
        return _apply_status(message, counted, Status.FAILED, _error_of(report), now)
    error = MessageError("device_retrying", report.reason or "the phone will try again")
    outcome = _apply_status(message, counted, Status.ACCEPTED, error, now)
    if outcome.applied:
        return outcome
    if message.status is Status.ACCEPTED:
        message = replace(message, error=error, updated_at=now)
    return Outcome(message, replace(counted, error=error), applied=True)


def _apply_status(
    message: Message, attempt: Attempt, status: Status, error: MessageError | None, now: datetime
) -> Outcome:
    applied = False
    if may_move(attempt.status, status) and not _is_behind(message, attempt, status):
        kept = _kept_error(attempt.status, attempt.error, status, error)
        attempt = replace(attempt, status=status, error=kept)
        applied = True
    moves = may_move(message.status, status) or _was_taken_back_too_late(message, status)
    if applied and _concerns(message, attempt, status) and moves:
        kept = _kept_error(message.status, message.error, status, error)
        message = move(message, status, now, error=kept)
    return Outcome(message, attempt, applied)


def _is_behind(message: Message, attempt: Attempt, status: Status) -> bool:
    """Say whether an attempt in doubt had come further than *status* before the doubt began.

    One of which no word was heard had not, wherever attempts before it got the message.
    """
    was_heard_of = attempt.last_sign_at > attempt.first_offered_at
    if attempt.status is not Status.UNCERTAIN or not was_heard_of or status not in LADDER:
        return False
    further = LADDER[LADDER.index(status) + 1 :]
    return any(later in message.reached for later in further)


def _concerns(message: Message, attempt: Attempt, status: Status) -> bool:
    """Say whether the message follows its attempt: of an earlier one only good news counts.

    That the last one was taken back is good news too, for what waits to be sent again.
    """
    if status in {Status.SENT, Status.DELIVERED}:
        return True
    is_waiting = message.status in {Status.SCHEDULED, Status.QUEUED}
    taken_back = status is Status.CANCELLED
    return attempt.number == message.attempt_count and not (is_waiting and taken_back)


def _was_taken_back_too_late(message: Message, status: Status) -> bool:
    """Say whether a message that waited for a further attempt had got through before its cancel."""
    return message.status is Status.CANCELLED and status in {Status.SENT, Status.DELIVERED}


def move(
    message: Message, status: Status, now: datetime, *, error: MessageError | None = None
) -> Message:
    """Return *message* in *status*, with the time it first reached it."""
    reached = message.reached
    if status not in reached:
        reached = {**reached, status.value: format_rfc3339(now)}
    return replace(message, status=status, error=error, reached=reached, updated_at=now)


def _kept_error(
    before: Status, old: MessageError | None, status: Status, new: MessageError | None
) -> MessageError | None:
    """Return the error to show in *status*: none once there is good news, or a doubt is over."""
    if status in _GOOD_NEWS:
        return None
    return new if before is Status.UNCERTAIN else new or old


def _error_of(report: PhoneReport) -> MessageError | None:
    if report.status is not Status.FAILED:
        return None
    return MessageError("device_failed", report.reason or "the phone gave no reason")


def requeue(message: Message, now: datetime, due_at: datetime | None = None) -> Message:
    """Return *message* waiting for another attempt, at *due_at* or at once.

    The error of the attempt before stays to be seen.
    """
    waits = due_at is not None and due_at > now
    status = Status.SCHEDULED if waits else Status.QUEUED
    moved = move(message, status, now, error=message.error)
    return replace(release(moved), due_at=due_at, cancel_requested_at=None)


def end_waiting(message: Message, last: Attempt | None, now: datetime) -> Message:
    """Return *message*, whose time is over while it waits, as its *last* attempt left it."""
    match last.status if last else None:
        case Status.UNCERTAIN | Status.FAILED as status:
            return move(message, status, now, error=message.error)
        case _:
            return move(message, Status.EXPIRED, now)


def prefer(message: Message, device_id: str, until: datetime) -> Message:
    """Return *message* standing in that device's own queue until then."""
    queue = Route(device_id=device_id).key(message.project_id)
    return replace(message, queue=queue, preferred_until=until)


def release(message: Message) -> Message:
    """Return *message* standing in the queue of its whole route."""
    queue = message.route.key(message.project_id)
    return replace(message, queue=queue, preferred_until=None)
