"""What was sent to a webhook endpoint: looked up, and sent again on request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from gateway_hub.domain.events import Event
from gateway_hub.domain.webhooks.deliveries import DeliveryStatus, WebhookAttempt, WebhookDelivery
from gateway_hub.domain.webhooks.endpoints import EndpointState, WebhookEndpoint
from gateway_hub.services.idempotency import Once, only_once
from gateway_hub.services.webhook_subscriptions import WebhookSubscriptions
from gateway_hub.storage import events as event_rows
from gateway_hub.storage import webhook_deliveries as delivery_rows
from gateway_hub.storage import webhook_endpoints as endpoint_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction, UseCase

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Replay:
    """Which events to send again: all from a time on, some, or all that are dead."""

    since: datetime | None = None
    event_ids: tuple[str, ...] = ()
    dead: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    """How many were taken, and after what the next begin: None at the end."""

    replayed: int
    after: str | None


class WebhookHistory:
    """The webhook deliveries of every project."""

    def __init__(
        self, database: Database, subscriptions: WebhookSubscriptions, clock: Clock
    ) -> None:
        self._database = database
        self._subscriptions = subscriptions
        self._clock = clock

    async def list_deliveries(
        self,
        project_id: str,
        endpoint_id: str,
        status: DeliveryStatus | None,
        *,
        before: str,
        limit: int,
    ) -> list[WebhookDelivery]:
        """Return up to *limit* deliveries with ids below *before*, newest first.

        Raises NotFoundError.
        """

        async def query(tx: Transaction) -> list[WebhookDelivery]:
            endpoint = await _find(tx, project_id, endpoint_id)
            return await delivery_rows.list_deliveries(
                tx, endpoint.id, status, before=before, limit=limit
            )

        return await self._database.read(query)

    async def get_delivery(
        self, project_id: str, endpoint_id: str, delivery_id: str
    ) -> tuple[WebhookDelivery, list[WebhookAttempt]]:
        """Return a delivery with its attempts. Raises NotFoundError."""

        async def query(tx: Transaction) -> tuple[WebhookDelivery, list[WebhookAttempt]]:
            endpoint = await _find(tx, project_id, endpoint_id)
            delivery = await delivery_rows.find_delivery(tx, endpoint.id, delivery_id)
            if delivery is None:
                raise NotFoundError("There is no such webhook delivery.")
            return delivery, await delivery_rows.list_attempts(tx, delivery.id)

        return await self._database.read(query)

    async def replay(
        self, project_id: str, endpoint_id: str, wanted: Replay, once: Once[int] | None = None
    ) -> int:
        """Send *wanted* again, with the ids they had, all attempts anew; return how many those are.

        What is on its way is tried at once. Raises NotFoundError, InvalidInputError for an event
        that is not in the log, and ConflictError for a webhook endpoint that is disabled.
        """
        if once is not None:
            # What follows is done in steps: a repeat must not begin with the first of them.
            await once.keys.check(once.claim)
        replayed = 0
        if wanted.event_ids:
            replayed += await self._replay_events(project_id, endpoint_id, wanted.event_ids)
        if wanted.since is not None:
            replayed += await self._replay_since(project_id, endpoint_id, wanted.since)
        if wanted.dead:
            replayed += await self._replay_dead(project_id, endpoint_id)

        async def use_case(_tx: Transaction) -> int:
            return replayed

        return replayed if once is None else await self._database.write(only_once(use_case, once))

    async def _replay_events(
        self, project_id: str, endpoint_id: str, event_ids: Sequence[str]
    ) -> int:
        async def use_case(tx: Transaction) -> int:
            endpoint = await _find_enabled(tx, project_id, endpoint_id)
            found = await event_rows.find_events(tx, event_ids)
            events = [found[key] for key in event_ids if key in found]
            known = [event for event in events if event.project_id == project_id]
            known_ids = {event.id for event in known}
            unknown = [index for index, key in enumerate(event_ids) if key not in known_ids]
            if unknown:
                raise _unknown_events(unknown)
            return await self._replay(tx, endpoint, sorted(known, key=lambda event: event.seq))

        return await self._database.write(use_case)

    async def _replay_since(self, project_id: str, endpoint_id: str, since: datetime) -> int:
        def step_after(after: str) -> UseCase[_Step]:
            async def use_case(tx: Transaction) -> _Step:
                endpoint = await _find_enabled(tx, project_id, endpoint_id)
                events = await event_rows.list_since(
                    tx, project_id, since, after=int(after or 0), limit=_AT_ONCE
                )
                replayed = await self._replay(tx, endpoint, events)
                at_end = len(events) < _AT_ONCE
                return _Step(replayed, None if at_end else str(events[-1].seq))

            return use_case

        return await self._do_all(step_after)

    async def _replay_dead(self, project_id: str, endpoint_id: str) -> int:
        def step_after(after: str) -> UseCase[_Step]:
            async def use_case(tx: Transaction) -> _Step:
                endpoint = await _find_enabled(tx, project_id, endpoint_id)
                dead = await delivery_rows.lock_dead(tx, endpoint.id, after=after, limit=_AT_ONCE)
                replayed = await self._begin_anew(tx, dead)
                return _Step(replayed, None if len(dead) < _AT_ONCE else dead[-1].id)

            return use_case

        return await self._do_all(step_after)

    async def _do_all(self, step_after: Callable[[str], UseCase[_Step]]) -> int:
        """Do step after step, each a transaction: thousands at once would hold up everybody."""
        replayed = 0
        after: str | None = ""
        while after is not None:
            step = await self._database.write(step_after(after))
            replayed += step.replayed
            after = step.after
        return replayed

    async def _replay(
        self, tx: Transaction, endpoint: WebhookEndpoint, events: Sequence[Event]
    ) -> int:
        """Send those of *events* that *endpoint* asks for, also what it was sent before."""
        chosen = await self._subscriptions.choose(tx, endpoint, events)
        known = await delivery_rows.lock_replayed(tx, endpoint.id, [event.id for event in events])
        known_ids = {item.event_id for item in known}
        new = [item for item in chosen if item.event_id not in known_ids]
        await delivery_rows.add_deliveries(tx, new)
        return len(new) + await self._begin_anew(tx, known)

    async def _begin_anew(self, tx: Transaction, deliveries: Sequence[WebhookDelivery]) -> int:
        now = self._clock()
        await delivery_rows.save_deliveries(
            tx, [_begin_anew(item, now) for item in deliveries if not _is_under_way(item, now)]
        )
        self._subscriptions.wake_after_commit(tx)
        return len(deliveries)


def _is_under_way(delivery: WebhookDelivery, now: datetime) -> bool:
    lease_until = delivery.next_attempt_at
    return delivery.claim_id is not None and lease_until is not None and lease_until > now


def _begin_anew(delivery: WebhookDelivery, now: datetime) -> WebhookDelivery:
    return replace(
        delivery,
        status=DeliveryStatus.PENDING,
        attempts=0,
        next_attempt_at=now,
        claim_id=None,
        updated_at=now,
    )


async def _find(tx: Transaction, project_id: str, endpoint_id: str) -> WebhookEndpoint:
    endpoint = await endpoint_rows.find_endpoint(tx, project_id, endpoint_id)
    if endpoint is None:
        raise NotFoundError("There is no such webhook endpoint.")
    return endpoint


async def _find_enabled(tx: Transaction, project_id: str, endpoint_id: str) -> WebhookEndpoint:
    endpoint = await _find(tx, project_id, endpoint_id)
    if endpoint.state is EndpointState.DISABLED:
        raise ConflictError(
            "The webhook endpoint is disabled: enable it first.", code="not_enabled"
        )
    return endpoint


def _unknown_events(positions: Sequence[int]) -> InvalidInputError:
    detail = "There is no such event."
    problems = tuple(
        FieldProblem(f"/event_ids/{index}", "unknown_event", detail) for index in positions
    )
    return InvalidInputError(detail, fields=problems)
