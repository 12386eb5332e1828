"""Which webhook deliveries a process sends now: taken under a lease, with a claim of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from random import Random

import structlog

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.events import render_envelope
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.webhooks.circuit import CLOSED, Circuit, CircuitState, begin_attempt
from gateway_hub.domain.webhooks.deliveries import (
    LEASE,
    MOST_AT_ONCE_PER_ENDPOINT,
    MOST_TAKEN_PER_ENDPOINT,
    ClaimedDelivery,
    WebhookDelivery,
)
from gateway_hub.domain.webhooks.endpoints import EndpointState, WebhookEndpoint
from gateway_hub.domain.webhooks.transitions import give_up
from gateway_hub.services.secrets import SecretBox, SecretUnreadableError
from gateway_hub.services.webhook_subscriptions import WebhookSubscriptions
from gateway_hub.storage import events as event_rows
from gateway_hub.storage import webhook_deliveries as delivery_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_LOOKED_AT_BESIDES = 12
_MOST_LOOKS = 20

log = structlog.get_logger(__name__)


class WebhookClaims:
    """What processes take, give back, and get to send it."""

    def __init__(
        self,
        database: Database,
        secret_box: SecretBox,
        subscriptions: WebhookSubscriptions,
        *,
        clock: Clock,
        random: Random,
    ) -> None:
        self._database = database
        self._secret_box = secret_box
        self._subscriptions = subscriptions
        self._clock = clock
        self._random = random

    async def claim(
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

    async def give_back(self, tx: Transaction, returned: Sequence[ClaimedDelivery]) -> None:
        """Let *returned*, taken and not begun, be taken by anybody at once."""
        now = self._clock()
        own = await _lock_own(tx, [item.delivery for item in returned])
        free = [replace(item, claim_id=None, next_attempt_at=now) for item in own]
        await delivery_rows.claim(tx, free)

    async def load(
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
            await self.end_lost(lost)
        return loaded

    async def end_lost(self, lost: Sequence[WebhookDelivery]) -> None:
        """End *lost*, whose events are gone, as dead: those that are still this process's own."""

        async def use_case(tx: Transaction) -> None:
            now = self._clock()
            dead = [give_up(item, now) for item in await _lock_own(tx, lost)]
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


async def _lock_own(tx: Transaction, taken: Sequence[WebhookDelivery]) -> list[WebhookDelivery]:
    """Return, as they are now, those of *taken* that no other process has taken since."""
    if not taken:
        return []
    claims = {item.id: item.claim_id for item in taken}
    locked = await delivery_rows.lock_deliveries(tx, claims)
    return [
        item.delivery
        for item in locked.values()
        if item.delivery.claim_id == claims[item.delivery.id]
    ]


def _most_taken(circuit: Circuit) -> int:
    return MOST_TAKEN_PER_ENDPOINT if circuit == CLOSED else MOST_AT_ONCE_PER_ENDPOINT
