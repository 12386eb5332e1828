"""Webhook deliveries: who is to be sent what now, and what is written of each attempt.

Nothing is sent here. A process takes deliveries under a lease and with a claim of its own; what it
records of one that another process has taken since is left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random

import structlog

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.events import EventType, NewEvent, render_envelope
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.webhooks.circuit import (
    CLOSED,
    Circuit,
    CircuitState,
    begin_attempt,
    end_attempt,
    find_disable_reason,
)
from gateway_hub.domain.webhooks.deliveries import (
    LEASE,
    MOST_AT_ONCE_PER_ENDPOINT,
    MOST_TAKEN_PER_ENDPOINT,
    ClaimedDelivery,
    DeliveryStatus,
    FinishedAttempt,
    WebhookAttempt,
    WebhookDelivery,
)
from gateway_hub.domain.webhooks.endpoints import (
    EndpointState,
    WebhookEndpoint,
    describe_endpoint,
)
from gateway_hub.domain.webhooks.retries import next_attempt_at
from gateway_hub.services.secrets import SecretBox, SecretUnreadableError
from gateway_hub.services.webhook_replies import PreparedReplies, WebhookReplies
from gateway_hub.services.webhook_subscriptions import WebhookSubscriptions
from gateway_hub.storage import events as event_rows
from gateway_hub.storage import webhook_deliveries as delivery_rows
from gateway_hub.storage import webhook_endpoints as endpoint_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction
from gateway_hub.storage.webhook_deliveries import LockedDelivery

_LOOKED_AT_BESIDES = 12
_MOST_LOOKS = 20
_BURIED_AT_ONCE = 500

log = structlog.get_logger(__name__)


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
        self._secret_box = secret_box
        self._subscriptions = subscriptions
        self._replies = replies
        self._clock = clock
        self._random = random or Random()  # noqa: S311 - of jitter, nothing secret

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
            now = self._clock()
            endpoints = await _lock_endpoints(tx, finished, now)
            records = await self._record(tx, finished, endpoints, prepared)
            await self._let_go(tx, returned, now)
            claimed = await self._claim(tx, records.endpoints, Counter(busy), room)
            changed = [
                endpoint
                for endpoint in records.endpoints.values()
                if endpoint != endpoints[endpoint.id]
            ]
            await endpoint_rows.save_endpoints(tx, changed)
            return claimed

        claimed = await self._database.write(use_case)
        return await self._load(claimed)

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
            endpoint = self._judge(records.endpoints[item.claimed.endpoint_id], item)
            records.endpoints[endpoint.id] = endpoint
            after = replace(self._end(found.delivery, endpoint, item), reply_id=reply.message_id)
            records.deliveries.append(after)
            records.attempts.append(_describe(found, item, reply.problem))
        await delivery_rows.save_deliveries(tx, records.deliveries)
        await delivery_rows.add_attempts(tx, records.attempts)
        ended = [item for item in records.deliveries if item.status is not DeliveryStatus.PENDING]
        await delivery_rows.let_next_go(tx, ended, now=self._clock())
        await self._tell_of_disabled(tx, endpoints, records)
        return records

    def _judge(self, endpoint: WebhookEndpoint, item: FinishedAttempt) -> WebhookEndpoint:
        """Return *endpoint* as it is after an attempt."""
        now, outcome = self._clock(), item.result.outcome
        endpoint = replace(endpoint, circuit=end_attempt(endpoint.circuit, outcome, now))
        reason = find_disable_reason(endpoint.circuit, outcome, now)
        if reason is None or not endpoint.is_served:
            return endpoint
        return replace(
            endpoint, state=EndpointState.DISABLED, disabled_reason=reason, updated_at=now
        )

    def _end(
        self, delivery: WebhookDelivery, endpoint: WebhookEndpoint, item: FinishedAttempt
    ) -> WebhookDelivery:
        """Return *delivery* as it is after an attempt."""
        now, outcome = self._clock(), item.result.outcome
        attempts = delivery.attempts + 1
        tried = replace(delivery, attempts=attempts, claim_id=None, updated_at=now)
        if outcome.is_delivered:
            return replace(tried, status=DeliveryStatus.DELIVERED, next_attempt_at=None)
        due_at = next_attempt_at(attempts, outcome, self._random, now)
        if due_at is None or not endpoint.is_served:
            return replace(tried, status=DeliveryStatus.DEAD, next_attempt_at=None)
        return replace(tried, next_attempt_at=due_at)

    async def _let_go(
        self, tx: Transaction, returned: Sequence[ClaimedDelivery], now: datetime
    ) -> None:
        claims = {item.delivery.id: item.delivery.claim_id for item in returned}
        locked = await delivery_rows.lock_deliveries(tx, claims) if claims else {}
        await delivery_rows.claim(
            tx,
            [
                replace(item.delivery, claim_id=None, next_attempt_at=now)
                for item in locked.values()
                if item.delivery.claim_id == claims[item.delivery.id]
            ],
        )

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

    async def _claim(
        self,
        tx: Transaction,
        endpoints: dict[str, WebhookEndpoint],
        busy: Counter[str],
        room: int,
    ) -> list[tuple[WebhookDelivery, WebhookEndpoint]]:
        """Take what is due, as far as there is *room*; those with the least under way come first.

        The circuits of *endpoints* are begun, not written.
        """
        now = self._clock()
        claimed: list[tuple[WebhookDelivery, WebhookEndpoint]] = []
        waiting = [
            item
            for item in endpoints.values()
            if item.deleted_at is None
            and item.state is EndpointState.ENABLED
            and item.circuit.admits(now)
        ]
        self._random.shuffle(waiting)
        for endpoint in sorted(waiting, key=lambda item: busy[item.id]):
            free = _most_taken(endpoint.circuit) - busy[endpoint.id]
            if endpoint.circuit.state is not CircuitState.CLOSED:
                free = 1
            taken = await self._claim_for(tx, endpoint.id, min(free, room - len(claimed)), now)
            if taken:
                begun = replace(endpoint, circuit=begin_attempt(endpoint.circuit, now))
                endpoints[endpoint.id] = begun
                claimed += [(item, begun) for item in taken]
        return claimed

    async def _claim_for(
        self, tx: Transaction, endpoint_id: str, free: int, now: datetime
    ) -> list[WebhookDelivery]:
        """Take up to *free* deliveries; what waits for an earlier one of its message is put off."""
        claimed: list[WebhookDelivery] = []
        for _ in range(_MOST_LOOKS if free > 0 else 0):
            limit = free - len(claimed) + _LOOKED_AT_BESIDES
            due = await delivery_rows.lock_due(tx, endpoint_id, now=now, limit=limit)
            ready = [item.delivery for item in due if item.waits_until is None]
            taken = [
                replace(item, claim_id=new_id(), next_attempt_at=now + LEASE)
                for item in ready[: free - len(claimed)]
            ]
            # When the earlier one ends, they are let go at once.
            put_off = [
                replace(
                    item.delivery,
                    next_attempt_at=now + LEASE if item.waits_until <= now else item.waits_until,
                )
                for item in due
                if item.waits_until is not None
            ]
            await delivery_rows.claim(tx, [*taken, *put_off])
            claimed += taken
            if len(claimed) == free or not put_off:
                break
        return claimed

    async def _load(
        self, claimed: Sequence[tuple[WebhookDelivery, WebhookEndpoint]]
    ) -> list[ClaimedDelivery]:
        """Return what is needed to send *claimed*.

        Of what cannot be signed nothing is sent until its lease is over, and what is in the log no
        more is dead.
        """
        wanted = [item.event_id for item, _ in claimed if item.content is None]

        async def query(tx: Transaction) -> dict[str, bytes]:
            found = await event_rows.find_events(tx, wanted)
            return {event.id: render_envelope(event) for event in found.values()}

        bodies = await self._database.read(query) if wanted else {}
        loaded: list[ClaimedDelivery] = []
        lost: list[WebhookDelivery] = []
        for delivery, endpoint in claimed:
            given = delivery.content
            body = bodies.get(delivery.event_id) if given is None else given.encode("utf-8")
            if body is None:
                lost.append(delivery)
                continue
            secrets = self._open(endpoint)
            if secrets is None:
                log.error("webhook_secret_unreadable", endpoint_id=endpoint.id)
                continue
            loaded.append(
                ClaimedDelivery(
                    delivery=delivery,
                    endpoint_id=endpoint.id,
                    project_id=endpoint.project_id,
                    url=delivery.url or endpoint.url,
                    body=body,
                    secrets=secrets,
                )
            )
        if lost:
            await self._give_up(lost)
        return loaded

    async def _give_up(self, lost: Sequence[WebhookDelivery]) -> None:
        """End those of *lost* as dead that are still this process's own."""
        claims = {item.id: item.claim_id for item in lost}

        async def use_case(tx: Transaction) -> None:
            now = self._clock()
            locked = await delivery_rows.lock_deliveries(tx, claims)
            dead = [
                replace(
                    item.delivery,
                    status=DeliveryStatus.DEAD,
                    next_attempt_at=None,
                    claim_id=None,
                    updated_at=now,
                )
                for item in locked.values()
                if item.delivery.claim_id == claims[item.delivery.id]
            ]
            await delivery_rows.save_deliveries(tx, dead)
            await delivery_rows.let_next_go(tx, dead, now=now)
            self._subscriptions.wake_after_commit(tx)

        await self._database.write(use_case)

    def _open(self, endpoint: WebhookEndpoint) -> tuple[str, ...] | None:
        try:
            return tuple(
                self._secret_box.decrypt(endpoint.id, sealed)
                for sealed in endpoint.secrets.in_force(self._clock())
            )
        except SecretUnreadableError:
            return None


def _most_taken(circuit: Circuit) -> int:
    return MOST_TAKEN_PER_ENDPOINT if circuit == CLOSED else MOST_AT_ONCE_PER_ENDPOINT


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


def _describe(
    found: LockedDelivery, item: FinishedAttempt, reply_problem: str | None
) -> WebhookAttempt:
    outcome, answer = item.result.outcome, item.result.answer
    return WebhookAttempt(
        delivery_id=found.delivery.id,
        number=found.last_number + 1,
        started_at=item.started_at,
        duration_ms=item.result.duration_ms,
        outcome=outcome.kind,
        http_status=outcome.status,
        fault=outcome.fault,
        detail=str(outcome),
        excerpt=None if answer is None else answer.excerpt,
        reply_problem=reply_problem,
    )
