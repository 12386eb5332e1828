"""When a webhook delivery that failed is tried again, and when it is given up."""

from datetime import datetime, timedelta
from random import Random

from gateway_hub.domain.webhooks.outcomes import Outcome, OutcomeKind

DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""How long after each failed attempt the next one is due."""

MOST_ATTEMPTS = len(DELAYS) + 1
JITTER = 0.1


def next_attempt_at(
    attempts: int, outcome: Outcome, random: Random, now: datetime
) -> datetime | None:
    """Return when the next attempt is due after the failed attempt number *attempts*, from 1 on.

    None means dead: all attempts are used up, or the webhook endpoint said that it is gone. What
    ``Retry-After`` asks for is never undercut, and never brings an attempt forward.
    """
    if attempts < 1 or outcome.is_delivered:
        raise ValueError("only a failed attempt is followed by another")
    if attempts >= MOST_ATTEMPTS or outcome.kind is OutcomeKind.GONE:
        return None
    wait = DELAYS[attempts - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    if outcome.retry_after is not None:
        wait = max(wait, outcome.retry_after * random.uniform(1, 1 + JITTER))
    return now + wait
