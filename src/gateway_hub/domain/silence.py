"""When a phone's silence about a message means that nobody knows what became of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gateway_hub.domain.devices import LEASE_POLICIES, Protocol
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt

# How long each app may go on by itself without a word: the CHT app's twenty tries take twelve
# hours, EnvayaSMS's five just over 25. What is silent for longer is not explained any more.
SILENCE_LIMITS: dict[Protocol, timedelta] = {
    Protocol.MEDIC: timedelta(hours=24),
    Protocol.ENVAYA: timedelta(hours=26),
}

# The CHT app removes ids that were idle for seven days: offering one again then sends it twice.
OFFER_AGAIN_FOR = timedelta(days=6)

LEAST_PATIENCE = timedelta(seconds=90)
_GAPS_MISSED = 4

NEVER = datetime(9999, 12, 31, tzinfo=UTC)


class Judgement(StrEnum):
    """What to do about an attempt whose lease ran out without a sign."""

    OFFER_AGAIN = "offer_again"
    UNCERTAIN = "uncertain"


def judge_silence(
    attempt: Attempt,
    protocol: Protocol,
    *,
    expires_at: datetime | None,
    lost: bool,
    now: datetime,
) -> Judgement:
    """Say whether the same wire id is to be offered again, once the phone asks, or given up.

    A phone that is *lost* will not ask; one that has been told as often as is harmless and stays
    silent will not answer. What it was asked to give back, or has expired by *expires_at*, it is
    not given once more.
    """
    policy = LEASE_POLICIES[protocol]
    told_enough = policy.max_offers is not None and attempt.offers >= policy.max_offers
    too_old = now - attempt.first_offered_at >= OFFER_AGAIN_FOR
    too_late = expires_at is not None and expires_at <= now
    asked_back = attempt.cancel_requested_at is not None
    if lost or told_enough or too_old or too_late or asked_back:
        return Judgement.UNCERTAIN
    return Judgement.OFFER_AGAIN


def is_silent_too_long(attempt: Attempt, protocol: Protocol, now: datetime) -> bool:
    """Say whether a phone that worked on the message has been silent beyond its limit."""
    working = attempt.status in {Status.ACCEPTED, Status.PENDING}
    return working and now - attempt.last_sign_at >= SILENCE_LIMITS[protocol]


def doubt(attempt: Attempt, protocol: Protocol) -> Attempt:
    """Return *attempt* as nobody knows what became of it.

    Its lease says when the same wire id may be offered again: never, if that could send it twice.
    """
    repeatable = LEASE_POLICIES[protocol].repeats_are_harmless
    lease_until = attempt.lease_until if repeatable else NEVER
    return replace(attempt, status=Status.UNCERTAIN, lease_until=lease_until)


def learn_gap(known_ms: int | None, observed: timedelta) -> int:
    """Return the device's poll gap in milliseconds after one more was observed.

    A device that comes back after an outage has not changed its habit, so one gap counts little.
    """
    observed_ms = int(observed / timedelta(milliseconds=1))
    if known_ms is None:
        return observed_ms
    return known_ms + (observed_ms - known_ms) // 8


def is_online(
    last_seen_at: datetime | None, gap_ms: int | None, bound: timedelta, now: datetime
) -> bool:
    """Say whether a device is there: seen a few of its own poll gaps ago, at most *bound*."""
    if last_seen_at is None:
        return False
    patience = bound
    if gap_ms is not None:
        patience = min(bound, max(LEAST_PATIENCE, _GAPS_MISSED * timedelta(milliseconds=gap_ms)))
    return now - last_seen_at <= patience
