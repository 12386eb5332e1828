"""Devices: phones that run a gateway app, what we know of them, and how patient we are."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum


class Protocol(StrEnum):
    """The protocol of the app on the phone."""

    MEDIC = "medic"
    ENVAYA = "envaya"


@dataclass(frozen=True, slots=True)
class SendLimit:
    """The most a device may send: *segments* in any *seconds*.

    *recipients_per_month* is a cap that some carriers put on distinct numbers; None: no cap.
    """

    segments: int
    seconds: int
    recipients_per_month: int | None = None


# Stock Android asks the owner after 30 SMS in 30 minutes; EnvayaSMS counts 100 per hour itself
# (one package, no expansion packs).
DEFAULT_SEND_LIMITS: dict[Protocol, SendLimit] = {
    Protocol.MEDIC: SendLimit(segments=30, seconds=1800),
    Protocol.ENVAYA: SendLimit(segments=100, seconds=3600),
}


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """How long a device may keep silent about a message before it is offered again.

    Each offer of the same wire id doubles the lease up to *longest*; after *max_offers* (None: no
    limit) it is not offered again. *repeats_are_harmless* for ever: also when a phone comes back
    that was away for so long that nobody knows what it did.
    """

    first: timedelta
    longest: timedelta
    max_offers: int | None
    repeats_are_harmless: bool

    def lease_after(self, offers: int) -> timedelta:
        """Return the lease of offer number *offers* (the first is 1)."""
        doublings = min(offers - 1, 16)
        return min(self.first * (1 << doublings), self.longest)


# The CHT app keeps every id as a primary key, so a repeat is harmless; but it also pushes the app's
# own retry away, so it is rare. EnvayaSMS remembers sent ids in memory only: one repeat, soon
# enough to find the memory still there, recovers a lost report; more could send the SMS twice.
LEASE_POLICIES: dict[Protocol, LeasePolicy] = {
    Protocol.MEDIC: LeasePolicy(
        first=timedelta(minutes=5),
        longest=timedelta(hours=1),
        max_offers=None,
        repeats_are_harmless=True,
    ),
    Protocol.ENVAYA: LeasePolicy(
        first=timedelta(minutes=10),
        longest=timedelta(minutes=10),
        max_offers=2,
        repeats_are_harmless=False,
    ),
}

MAX_OFFERS_PER_ANSWER = 10
"""The CHT app sends at most 10 SMS before it asks again; EnvayaSMS is given no more than that."""

ENVAYA_MAX_TRIES = 5
"""EnvayaSMS reports ``failed`` at each of its five tries; only the fifth is its last."""

ENVAYA_TRIES_TAKE = timedelta(hours=25)
"""Between its tries are 20 s, 5 min, 1 h and 1 day: five failures sooner are some told twice."""


@dataclass(frozen=True, slots=True)
class PhoneFacts:
    """What a phone told of itself in one post. None: not told.

    *has_started*: its app began anew since its last post, or may have.
    """

    app_version: str | None = None
    model: str | None = None
    battery_percent: int | None = None
    power: str | None = None
    network: str | None = None
    settings_version: int | None = None
    send_limit_segments: int | None = None
    phone_clock_at: datetime | None = None
    status: str | None = None
    takes_commands: bool | None = None
    has_started: bool = False


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The last known state of a device; every field may be unknown."""

    last_seen_at: datetime | None = None
    app_version: str | None = None
    model: str | None = None
    battery_percent: int | None = None
    power: str | None = None
    network: str | None = None
    settings_version: int | None = None
    send_limit_segments: int | None = None
    clock_skew_ms: int | None = None
    poll_gap_ms: int | None = None
    takes_commands: bool | None = None
    phone_clock_high_at: datetime | None = None
    app_started_at: datetime | None = None
    last_status: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """A phone of a project."""

    id: str
    project_id: str
    name: str
    protocol: Protocol
    created_at: datetime
    updated_at: datetime
    username: str | None = None
    phone_number: str | None = None
    server_url: str | None = None
    region: str | None = None
    tags: tuple[str, ...] = ()
    send_limit: SendLimit | None = None
    paused: bool = False
    deleted_at: datetime | None = None
    state: DeviceState = field(default_factory=DeviceState)

    @property
    def effective_send_limit(self) -> SendLimit:
        """The limit in force: set by the operator, told by the phone, or the app's default."""
        if self.send_limit is not None:
            return self.send_limit
        default = DEFAULT_SEND_LIMITS[self.protocol]
        if self.state.send_limit_segments is not None:
            return SendLimit(self.state.send_limit_segments, default.seconds)
        return default
