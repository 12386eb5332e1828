"""Webhook endpoints: those of a project, and those that events are sent to."""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, bindparam, exists, func, or_, select, text, update
from sqlalchemy.engine import Row

from gateway_hub.domain.webhooks.circuit import Circuit, CircuitState, DisableReason
from gateway_hub.domain.webhooks.endpoints import (
    EndpointKind,
    EndpointState,
    SealedSecrets,
    WebhookEndpoint,
)
from gateway_hub.storage.inserts import insert_if_absent
from gateway_hub.storage.lists import as_list, is_one_of
from gateway_hub.storage.tables import webhook_deliveries, webhook_endpoints
from gateway_hub.storage.transactions import Transaction

_COLUMNS = webhook_endpoints.c
_ANY = select(webhook_endpoints)
_PRESENT = _ANY.where(_COLUMNS.deleted_at.is_(None))
_BY_ID = _PRESENT.where(
    _COLUMNS.id == bindparam("endpoint_id"), _COLUMNS.project_id == bindparam("of_project")
)
_LOCK_BY_ID = _BY_ID.with_for_update(key_share=True)
_CALLBACK = _PRESENT.where(
    _COLUMNS.project_id == bindparam("of_project"),
    _COLUMNS.kind == EndpointKind.CALLBACK,
    _COLUMNS.url == bindparam("of_url"),
)
_PAGE = (
    _PRESENT.where(
        _COLUMNS.project_id == bindparam("of_project"),
        _COLUMNS.id < bindparam("before"),
    )
    .order_by(_COLUMNS.id.desc())
    .limit(bindparam("limit"))
)
_PAGE_OF_KIND = _PAGE.where(_COLUMNS.kind == bindparam("of_kind"))
_COUNT = select(func.count()).where(
    _COLUMNS.project_id == bindparam("of_project"),
    _COLUMNS.kind == bindparam("of_kind"),
    _COLUMNS.deleted_at.is_(None),
)
_SERVED = _PRESENT.where(_COLUMNS.state != EndpointState.DISABLED).order_by(_COLUMNS.id)
# Written out, not bound: a planner uses a partial index only if it sees the condition itself.
_IS_PENDING = text("webhook_deliveries.status = 'pending'")
_HAS_PENDING = exists().where(webhook_deliveries.c.endpoint_id == _COLUMNS.id, _IS_PENDING)
_HAS_DUE = _HAS_PENDING.where(webhook_deliveries.c.next_attempt_at <= bindparam("now"))
_DUE = _PRESENT.where(
    _COLUMNS.state == EndpointState.ENABLED,
    or_(_COLUMNS.circuit_until.is_(None), _COLUMNS.circuit_until <= bindparam("now")),
    _HAS_DUE,
)
_LEFT_BEHIND = select(_COLUMNS.id).where(
    or_(_COLUMNS.state == EndpointState.DISABLED, _COLUMNS.deleted_at.is_not(None)), _HAS_PENDING
)
_SAVE = (
    update(webhook_endpoints)
    .where(_COLUMNS.id == bindparam("endpoint_id"))
    .values({column.name: bindparam(f"new_{column.name}") for column in _COLUMNS})
)
_SECRETS = select(_COLUMNS.id, _COLUMNS.secret, _COLUMNS.previous_secret).where(
    _COLUMNS.deleted_at.is_(None)
)


async def add_endpoint(tx: Transaction, endpoint: WebhookEndpoint) -> bool:
    """Store *endpoint*; say False if it is there, or another callback of the same origin."""
    return await insert_if_absent(tx, webhook_endpoints, _to_values(endpoint))


async def save_endpoints(tx: Transaction, changed: Iterable[WebhookEndpoint]) -> None:
    """Write *changed*, which this transaction has locked."""
    rows = [
        {f"new_{name}": value for name, value in _to_values(endpoint).items()}
        | {"endpoint_id": endpoint.id}
        for endpoint in changed
    ]
    if rows:
        await tx.execute(_SAVE, rows)


async def find_endpoint(
    tx: Transaction, project_id: str, endpoint_id: str
) -> WebhookEndpoint | None:
    """Return that webhook endpoint of that project."""
    parameters = {"endpoint_id": endpoint_id, "of_project": project_id}
    row = (await tx.execute(_BY_ID, parameters)).one_or_none()
    return _to_endpoint(row) if row else None


async def lock_endpoint(
    tx: Transaction, project_id: str, endpoint_id: str
) -> WebhookEndpoint | None:
    """Return that webhook endpoint; nobody else changes it until the transaction ends."""
    parameters = {"endpoint_id": endpoint_id, "of_project": project_id}
    row = (await tx.execute(_LOCK_BY_ID, parameters)).one_or_none()
    return _to_endpoint(row) if row else None


