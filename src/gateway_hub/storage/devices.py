"""Devices, their credentials and what is known of their state."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Executable, bindparam, delete, func, or_, select, update
from sqlalchemy.engine import Row

from gateway_hub.domain.devices import Device, DeviceState, Protocol, SendLimit
from gateway_hub.domain.numbers import number_key
from gateway_hub.storage.inserts import insert_for, insert_if_absent
from gateway_hub.storage.tables import device_credentials, device_states, devices
from gateway_hub.storage.tags import has_tag
from gateway_hub.storage.transactions import Transaction

_STATE_FIELDS = tuple(field.name for field in fields(DeviceState))
_STATE_COLUMNS = [device_states.c[name] for name in _STATE_FIELDS]

_ANY_DEVICE = select(
    devices, *(column.label(f"state_{column.name}") for column in _STATE_COLUMNS)
).select_from(devices.outerjoin(device_states, device_states.c.device_id == devices.c.id))
_BY_IDS = _ANY_DEVICE.where(devices.c.id.in_(bindparam("device_ids", expanding=True)))
_DEVICE = _ANY_DEVICE.where(devices.c.deleted_at.is_(None))
_BY_ID = _DEVICE.where(
    devices.c.id == bindparam("device_id"), devices.c.project_id == bindparam("of_project")
)
# Not against those who only refer to the device, as every message it forwards does.
_LOCK_BY_ID = _BY_ID.with_for_update(of=devices, key_share=True)
_BY_USERNAME = _DEVICE.where(
    devices.c.username.in_(bindparam("usernames", expanding=True)),
    devices.c.protocol == Protocol.MEDIC,
).order_by(devices.c.id)
_BY_NUMBER = _DEVICE.where(
    devices.c.number_key == bindparam("key"), devices.c.protocol == Protocol.ENVAYA
).order_by(devices.c.id)
_PAGE = (
    _DEVICE.where(
        devices.c.project_id == bindparam("of_project"), devices.c.id < bindparam("before")
    )
    .order_by(devices.c.id.desc())
    .limit(bindparam("limit"))
)
_DELETED = (
    select(devices.c.id)
    .where(devices.c.deleted_at >= bindparam("since"), devices.c.id > bindparam("after"))
    .order_by(devices.c.id)
    .limit(bindparam("limit"))
)
_CHANGED = (
    select(devices.c.id, devices.c.updated_at, devices.c.deleted_at.is_not(None).label("deleted"))
    .where(
        or_(devices.c.updated_at >= bindparam("since"), devices.c.deleted_at >= bindparam("since"))
    )
    .order_by(devices.c.updated_at.desc())
    .limit(bindparam("limit"))
)
_STATES_SINCE = select(device_states).where(device_states.c.last_seen_at >= bindparam("since"))
_ALL_IDS = (
    select(devices.c.id)
    .where(devices.c.id > bindparam("after"))
    .order_by(devices.c.id)
    .limit(bindparam("limit"))
)
_CREDENTIALS = select(device_credentials).where(
    device_credentials.c.device_id.in_(bindparam("device_ids", expanding=True)),
    or_(
        device_credentials.c.expires_at.is_(None),
        device_credentials.c.expires_at > bindparam("now"),
    ),
)
_UPDATE_DEVICE = update(devices).where(devices.c.id == bindparam("device_id"))
_EXPIRE_CREDENTIALS = (
    update(device_credentials)
    .where(
        device_credentials.c.device_id == bindparam("of_device"),
        device_credentials.c.id != bindparam("newest"),
        or_(
            device_credentials.c.expires_at.is_(None),
            device_credentials.c.expires_at > bindparam("until"),
        ),
    )
    .values(expires_at=bindparam("until"))
)
_DELETE_DEAD_CREDENTIALS = delete(device_credentials).where(
    device_credentials.c.device_id == bindparam("of_device"),
    device_credentials.c.expires_at <= bindparam("now"),
)


@dataclass(frozen=True, slots=True)
class StoredCredential:
    """A way to prove a device: *kind* is ``sha256``, ``argon2`` or ``encrypted``."""

    id: str
    device_id: str
    kind: str
    secret: bytes
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChangedDevice:
    """When a device was changed, and whether it was deleted."""

    id: str
    updated_at: datetime
    deleted: bool


async def add_device(tx: Transaction, device: Device) -> None:
    """Store *device*."""
    fixed = {
        "id": device.id,
        "project_id": device.project_id,
        "protocol": device.protocol,
        "created_at": device.created_at,
    }
    await insert_if_absent(tx, devices, fixed | _changeable(device))


async def update_device(tx: Transaction, device: Device) -> None:
    """Write the changeable fields of *device*."""
    await tx.execute(_UPDATE_DEVICE.values(**_changeable(device)), {"device_id": device.id})


async def mark_device_deleted(tx: Transaction, device_id: str, now: datetime) -> None:
    """Hide the device; its messages stay."""
    await tx.execute(_UPDATE_DEVICE.values(deleted_at=now), {"device_id": device_id})
    await tx.execute(delete(device_credentials).where(device_credentials.c.device_id == device_id))


async def find_device(tx: Transaction, project_id: str, device_id: str) -> Device | None:
    """Return that device of that project."""
    parameters = {"device_id": device_id, "of_project": project_id}
    row = (await tx.execute(_BY_ID, parameters)).one_or_none()
    return _to_device(row) if row else None


async def find_devices(tx: Transaction, device_ids: Collection[str]) -> dict[str, Device]:
    """Return those devices by id, of any project, deleted ones included."""
    if not device_ids:
        return {}
    rows = await tx.execute(_BY_IDS, {"device_ids": sorted(device_ids)})
    return {row.id: _to_device(row) for row in rows}


async def lock_device(tx: Transaction, project_id: str, device_id: str) -> Device | None:
    """Return that device of that project; nobody else changes it until the transaction ends."""
    parameters = {"device_id": device_id, "of_project": project_id}
    row = (await tx.execute(_LOCK_BY_ID, parameters)).one_or_none()
    return _to_device(row) if row else None


async def list_devices(
    tx: Transaction, project_id: str, *, before: str, limit: int, tag: str | None = None
) -> list[Device]:
    """Return up to *limit* devices with ids below *before*, newest first; with *tag*, of those."""
    parameters = {"of_project": project_id, "before": before, "limit": limit, "of_tag": tag}
    statement = _PAGE if tag is None else _page_of_tag(tx.dialect)
    return [_to_device(row) for row in await tx.execute(statement, parameters)]


@lru_cache
def _page_of_tag(dialect: str) -> Executable:
    return _PAGE.where(has_tag(dialect, "of_tag"))


async def list_deleted(tx: Transaction, *, since: datetime, after: str, limit: int) -> list[str]:
    """Return up to *limit* ids above *after* of devices deleted since then, of any project."""
    parameters = {"since": since, "after": after, "limit": limit}
    return list((await tx.execute(_DELETED, parameters)).scalars())


async def list_changed(tx: Transaction, *, since: datetime, limit: int) -> list[ChangedDevice]:
    """Return up to *limit* devices, of any project, that were changed or deleted since then."""
    rows = await tx.execute(_CHANGED, {"since": since, "limit": limit})
    return [ChangedDevice(row.id, row.updated_at, row.deleted) for row in rows]


async def list_ids(tx: Transaction, *, after: str, limit: int) -> list[str]:
    """Return up to *limit* ids above *after* of devices of any project, deleted ones included."""
    return list((await tx.execute(_ALL_IDS, {"after": after, "limit": limit})).scalars())


async def find_medic_candidates(tx: Transaction, usernames: tuple[str, ...]) -> list[Device]:
    """Return the devices, of any project, that have one of *usernames*."""
    return [_to_device(row) for row in await tx.execute(_BY_USERNAME, {"usernames": usernames})]


async def find_envaya_candidates(tx: Transaction, phone_number: str) -> list[Device]:
    """Return the devices, of any project, whose number is *phone_number* in any spelling."""
    key = number_key(phone_number)
    return [_to_device(row) for row in await tx.execute(_BY_NUMBER, {"key": key})]


async def find_credentials(
    tx: Transaction, device_ids: list[str], now: datetime
) -> list[StoredCredential]:
    """Return the credentials of *device_ids* that are valid at *now*."""
    rows = await tx.execute(_CREDENTIALS, {"device_ids": device_ids, "now": now})
    return [StoredCredential(**row._mapping) for row in rows]


async def add_credential(tx: Transaction, credential: StoredCredential) -> None:
    """Store *credential* beside those the device has; once, however often it is told."""
    await insert_if_absent(
        tx,
        device_credentials,
        {
            "id": credential.id,
            "device_id": credential.device_id,
            "kind": credential.kind,
            "secret": credential.secret,
            "created_at": credential.created_at,
            "expires_at": credential.expires_at,
        },
    )


async def expire_credentials(
    tx: Transaction, device_id: str, *, newest: str, now: datetime, until: datetime
) -> None:
    """Let all the device has but *newest* end at *until*; remove what ended before *now*."""
    parameters = {"of_device": device_id, "newest": newest, "until": until}
    await tx.execute(_EXPIRE_CREDENTIALS, parameters)
    await tx.execute(_DELETE_DEAD_CREDENTIALS, {"of_device": device_id, "now": now})


async def find_states_since(tx: Transaction, since: datetime) -> dict[str, DeviceState]:
    """Return by device id the states of all devices that were seen since then."""
    rows = await tx.execute(_STATES_SINCE, {"since": since})
    return {
        row.device_id: DeviceState(**{name: getattr(row, name) for name in _STATE_FIELDS})
        for row in rows
    }


async def save_states(tx: Transaction, states: Mapping[str, DeviceState]) -> None:
    """Write the state of each device, by device id."""
    if not states:
        return
    statement = insert_for(tx.dialect, device_states)
    told = statement.excluded
    # A process that has not heard of the start yet must not make it forgotten.
    started_at = func.coalesce(told.app_started_at, device_states.c.app_started_at)
    upsert = statement.on_conflict_do_update(
        index_elements=["device_id"],
        set_={name: told[name] for name in _STATE_FIELDS} | {"app_started_at": started_at},
    )
    rows = [
        {"device_id": device_id} | {name: getattr(state, name) for name in _STATE_FIELDS}
        for device_id, state in sorted(states.items())
    ]
    await tx.execute(upsert, rows)


def _changeable(device: Device) -> dict[str, Any]:
    limit = device.send_limit
    number = device.phone_number
    return {
        "name": device.name,
        "username": device.username,
        "phone_number": number,
        "number_key": None if number is None else number_key(number),
        "server_url": device.server_url,
        "region": device.region,
        "tags": list(device.tags),
        "send_limit_segments": limit.segments if limit else None,
        "send_limit_seconds": limit.seconds if limit else None,
        "recipients_per_month": limit.recipients_per_month if limit else None,
        "paused": device.paused,
        "updated_at": device.updated_at,
    }


def _to_device(row: Row[Any]) -> Device:
    limit = None
    if row.send_limit_segments is not None:
        limit = SendLimit(row.send_limit_segments, row.send_limit_seconds, row.recipients_per_month)
    return Device(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        protocol=Protocol(row.protocol),
        username=row.username,
        phone_number=row.phone_number,
        server_url=row.server_url,
        region=row.region,
        tags=tuple(row.tags),
        send_limit=limit,
        paused=row.paused,
        deleted_at=row.deleted_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
        state=DeviceState(**{name: getattr(row, f"state_{name}") for name in _STATE_FIELDS}),
    )
