"""Whether and when a message that failed, or may have, gets another attempt."""

from datetime import datetime, timedelta

from gateway_hub.domain.messages import IfUncertain, Message

_RESENDS = 2


def next_try_at(attempts: int, now: datetime) -> datetime:
    """Return when attempt number *attempts* + 1 is due: 1 minute * n^1.5, the CHT app's formula."""
    return now + timedelta(minutes=attempts**1.5)


def may_try_again(message: Message, now: datetime) -> bool:
    """Say whether a message whose attempt failed for good is tried once more."""
    if not _is_wanted(message, next_try_at(message.attempt_count, now)):
        return False
    return message.attempt_count < message.max_attempts


def may_resend(message: Message, now: datetime) -> bool:
    """Say whether a message that may or may not have been sent is sent again.

    Only if its sender asked for that, and then at least once, whatever `max_attempts` says.
    """
    if message.if_uncertain is not IfUncertain.RESEND or not _is_wanted(message, now):
        return False
    return message.attempt_count < max(message.max_attempts, _RESENDS)


def _is_wanted(message: Message, moment: datetime) -> bool:
    """Say whether its sender has not taken it back, and it will not have expired."""
    late = message.expires_at is not None and message.expires_at <= moment
    return not late and message.cancel_requested_at is None
