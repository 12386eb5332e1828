"""The life of an outbound message: its statuses, which may follow which, and when it is over."""

from enum import StrEnum

from gateway_hub.domain.devices import Protocol


class Status(StrEnum):
    """Where a message is. An inbound message is ``received`` and stays so."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    DISPATCHED = "dispatched"
    ACCEPTED = "accepted"
    PENDING = "pending"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RECEIVED = "received"


S = Status

LADDER = (S.SCHEDULED, S.QUEUED, S.DISPATCHED, S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED)
"""The way of a message that goes well; no report moves one backwards along it."""

_MOVES: dict[Status, frozenset[Status]] = {
    # What waits for another attempt may hear late that the one before did succeed, or, if that was
    # in doubt, that its phone is at work on it.
    S.SCHEDULED: frozenset(
        {S.QUEUED, S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED, S.CANCELLED, S.EXPIRED}
    ),
    S.QUEUED: frozenset(
        {S.DISPATCHED, S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED, S.CANCELLED, S.EXPIRED}
    ),
    S.DISPATCHED: frozenset(
        {S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED, S.FAILED, S.UNCERTAIN, S.CANCELLED}
    ),
    S.ACCEPTED: frozenset({S.PENDING, S.SENT, S.DELIVERED, S.FAILED, S.UNCERTAIN, S.CANCELLED}),
    S.PENDING: frozenset({S.SENT, S.DELIVERED, S.FAILED, S.UNCERTAIN}),
    S.SENT: frozenset({S.DELIVERED}),
    S.DELIVERED: frozenset(),
    # Both apps go on trying by themselves, and a person may press "Retry": what was given up
    # may still be sent. A late "pending" says nothing new about a try that has failed since.
    S.FAILED: frozenset({S.SENT, S.DELIVERED}),
    # Any word from the phone ends the uncertainty.
    S.UNCERTAIN: frozenset({S.ACCEPTED, S.PENDING, S.SENT, S.DELIVERED, S.FAILED, S.CANCELLED}),
    S.CANCELLED: frozenset(),
    S.EXPIRED: frozenset(),
    S.RECEIVED: frozenset(),
}

CANCELLABLE = frozenset({S.SCHEDULED, S.QUEUED})
"""Statuses in which no phone has seen the message, so that taking it back is certain."""

ASKED_BACK = frozenset({S.DISPATCHED, S.ACCEPTED, S.PENDING})
"""Statuses in which a phone has the message: only it can say whether it comes back."""

RESENDABLE = frozenset({S.FAILED, S.UNCERTAIN, S.CANCELLED})
"""Ends after which a person may ask for another attempt."""

FINAL = frozenset({S.DELIVERED, S.FAILED, S.UNCERTAIN, S.CANCELLED, S.EXPIRED, S.RECEIVED})
"""Statuses after which no further change is expected, whichever protocol the phone speaks."""


def may_move(current: Status, new: Status) -> bool:
    """Say whether a message may go from *current* to *new*."""
    return new in _MOVES[current]


def is_final(status: Status, protocol: Protocol | None) -> bool:
    """Say whether no further change is expected of a message sent through *protocol*.

    EnvayaSMS asks the network for no delivery reports: its ``sent`` is the last word.
    """
    return status in FINAL or (status is S.SENT and protocol is Protocol.ENVAYA)
