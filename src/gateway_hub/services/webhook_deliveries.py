"""Webhook deliveries: what is written of each attempt, and what is to be sent next.

Nothing is sent here. What a process records of a delivery that another one has taken since is left
out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.events import EventType, NewEvent
from gateway_hub.domain.webhooks.circuit import (
    CLOSED,
)
from gateway_hub.domain.webhooks.deliveries import (
    ClaimedDelivery,
    DeliveryStatus,
    FinishedAttempt,
    WebhookAttempt,
    WebhookDelivery,
)
from gateway_hub.domain.webhooks.endpoints import (
    WebhookEndpoint,
    describe_endpoint,
)
from gateway_hub.domain.webhooks.outcomes import Outcome
from gateway_hub.domain.webhooks.retries import next_attempt_at
from gateway_hub.domain.webhooks.transitions import describe_attempt, end_try, judge_endpoint
from gateway_hub.services.secrets import SecretBox
from gateway_hub.services.webhook_claims import WebhookClaims
from gateway_hub.services.webhook_replies import PreparedReplies, WebhookReplies
from gateway_hub.services.webhook_subscriptions import WebhookSubscriptions
from gateway_hub.storage import webhook_deliveries as delivery_rows
from gateway_hub.storage import webhook_endpoints as endpoint_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_BURIED_AT_ONCE = 500


@dataclass(slots=True)
class _Records:
    """What is to be written of attempts that have ended."""

    deliveries: list[WebhookDelivery] = field(default_factory=list)
    attempts: list[WebhookAttempt] = field(default_factory=list)
    endpoints: dict[str, WebhookEndpoint] = field(default_factory=dict)


class WebhookDeliveries:
    """What is on its way to the webhook endpoints of all projects."""

    BURY_SECONDS = 1.0

    def __init__(
        self,
        database: Database,
        secret_box: SecretBox,
        subscriptions: WebhookSubscriptions,
        *,
        replies: WebhookReplies,
        clock: Clock,
        random: Random | None = None,
    ) -> None:
        self._database = database
        self._subscriptions = subscriptions
        self._replies = replies
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - of jitter, nothing secret
        self.claims = WebhookClaims(
            database, secret_box, subscriptions, clock=clock, random=self._random
        )

    async def may_be_due(self) -> bool:
        """Say whether there may be something to send."""

        async def query(tx: Transaction) -> bool:
            return await delivery_rows.has_due(tx, now=self._clock())

        return await self._database.read(query)

    async def record_and_claim(
        self,
        finished: Sequence[FinishedAttempt],
        *,
        returned: Sequence[ClaimedDelivery] = (),
        busy: Mapping[str, int],
        room: int,
    ) -> list[ClaimedDelivery]:
        """Write down what came of *finished*, and return what this process is to send now.

        *returned* was taken and has not begun: it is free again. *busy* says how much is taken for
        each webhook endpoint, *room* how much more may be. All in one transaction, so that one
        commit serves it.
        """
        prepared = await self._replies.prepare(finished)

        async def use_case(tx: Transaction) -> list[tuple[WebhookDelivery, WebhookEndpoint]]:
            endpoints = await _lock_endpoints(tx, finished, self._clock())
            records = await self._record(tx, finished, endpoints, prepared)
            await self.claims.give_back(tx, returned)
            claimed = await self.claims.claim(tx, records.endpoints, Counter(busy), room)
            changed = [
                endpoint
                for endpoint in records.endpoints.values()
                if endpoint != endpoints[endpoint.id]
            ]
            await endpoint_rows.save_endpoints(tx, changed)
            return claimed

        claimed = await self._database.write(use_case)
        return await self.claims.load(claimed)

    async def bury(self) -> int:
        """End what waits for webhook endpoints that were disabled or removed; return how many."""

        async def query(tx: Transaction) -> list[str]:
            return await endpoint_rows.find_left_behind(tx)

        buried = 0
        for endpoint_id in await self._database.read(query):
            while (count := await self._bury(endpoint_id)) > 0:
                buried += count
        return buried

    async def _bury(self, endpoint_id: str) -> int:
        async def use_case(tx: Transaction) -> int:
            found = await endpoint_rows.find_endpoints(tx, [endpoint_id])
            if found[endpoint_id].is_served:
                return 0
            return await delivery_rows.bury(
                tx, endpoint_id, now=self._clock(), limit=_BURIED_AT_ONCE
            )

        return await self._database.write(use_case)

    async def _record(
        self,
        tx: Transaction,
        finished: Sequence[FinishedAttempt],
        endpoints: Mapping[str, WebhookEndpoint],
        prepared: PreparedReplies,
    ) -> _Records:
        """Write what came of *finished*, but not their webhook endpoints, which are returned."""
        records = _Records(endpoints=dict(endpoints))
        if not finished:
            return records
        locked = await delivery_rows.lock_deliveries(
            tx, (item.claimed.delivery.id for item in finished)
        )
        for item in finished:
            found = locked.get(item.claimed.delivery.id)
            if found is None or found.delivery.claim_id != item.claimed.delivery.claim_id:
                continue  # another process has it now: this one was away for longer than its lease
            reply = await self._replies.send(tx, found.delivery, prepared)
            now, outcome = self._clock(), item.result.outcome
            endpoint = judge_endpoint(records.endpoints[item.claimed.endpoint_id], outcome, now)
            records.endpoints[endpoint.id] = endpoint
            due_at = self._find_next(found.delivery, endpoint, outcome, now)
            after = end_try(found.delivery, outcome, due_at, now)
            records.deliveries.append(replace(after, reply_id=reply.message_id))
            records.attempts.append(describe_attempt(item, found.last_number + 1, reply.problem))
        await delivery_rows.save_deliveries(tx, records.deliveries)
        await delivery_rows.add_attempts(tx, records.attempts)
        ended = [item for item in records.deliveries if item.status is not DeliveryStatus.PENDING]
        await delivery_rows.let_next_go(tx, ended, now=self._clock())
        await self._tell_of_disabled(tx, endpoints, records)
        return records

    def _find_next(
        self, delivery: WebhookDelivery, endpoint: WebhookEndpoint, outcome: Outcome, now: datetime
    ) -> datetime | None:
        """Return when *delivery* is due again after that outcome; None: never."""
        if outcome.is_delivered or not endpoint.is_served:
            return None
        return next_attempt_at(delivery.attempts + 1, outcome, self._random, now)

    async def _tell_of_disabled(
        self, tx: Transaction, before: Mapping[str, WebhookEndpoint], records: _Records
    ) -> None:
        disabled = [
            endpoint
            for endpoint in records.endpoints.values()
            if endpoint.state is not before[endpoint.id].state
        ]
        for endpoint in disabled:
            tx.journal.note_event(
                NewEvent(
                    type=EventType.WEBHOOK_ENDPOINT_DISABLED,
                    timestamp=endpoint.updated_at,
                    project_id=endpoint.project_id,
                    data=describe_endpoint(endpoint),
                )
            )
        if disabled:
            await self._subscriptions.note_change(tx)


async def _lock_endpoints(
    tx: Transaction, finished: Sequence[FinishedAttempt], now: datetime
) -> dict[str, WebhookEndpoint]:
    """Return by id the webhook endpoints that are due, and those of *finished*.

    Those whose circuit may change are locked, before any delivery is: so does everybody.
    """
    found = {endpoint.id: endpoint for endpoint in await endpoint_rows.find_due(tx, now=now)}
    finished_ids = {item.claimed.endpoint_id for item in finished}
    found |= await endpoint_rows.find_endpoints(tx, finished_ids - found.keys())
    failed = {item.claimed.endpoint_id for item in finished if not item.result.outcome.is_delivered}
    changing = {endpoint.id for endpoint in found.values() if endpoint.circuit != CLOSED} | failed
    return found | await endpoint_rows.find_endpoints(tx, changing, lock=True)
