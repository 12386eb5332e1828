"""Projects and API keys."""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import Row

from gateway_hub.domain.access import ApiKey, Project, Scope
from gateway_hub.domain.messages import IfUncertain
from gateway_hub.storage.inserts import insert_if_absent
from gateway_hub.storage.tables import api_keys, projects
from gateway_hub.storage.transactions import Transaction

_PROJECT = select(projects)
_PROJECT_BY_ID = _PROJECT.where(projects.c.id == bindparam("project_id"))
_LOCK_PROJECT = (
    select(projects.c.id).where(projects.c.id == bindparam("project_id")).with_for_update()
)
_PROJECT_BY_NAME = _PROJECT.where(projects.c.name == bindparam("name"))
_PROJECT_PAGE = (
    _PROJECT.where(projects.c.id < bindparam("before"))
    .order_by(projects.c.id.desc())
    .limit(bindparam("limit"))
)
_UPDATE_PROJECT = update(projects).where(projects.c.id == bindparam("project_id"))
_KEY_BY_HASH = select(api_keys).where(api_keys.c.key_hash == bindparam("key_hash"))
_KEY_BY_ID = select(api_keys).where(api_keys.c.id == bindparam("key_id"))
_KEY_PAGE = (
    select(api_keys)
    .where(api_keys.c.id < bindparam("before"))
    .order_by(api_keys.c.id.desc())
    .limit(bindparam("limit"))
)
_KEY_PAGE_OF_PROJECT = _KEY_PAGE.where(api_keys.c.project_id == bindparam("of_project"))
_KEY_PAGE_OF_TAG = _KEY_PAGE_OF_PROJECT.where(api_keys.c.tag == bindparam("of_tag"))
_REVOKE_KEY = (
    update(api_keys)
    .where(api_keys.c.id == bindparam("key_id"), api_keys.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)


async def add_project_if_absent(tx: Transaction, project: Project) -> bool:
    """Store *project*; return False, changing nothing, if its id or name is taken."""
    return await insert_if_absent(
        tx,
        projects,
        {
            "id": project.id,
            "name": project.name,
            "region": project.region,
            "if_uncertain": project.if_uncertain,
            "created_at": project.created_at,
            "updated_at": project.updated_at,
        },
    )


async def find_project(tx: Transaction, project_id: str) -> Project | None:
    """Return the project with that id."""
    row = (await tx.execute(_PROJECT_BY_ID, {"project_id": project_id})).one_or_none()
    return _to_project(row) if row else None


async def lock_project(tx: Transaction, project_id: str) -> None:
    """Keep others who lock that project waiting until the end of the transaction."""
    await tx.execute(_LOCK_PROJECT, {"project_id": project_id})


async def find_project_by_name(tx: Transaction, name: str) -> Project | None:
    """Return the project with that name."""
    row = (await tx.execute(_PROJECT_BY_NAME, {"name": name})).one_or_none()
    return _to_project(row) if row else None


async def list_projects(tx: Transaction, *, before: str, limit: int) -> list[Project]:
    """Return up to *limit* projects with ids below *before*, newest first."""
    rows = await tx.execute(_PROJECT_PAGE, {"before": before, "limit": limit})
    return [_to_project(row) for row in rows]


async def update_project(tx: Transaction, project: Project) -> None:
    """Write the changeable fields of *project*."""
    await tx.execute(
        _UPDATE_PROJECT.values(
            region=project.region,
            if_uncertain=project.if_uncertain,
            updated_at=project.updated_at,
        ),
        {"project_id": project.id},
    )


async def add_api_key(tx: Transaction, key: ApiKey, key_hash: bytes) -> None:
    """Store *key* with the SHA-256 of its secret; one that is stored already is left as it is."""
    await insert_if_absent(
        tx,
        api_keys,
        {
            "id": key.id,
            "project_id": key.project_id,
            "name": key.name,
            "key_hash": key_hash,
            "key_hint": key.hint,
            "scopes": sorted(key.scopes),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": key.revoked_at,
            "tag": key.tag,
        },
    )


async def find_api_key_by_hash(tx: Transaction, key_hash: bytes) -> ApiKey | None:
    """Return the key whose secret has that SHA-256."""
    row = (await tx.execute(_KEY_BY_HASH, {"key_hash": key_hash})).one_or_none()
    return _to_api_key(row) if row else None


async def find_api_key(tx: Transaction, key_id: str) -> ApiKey | None:
    """Return the key with that id."""
    row = (await tx.execute(_KEY_BY_ID, {"key_id": key_id})).one_or_none()
    return _to_api_key(row) if row else None


async def list_api_keys(
    tx: Transaction, *, project_id: str | None, before: str, limit: int, tag: str | None = None
) -> list[ApiKey]:
    """Return up to *limit* keys below *before*, newest first; of all projects if None.

    With *tag*, those of the project that are limited to it.
    """
    page = {"before": before, "limit": limit}
    if project_id is None:
        rows = await tx.execute(_KEY_PAGE, page)
    elif tag is not None:
        rows = await tx.execute(_KEY_PAGE_OF_TAG, {**page, "of_project": project_id, "of_tag": tag})
    else:
        rows = await tx.execute(_KEY_PAGE_OF_PROJECT, {**page, "of_project": project_id})
    return [_to_api_key(row) for row in rows]


async def revoke_api_key(tx: Transaction, key_id: str, now: datetime) -> None:
    """Make the key useless from *now* on; a key revoked before keeps its time."""
    await tx.execute(_REVOKE_KEY, {"key_id": key_id, "now": now})


def _to_project(row: Row[Any]) -> Project:
    return Project(
        id=row.id,
        name=row.name,
        region=row.region,
        if_uncertain=IfUncertain(row.if_uncertain),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _to_api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        hint=row.key_hint,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        tag=row.tag,
    )
