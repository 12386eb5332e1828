"""The circuit of a webhook endpoint: one that fails is left alone for a while, then probed.

It only postpones. An event still gets all its attempts; it ends delivered or dead, at the latest
when the webhook endpoint is disabled after five days of nothing but failures.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from gateway_hub.domain.webhooks.outcomes import Outcome, OutcomeKind

OPENS_AFTER = 5
"""Failures in a row, of whatever events, after which a webhook endpoint is left alone."""

PROBE_TIME = timedelta(minutes=2)
"""How long a probe may take; after that, whoever made it has died and another may be made."""

FAILING_FOR = timedelta(days=5)
"""Nothing but failures for this long disables a webhook endpoint."""

_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=5)
_MOST_DOUBLINGS = 10


class CircuitState(StrEnum):
    """Whether attempts are made."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class DisableReason(StrEnum):
    """Why the hub itself disables a webhook endpoint."""

    GONE = "gone"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Circuit:
    """What is remembered of a webhook endpoint's latest attempts.

    *until* is when an open circuit may be probed, or a half-open one's probe has taken too long.
    """

    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    failing_since: datetime | None = None
    until: datetime | None = None

    def admits(self, now: datetime) -> bool:
        """Say whether an attempt may begin."""
        return self.until is None or now >= self.until


CLOSED = Circuit()


def begin_attempt(circuit: Circuit, now: datetime) -> Circuit:
    """Return the circuit once an attempt has begun; an open one is then half open, for this probe.

    Raises ValueError if the circuit admits none.
    """
    if not circuit.admits(now):
        raise ValueError("the circuit admits no attempt")
    if circuit.state is CircuitState.CLOSED:
        return circuit
    return replace(circuit, state=CircuitState.HALF_OPEN, until=now + PROBE_TIME)


def end_attempt(circuit: Circuit, outcome: Outcome, now: datetime) -> Circuit:
    """Return the circuit after an attempt, also one that began before the circuit opened.

    A success closes it. ``429`` and the like open it at once, for as long as ``Retry-After`` asks.
    """
    if outcome.is_delivered:
        return CLOSED
    failures = circuit.failures + 1
    failed = replace(circuit, failures=failures, failing_since=_earlier(circuit.failing_since, now))
    throttled = outcome.kind is OutcomeKind.THROTTLED
    if circuit.state is CircuitState.CLOSED and failures < OPENS_AFTER and not throttled:
        return failed
    until = now + max(_pause(failures), outcome.retry_after or timedelta(0))
    if circuit.state is CircuitState.OPEN and circuit.until is not None:
        until = max(circuit.until, until) if throttled else circuit.until
    return replace(failed, state=CircuitState.OPEN, until=until)


def find_disable_reason(circuit: Circuit, outcome: Outcome, now: datetime) -> DisableReason | None:
    """Return why the webhook endpoint is to be disabled after an attempt that ended so, or None."""
    if outcome.kind is OutcomeKind.GONE:
        return DisableReason.GONE
    since = circuit.failing_since
    if since is not None and now - since >= FAILING_FOR:
        return DisableReason.FAILING
    return None


def _pause(failures: int) -> timedelta:
    doubled: timedelta = _FIRST_PAUSE * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, _LONGEST_PAUSE)


def _earlier(since: datetime | None, now: datetime) -> datetime:
    return now if since is None else min(since, now)
