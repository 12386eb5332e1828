"""What an attempt makes of its delivery and of its webhook endpoint."""

from dataclasses import replace
from datetime import datetime

from gateway_hub.domain.webhooks.circuit import end_attempt, find_disable_reason
from gateway_hub.domain.webhooks.deliveries import (
    DeliveryStatus,
    FinishedAttempt,
    WebhookAttempt,
    WebhookDelivery,
)
from gateway_hub.domain.webhooks.endpoints import EndpointState, WebhookEndpoint
from gateway_hub.domain.webhooks.outcomes import Outcome


def judge_endpoint(endpoint: WebhookEndpoint, outcome: Outcome, now: datetime) -> WebhookEndpoint:
    """Return *endpoint* as it is after an attempt."""
    endpoint = replace(endpoint, circuit=end_attempt(endpoint.circuit, outcome, now))
    reason = find_disable_reason(endpoint.circuit, outcome, now)
    if reason is None or not endpoint.is_served:
        return endpoint
    return replace(endpoint, state=EndpointState.DISABLED, disabled_reason=reason, updated_at=now)


def end_try(
    delivery: WebhookDelivery, outcome: Outcome, due_at: datetime | None, now: datetime
) -> WebhookDelivery:
    """Return *delivery* as it is after an attempt; if that failed, the next one is *due_at*."""
    tried = replace(delivery, attempts=delivery.attempts + 1, claim_id=None, updated_at=now)
    if outcome.is_delivered:
        return replace(tried, status=DeliveryStatus.DELIVERED, next_attempt_at=None)
    if due_at is None:
        return replace(tried, status=DeliveryStatus.DEAD, next_attempt_at=None)
    return replace(tried, next_attempt_at=due_at)


def give_up(delivery: WebhookDelivery, now: datetime) -> WebhookDelivery:
    """Return *delivery* as dead, without a further attempt."""
    return replace(
        delivery,
        status=DeliveryStatus.DEAD,
        next_attempt_at=None,
        claim_id=None,
        updated_at=now,
    )


def describe_attempt(
    item: FinishedAttempt, number: int, reply_problem: str | None
) -> WebhookAttempt:
    """Return what is kept of an attempt, which is that *number* of its delivery."""
    outcome, answer = item.result.outcome, item.result.answer
    return WebhookAttempt(
        delivery_id=item.claimed.delivery.id,
        number=number,
        started_at=item.started_at,
        duration_ms=item.result.duration_ms,
        outcome=outcome.kind,
        http_status=outcome.status,
        fault=outcome.fault,
        detail=str(outcome),
        excerpt=None if answer is None else answer.excerpt,
        reply_problem=reply_problem,
    )