async def find_endpoints(
    tx: Transaction, endpoint_ids: Collection[str], *, lock: bool = False
) -> dict[str, WebhookEndpoint]:
    """Return those webhook endpoints by id, of any project, deleted ones included.

    They are locked in the order of their ids, so that two who lock several do not block each other.
    """
    if not endpoint_ids:
        return {}
    statement = _by_ids(tx.dialect, lock=lock)
    rows = await tx.execute(statement, {"ids": as_list(tx.dialect, sorted(endpoint_ids))})
    return {row.id: _to_endpoint(row) for row in rows}


async def find_callback(tx: Transaction, project_id: str, origin: str) -> WebhookEndpoint | None:
    """Return the webhook endpoint that stands for all callbacks to *origin*."""
    row = (await tx.execute(_CALLBACK, {"of_project": project_id, "of_url": origin})).one_or_none()
    return _to_endpoint(row) if row else None


async def list_endpoints(
    tx: Transaction, project_id: str, kind: EndpointKind | None, *, before: str, limit: int
) -> list[WebhookEndpoint]:
    """Return up to *limit* webhook endpoints with ids below *before*, newest first."""
    parameters = {"of_project": project_id, "before": before, "limit": limit}
    if kind is None:
        rows = await tx.execute(_PAGE, parameters)
    else:
        rows = await tx.execute(_PAGE_OF_KIND, parameters | {"of_kind": kind})
    return [_to_endpoint(row) for row in rows]


async def count_endpoints(tx: Transaction, project_id: str, kind: EndpointKind) -> int:
    """Return how many of that kind the project has."""
    parameters = {"of_project": project_id, "of_kind": kind}
    return int((await tx.execute(_COUNT, parameters)).scalar_one())


async def list_served(tx: Transaction) -> list[WebhookEndpoint]:
    """Return all webhook endpoints, of any project, that events are kept for."""
    return [_to_endpoint(row) for row in await tx.execute(_SERVED)]


async def find_due(tx: Transaction, *, now: datetime) -> list[WebhookEndpoint]:
    """Return the webhook endpoints that something is to be sent to, and may be."""
    return [_to_endpoint(row) for row in await tx.execute(_DUE, {"now": now})]


async def find_left_behind(tx: Transaction) -> list[str]:
    """Return the ids of those that nothing is sent to any more, but for which events wait."""
    return list((await tx.execute(_LEFT_BEHIND)).scalars())


async def list_sealed(tx: Transaction) -> list[tuple[str, list[bytes]]]:
    """Return the id of each webhook endpoint, of any project, and its secrets, encrypted."""
    rows = await tx.execute(_SECRETS)
    return [
        (row.id, [item for item in (row.secret, row.previous_secret) if item is not None])
        for row in rows
    ]


@lru_cache
def _by_ids(dialect: str, *, lock: bool) -> Executable:
    statement = _ANY.where(is_one_of(dialect, _COLUMNS.id, "ids")).order_by(_COLUMNS.id)
    return statement.with_for_update(key_share=True) if lock else statement


def _to_values(endpoint: WebhookEndpoint) -> dict[str, Any]:
    circuit, secrets = endpoint.circuit, endpoint.secrets
    return {
        "id": endpoint.id,
        "project_id": endpoint.project_id,
        "kind": endpoint.kind,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "tags": list(endpoint.tags),
        "description": endpoint.description,
        "state": endpoint.state,
        "disabled_reason": endpoint.disabled_reason,
        "secret": secrets.current,
        "previous_secret": secrets.previous,
        "previous_secret_until": secrets.previous_until,
        "after_seq": endpoint.after_seq,
        "circuit_state": circuit.state,
        "circuit_failures": circuit.failures,
        "circuit_failing_since": circuit.failing_since,
        "circuit_until": circuit.until,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
        "deleted_at": endpoint.deleted_at,
    }


def _to_endpoint(row: Row[Any]) -> WebhookEndpoint:
    return WebhookEndpoint(
        id=row.id,
        project_id=row.project_id,
        kind=EndpointKind(row.kind),
        url=row.url,
        events=tuple(row.events),
        tags=tuple(row.tags),
        description=row.description,
        state=EndpointState(row.state),
        disabled_reason=DisableReason(row.disabled_reason) if row.disabled_reason else None,
        secrets=SealedSecrets(row.secret, row.previous_secret, row.previous_secret_until),
        after_seq=row.after_seq,
        circuit=Circuit(
            CircuitState(row.circuit_state),
            row.circuit_failures,
            row.circuit_failing_since,
            row.circuit_until,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )
