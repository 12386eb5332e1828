"""How messages to be sent may end: all that was asked for, nothing else, and truthfully."""

from collections import Counter
from datetime import timedelta

from gateway_hub.domain.devices import Protocol, SendLimit
from tests.simulation.case import Case, OutboundMessage
from tests.simulation.scenario import PhonePlan
from tests.simulation.virtual_time import START

DEFAULT_LIMITS = {Protocol.MEDIC: SendLimit(30, 1800), Protocol.ENVAYA: SendLimit(100, 3600)}

_OPEN = frozenset({"scheduled", "queued", "dispatched", "accepted", "pending"})
_AT_WORK = frozenset({"dispatched", "accepted", "pending"})
_SENT = frozenset({"sent", "delivered"})

# Until a request that was under way is over, a preferred phone had its turn, a retry came due.
_SETTLING = timedelta(minutes=30)

_COUNTS = (
    (
        "SELECT queue, sum(messages) FROM queue_backlogs GROUP BY queue HAVING sum(messages) <> 0",
        "SELECT queue, count(*) FROM messages WHERE status = 'queued' GROUP BY queue",
    ),
    (
        "SELECT direction || ' ' || status, sum(messages) FROM message_counts GROUP BY 1",
        "SELECT direction || ' ' || key, count(*) FROM messages,"
        " json_each(CASE direction WHEN 'inbound' THEN '{\"received\": 1}' ELSE reached END)"
        " GROUP BY 1",
    ),
)
"""Queries whose rows must agree: what is kept, and what it should be."""


def judge(case: Case) -> None:
    """Note what is lost, unexpected, stuck, untrue or miscounted."""
    _judge_presence(case)
    segments = sum(message.segments for message in case.messages.values())
    for message in case.messages.values():
        _judge_end(case, message)
        _judge_expiry(case, message, segments)
        _judge_doubt(case, message)
    for kept, counted in _COUNTS:
        found = dict(case.read(kept)), dict(case.read(counted))
        if found[0] != found[1]:
            case.fault("miscounted", f"kept are {found[0]}, counted are {found[1]}")


def _judge_presence(case: Case) -> None:
    asked = {item.draft.text: item for item in case.ledger.submissions}
    for submission in case.ledger.submissions:
        if submission.message_id and submission.message_id not in case.messages:
            case.fault("lost", f"#{submission.number} is not on disk")
    for text, count in Counter(message.text for message in case.messages.values()).items():
        if text not in asked or asked[text].outcome == "refused":
            case.fault("unexpected", f"{text!r} was never asked for, or refused")
        elif count > 1:
            case.fault("unexpected", f"#{asked[text].number} is on disk {count} times")


def _judge_end(case: Case, message: OutboundMessage) -> None:
    name, left = case.name(message.id), bool(case.air[message.id])
    known = {wire.status for wire in case.attempts_of(message.id)}
    if message.status in _OPEN:
        case.fault("stuck", f"{name} is still {message.status}")
    if message.status in _SENT and not left and not _may_have_left_in_part(case, message):
        case.fault("untrue", f"{name} is {message.status}, and never left a phone")
    if message.status in {"expired", "cancelled"} and not message.attempt_count and left:
        case.fault("untrue", f"{name} is {message.status}, and was sent")
    last = max(case.attempts_of(message.id), key=lambda wire: wire.number, default=None)
    if message.status == "expired" and last is not None and last.status != "cancelled":
        case.fault("untrue", f"{name} is expired, and was in the hands of a phone")
    if message.status == "cancelled" and known & _AT_WORK:
        case.fault("untrue", f"{name} is cancelled, and a phone is at work on it")
    if message.status not in _SENT and known & _SENT:
        case.fault("untrue", f"{name} is {message.status}, and an attempt of it was sent")


def _may_have_left_in_part(case: Case, message: OutboundMessage) -> bool:
    """Say whether a phone that lost power may have told of a part when not all had left."""
    held_by = {wire.device_id for wire in case.attempts_of(message.id)}
    restarted = {phone.device_id for phone in case.phones.values() if phone.restarts}
    return message.segments > 1 and not held_by.isdisjoint(restarted)


def _judge_expiry(case: Case, message: OutboundMessage, segments: int) -> None:
    """What still had time when all was well again must have found its phone."""
    if message.status != "expired" or message.expires_at is None:
        return
    begins = max(case.healed_at, message.send_at or START)
    needed = _time_needed(case, message, segments)
    if needed is not None and message.expires_at - begins > needed:
        case.fault("stuck", f"{case.name(message.id)} expired although a phone was there")


def _judge_doubt(case: Case, message: OutboundMessage) -> None:
    """A CHT phone that is there again is asked about what is in doubt, while it has not expired."""
    asked = message.status == "uncertain" and message.device_protocol == "medic"
    lives = message.expires_at is None or message.expires_at > case.ended_at
    if asked and lives and not case.is_asked_back(message.id):
        case.fault("stuck", f"{case.name(message.id)} is in doubt, and its phone is not asked")


def _time_needed(case: Case, message: OutboundMessage, segments: int) -> timedelta | None:
    """Return how long a phone may take to get *message*, if it is the last of *segments*.

    None if no phone may send it, or nobody knows its route.
    """
    submission = case.submission_of(message.id)
    if submission is None:
        return None
    route = submission.draft.route
    serving = [
        phone.plan
        for phone in case.phones.values()
        if (route.tag is None or route.tag in phone.plan.tags)
        and (route.device_id is None or route.device_id == phone.device_id)
    ]
    return min((_longest_wait(plan, segments) for plan in serving), default=None)


def _longest_wait(plan: PhonePlan, segments: int) -> timedelta:
    limit = plan.send_limit or DEFAULT_LIMITS[plan.protocol]
    windows = segments // limit.segments
    return _SETTLING + timedelta(seconds=2 * plan.poll_seconds + windows * limit.seconds)
