"""Webhook deliveries: an event on its way to a webhook endpoint, and each attempt of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from gateway_hub.domain.events import EventType
from gateway_hub.domain.webhooks.outcomes import AttemptResult, Fault, OutcomeKind

LEASE = timedelta(seconds=60)
"""How long a process that took a delivery has it for itself; an attempt takes 15 s at most."""

MOST_AT_ONCE_PER_ENDPOINT = 4
"""Attempts that one process makes at the same time for one webhook endpoint."""

MOST_UNWRITTEN_PER_ENDPOINT = 64
"""Attempts, under way or ended, that one process has not written down yet: what may be sent twice
when it is killed."""

MOST_TAKEN_PER_ENDPOINT = 64
"""Deliveries that one process takes ahead for a webhook endpoint that has not failed of late."""


class DeliveryStatus(StrEnum):
    """Where a webhook delivery stands; a ``dead`` one can be replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One event on its way to one webhook endpoint.

    *event_seq* is its place in the event log. *url* is given if it is another than the endpoint's.
    *content* is the body of an event that is in no log. *claim_id* names who makes the attempt that
    is under way. *reply_id* is the message that the endpoint replied with.
    """

    id: str
    endpoint_id: str
    event_id: str
    event_seq: int
    event_type: EventType
    created_at: datetime
    updated_at: datetime
    next_attempt_at: datetime | None
    message_id: str | None = None
    url: str | None = None
    content: str | None = field(default=None, repr=False)
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: int = 0
    claim_id: str | None = None
    reply_id: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookAttempt:
    """One HTTP request of a webhook delivery, and what came of it.

    *detail* says in words how it ended, *excerpt* is the first KiB of the answer, *reply_problem*
    says why what the endpoint replied was not sent.
    """

    delivery_id: str
    number: int
    started_at: datetime
    duration_ms: int
    outcome: OutcomeKind
    http_status: int | None
    fault: Fault | None
    detail: str
    excerpt: str | None = field(repr=False)
    reply_problem: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """An event to be sent now, by whoever holds the claim, until the lease ends."""

    delivery: WebhookDelivery
    endpoint_id: str
    project_id: str
    url: str
    body: bytes = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """What came of an attempt that began at *started_at*."""

    claimed: ClaimedDelivery
    started_at: datetime
    result: AttemptResult
