"""Webhook endpoints of a project: made, changed, removed; their secrets; a test of one."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import orjson

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.errors import ConflictError, HubError, InvalidInputError, NotFoundError
from gateway_hub.domain.events import Event, EventType, render_envelope
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.networks import Network
from gateway_hub.domain.webhooks.circuit import CLOSED
from gateway_hub.domain.webhooks.deliveries import WebhookDelivery
from gateway_hub.domain.webhooks.endpoints import (
    ANY_TYPE,
    EndpointKind,
    EndpointState,
    SealedSecrets,
    WebhookEndpoint,
)
from gateway_hub.domain.webhooks.secrets import generate_webhook_secret
from gateway_hub.domain.webhooks.urls import check_webhook_url
from gateway_hub.services.idempotency import Once, only_once
from gateway_hub.services.secrets import SecretBox
from gateway_hub.services.webhook_subscriptions import WebhookSubscriptions, origin_of
from gateway_hub.storage import events as event_rows
from gateway_hub.storage import webhook_deliveries as delivery_rows
from gateway_hub.storage import webhook_endpoints as endpoint_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

MOST_ENDPOINTS = 100
"""How many of each kind a project may have."""

_FIRST_IN_LINE = datetime(1970, 1, 1, tzinfo=UTC)
_SETTABLE_OF_CALLBACK = frozenset({"state", "description"})


@dataclass(frozen=True, slots=True)
class EndpointDraft:
    """A webhook endpoint as asked for."""

    url: str
    events: tuple[str, ...] = (ANY_TYPE,)
    tags: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """Where webhooks may go: *allowed* networks besides the public internet, plain http or not."""

    allowed: Sequence[Network] = ()
    allow_http: bool = False

    def check(self, url: str, pointer: str = "/url") -> str:
        """Return *url* as it is kept. Raises InvalidInputError, which points to *pointer*."""
        try:
            parsed = check_webhook_url(url, self.allowed)
        except InvalidInputError as error:
            problem = error.fields[0]
            raise InvalidInputError.of_field(pointer, problem.code, problem.detail) from None
        if parsed.scheme != "https" and not self.allow_http:
            raise InvalidInputError.of_field(
                pointer, "url_not_https", "The URL must begin with https://."
            )
        return parsed.text


class WebhookEndpoints:
    """The webhook endpoints of every project."""

    def __init__(
        self,
        database: Database,
        secret_box: SecretBox,
        subscriptions: WebhookSubscriptions,
        *,
        rules: WebhookRules,
        clock: Clock,
    ) -> None:
        self._database = database
        self._secret_box = secret_box
        self._subscriptions = subscriptions
        self._clock = clock
        self.rules = rules

    async def create(
        self,
        project_id: str,
        draft: EndpointDraft,
        once: Once[tuple[WebhookEndpoint, str]] | None = None,
    ) -> tuple[WebhookEndpoint, str]:
        """Make a webhook endpoint; return it and its secret, the only time that is seen.

        Raises InvalidInputError, and ConflictError if the project has as many as it may.
        """
        url = self.rules.check(draft.url)
        made, secret = self._make(project_id, EndpointKind.ENDPOINT, url)
        made = replace(made, events=draft.events, tags=draft.tags, description=draft.description)

        async def use_case(tx: Transaction) -> tuple[WebhookEndpoint, str]:
            return await self._add(tx, made), secret

        return await self._database.write(only_once(use_case, once))

    async def get(self, project_id: str, endpoint_id: str) -> WebhookEndpoint:
        """Return a webhook endpoint. Raises NotFoundError."""

        async def query(tx: Transaction) -> WebhookEndpoint | None:
            return await endpoint_rows.find_endpoint(tx, project_id, endpoint_id)

        found = await self._database.read(query)
        return found or _refuse_missing()

    async def list_endpoints(
        self, project_id: str, kind: EndpointKind | None, *, before: str, limit: int
    ) -> list[WebhookEndpoint]:
        """Return up to *limit* webhook endpoints with ids below *before*, newest first."""

        async def query(tx: Transaction) -> list[WebhookEndpoint]:
            return await endpoint_rows.list_endpoints(
                tx, project_id, kind, before=before, limit=limit
            )

        return await self._database.read(query)

    async def change(
        self, project_id: str, endpoint_id: str, changes: dict[str, Any]
    ) -> WebhookEndpoint:
        """Set the fields of *changes*: url, events, tags, description, state.

        One that is enabled, or gets another URL, is tried at once. Raises NotFoundError,
        InvalidInputError, and ConflictError for what cannot be changed of a callback.
        """
        if "url" in changes:
            changes = changes | {"url": self.rules.check(changes["url"])}

        async def use_case(tx: Transaction) -> WebhookEndpoint:
            endpoint = await self._lock(tx, project_id, endpoint_id)
            fixed = endpoint.kind is EndpointKind.CALLBACK
            if fixed and not _SETTABLE_OF_CALLBACK.issuperset(changes):
                raise ConflictError(
                    "URL, events and tags of a callback are those of its messages.",
                    code="callback_fixed",
                )
            changed = replace(endpoint, **changes, updated_at=self._clock())
            if changed.url != endpoint.url or changes.get("state") is EndpointState.ENABLED:
                changed = replace(changed, circuit=CLOSED)
            if not endpoint.is_served and changed.is_served:
                # What happened meanwhile is not for it, unless it asks for a replay.
                last = (await event_rows.find_bounds(tx)).last
                changed = replace(changed, disabled_reason=None, after_seq=last)
            await self._save(tx, changed)
            self._subscriptions.wake_after_commit(tx)
            return changed

        return await self._database.write(use_case)

    async def delete(self, project_id: str, endpoint_id: str) -> None:
        """Remove a webhook endpoint; what was on its way to it is dead. Raises NotFoundError."""

        async def use_case(tx: Transaction) -> None:
            endpoint = await endpoint_rows.lock_endpoint(tx, project_id, endpoint_id)
            if endpoint is None:
                if tx.is_repeat:
                    return
                _refuse_missing()
            await self._save(tx, replace(endpoint, deleted_at=self._clock()))

        await self._database.write(use_case)

    async def rotate_secret(
        self,
        project_id: str,
        endpoint_id: str,
        overlap: timedelta,
        once: Once[tuple[WebhookEndpoint, str]] | None = None,
    ) -> tuple[WebhookEndpoint, str]:
        """Give a webhook endpoint a new secret; return both. The old one signs too for *overlap*.

        Raises NotFoundError.
        """
        secret = generate_webhook_secret()
        sealed = self._secret_box.encrypt(endpoint_id, secret)

        async def use_case(tx: Transaction) -> tuple[WebhookEndpoint, str]:
            now = self._clock()
            endpoint = await self._lock(tx, project_id, endpoint_id)
            if endpoint.secrets.current == sealed:
                return endpoint, secret
            secrets = SealedSecrets(sealed)
            if overlap:
                secrets = SealedSecrets(sealed, endpoint.secrets.current, now + overlap)
            changed = replace(endpoint, secrets=secrets, updated_at=now)
            await self._save(tx, changed)
            return changed, secret

        return await self._database.write(only_once(use_case, once))

    async def test(
        self, project_id: str, endpoint_id: str, once: Once[WebhookDelivery] | None = None
    ) -> WebhookDelivery:
        """Put an event that is in no log on its way to a webhook endpoint, before all others.

        Raises NotFoundError, and ConflictError unless it is enabled.
        """
        now = self._clock()
        event_id, delivery_id = new_id(), new_id()

        async def use_case(tx: Transaction) -> WebhookDelivery:
            endpoint = await self._lock(tx, project_id, endpoint_id)
            if endpoint.state is not EndpointState.ENABLED:
                raise ConflictError(
                    f"The webhook endpoint is {endpoint.state}.", code="not_enabled"
                )
            delivery = _test(endpoint, event_id, delivery_id, now)
            await delivery_rows.add_deliveries(tx, [delivery])
            if endpoint.circuit.until is not None:
                circuit = replace(endpoint.circuit, until=now)
                await endpoint_rows.save_endpoints(tx, [replace(endpoint, circuit=circuit)])
            self._subscriptions.wake_after_commit(tx)
            return delivery

        return await self._database.write(only_once(use_case, once))

    async def check_callbacks(
        self, project_id: str, callbacks: Iterable[str | None]
    ) -> dict[str, str | HubError]:
        """Return by URL how each of *callbacks* is kept, or why it cannot be one.

        A webhook endpoint stands for those of one scheme, host and port: it is made if there is
        none.
        """
        checked: dict[str, str | HubError] = {}
        known: set[str] = set()
        for url in {url for url in callbacks if url is not None}:
            try:
                kept = self.rules.check(url, "/status_callback")
                origin = origin_of(kept)
                if origin not in known:
                    await self._ensure_callback(project_id, origin)
                    known.add(origin)
                checked[url] = kept
            except (InvalidInputError, ConflictError) as error:
                checked[url] = error
        return checked

    async def _ensure_callback(self, project_id: str, origin: str) -> None:
        async def query(tx: Transaction) -> bool:
            return await self._subscriptions.knows_callback(tx, project_id, origin)

        if await self._database.read(query):
            return
        made, _ = self._make(project_id, EndpointKind.CALLBACK, origin)

        async def use_case(tx: Transaction) -> None:
            if await endpoint_rows.find_callback(tx, project_id, origin) is None:
                await self._add(tx, made)

        await self._database.write(use_case)

    def _make(self, project_id: str, kind: EndpointKind, url: str) -> tuple[WebhookEndpoint, str]:
        """Return a new webhook endpoint, not stored yet, and its secret."""
        now, endpoint_id = self._clock(), new_id()
        secret = generate_webhook_secret()
        sealed = SealedSecrets(self._secret_box.encrypt(endpoint_id, secret))
        return WebhookEndpoint(endpoint_id, project_id, kind, url, sealed, now, now), secret

    async def _add(self, tx: Transaction, made: WebhookEndpoint) -> WebhookEndpoint:
        count = await endpoint_rows.count_endpoints(tx, made.project_id, made.kind)
        if count >= MOST_ENDPOINTS and not tx.is_repeat:
            raise ConflictError(
                f"The project has {count} webhook endpoints of this kind; more are not allowed.",
                code="too_many_webhook_endpoints",
            )
        added = replace(made, after_seq=(await event_rows.find_bounds(tx)).last)
        await endpoint_rows.add_endpoint(tx, added)
        await self._subscriptions.note_change(tx)
        return added

    async def _save(self, tx: Transaction, changed: WebhookEndpoint) -> None:
        await endpoint_rows.save_endpoints(tx, [changed])
        await self._subscriptions.note_change(tx)

    async def _lock(self, tx: Transaction, project_id: str, endpoint_id: str) -> WebhookEndpoint:
        endpoint = await endpoint_rows.lock_endpoint(tx, project_id, endpoint_id)
        return endpoint or _refuse_missing()


def _test(
    endpoint: WebhookEndpoint, event_id: str, delivery_id: str, now: datetime
) -> WebhookDelivery:
    event = Event(
        seq=0,
        id=event_id,
        type=EventType.WEBHOOK_ENDPOINT_TEST,
        timestamp=now,
        project_id=endpoint.project_id,
        data=orjson.dumps({"webhook_endpoint_id": endpoint.id}).decode(),
    )
    return WebhookDelivery(
        id=delivery_id,
        endpoint_id=endpoint.id,
        event_id=event.id,
        event_seq=event.seq,
        event_type=event.type,
        created_at=now,
        updated_at=now,
        next_attempt_at=_FIRST_IN_LINE,
        content=render_envelope(event).decode(),
    )


def _refuse_missing() -> NoReturn:
    raise NotFoundError("There is no such webhook endpoint.")
