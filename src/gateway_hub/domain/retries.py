"""Whether and when a message that failed, or may have, gets another attempt."""

from datetime import datetime, timedelta

from gateway_hub.domain.messages import IfUncertain, Message

_RESENDS = 2


def next_try_at(attempts: int, now: datetime) -> datetime:
    """Return when attempt number *attempts* + 1 is due: 1 minute * n^1.5, the CHT app's formula."""
    return now + timedelta(minutes=attempts**1.5)


def may_try_again(message: Message, now: datetime) -> bool:
    """Say whether a message whose attempt failed for good is tried once more."""
    due_at = next_try_at(message.attempt_count, now)
    return message.attempt_count < message.max_attempts and not _is_late(message, due_at)


def may_resend(message: Message, now: datetime) -> bool:
    """Say whether a message that may or may not have been sent is sent again.

    Only if its sender asked for that, and then at least once, whatever `max_attempts` says.
    """
    if message.if_uncertain is not IfUncertain.RESEND or _is_late(message, now):
        return False
    return message.attempt_count < max(message.max_attempts, _RESENDS)


def _is_late(message: Message, moment: datetime) -> bool:
    return message.expires_at is not None and message.expires_at <= moment
