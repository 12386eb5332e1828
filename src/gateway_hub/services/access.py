"""Projects and API keys: who a caller is and what they may do."""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gateway_hub.domain.access import DEFAULT_PROJECT, ApiKey, Principal, Project, Scope
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    TagLimitedError,
    UnauthenticatedError,
)
from gateway_hub.domain.ids import AFTER_ALL_IDS, new_id
from gateway_hub.domain.messages import IfUncertain
from gateway_hub.domain.numbers import is_known_region
from gateway_hub.services.directory import Directory
from gateway_hub.services.idempotency import Once, only_once
from gateway_hub.services.secrets import generate_api_key, hash_random_secret
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_HINT_CHARACTERS = 8

OPERATOR = "operator"
"""The key id of whoever runs commands on the hub's own machine."""


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key just made: the only time its secret is seen."""

    key: ApiKey
    secret: str


class Access:
    """Projects and keys of the whole hub."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        clock: Clock,
        operator_token: str | None = None,
    ) -> None:
        """Let *operator_token* act as an admin key of the default project, if it is given."""
        self._database = database
        self._directory = directory
        self._clock = clock
        self._operator_token = operator_token

    async def ensure_default_project(self) -> Project:
        """Return the project ``default``, made now if it is not there."""
        now = self._clock()
        project = Project(new_id(), DEFAULT_PROJECT, None, IfUncertain.WAIT, now, now)

        async def use_case(tx: Transaction) -> Project:
            await project_rows.add_project_if_absent(tx, project)
            found = await project_rows.find_project_by_name(tx, DEFAULT_PROJECT)
            return found or project

        return await self._database.write(use_case)

    async def ensure_first_key(self) -> NewApiKey | None:
        """Return an admin key if the hub has no key at all yet, else None.

        Of several processes that start at the same moment, one makes it.
        """
        project = await self.ensure_default_project()
        made = self._make_key(project.id, "first admin key", frozenset({Scope.ADMIN}), None)

        async def use_case(tx: Transaction) -> NewApiKey | None:
            await project_rows.lock_project(tx, project.id)
            found = await project_rows.list_api_keys(
                tx, project_id=None, before=AFTER_ALL_IDS, limit=1
            )
            if found:
                # A commit whose answer was lost is run again: then the key found is this one.
                return made if found[0].id == made.key.id else None
            await project_rows.add_api_key(tx, made.key, hash_random_secret(made.secret))
            return made

        return await self._database.write(use_case)

    async def authenticate(self, secret: str) -> Principal:
        """Return whose key *secret* is. Raises UnauthenticatedError, the same for every reason."""
        if self._is_operator(secret):
            project = await self.get_project(DEFAULT_PROJECT)
            return Principal(OPERATOR, project.id, frozenset({Scope.ADMIN}))
        key_hash = hash_random_secret(secret)

        async def query(tx: Transaction) -> ApiKey | None:
            return await project_rows.find_api_key_by_hash(tx, key_hash)

        key = await self._directory.look_up(("key", key_hash), query)
        if key is None or not key.is_valid_at(self._clock()):
            raise UnauthenticatedError("The API key is missing, unknown, expired or revoked.")
        return Principal(key.id, key.project_id, key.scopes, key.tag)

    async def act_in(self, principal: Principal, project: str) -> Principal:
        """Return *principal* acting in *project* (name or id). Raises NotFoundError.

        Only an admin reaches another project than their own; to others it does not exist.
        """
        found = await self._project_for(project, principal)
        return replace(principal, project_id=found.id)

    def _is_operator(self, secret: str) -> bool:
        token = self._operator_token
        return token is not None and hmac.compare_digest(secret.encode(), token.encode())

    async def create_project(
        self,
        name: str,
        region: str | None,
        if_uncertain: IfUncertain = IfUncertain.WAIT,
        once: Once[Project] | None = None,
    ) -> Project:
        """Return the new project. Raises ConflictError if the name is taken."""
        check_region(region)
        now = self._clock()
        project = Project(new_id(), name, region, if_uncertain, now, now)

        async def use_case(tx: Transaction) -> Project:
            await project_rows.add_project_if_absent(tx, project)
            found = await project_rows.find_project_by_name(tx, name)
            if found is None or found.id != project.id:
                raise ConflictError("A project with this name exists.", code="name_taken")
            return project

        return await self._database.write(only_once(use_case, once))

    async def get_project(self, name_or_id: str) -> Project:
        """Return that project. Raises NotFoundError."""

        async def query(tx: Transaction) -> Project | None:
            by_id = await project_rows.find_project(tx, name_or_id)
            return by_id or await project_rows.find_project_by_name(tx, name_or_id)

        project = await self._directory.look_up(("named project", name_or_id), query)
        if project is None:
            raise NotFoundError("There is no such project.")
        return project

    async def list_projects(self, *, before: str, limit: int) -> list[Project]:
        """Return up to *limit* projects, newest first."""

        async def query(tx: Transaction) -> list[Project]:
            return await project_rows.list_projects(tx, before=before, limit=limit)

        return await self._database.read(query)

    async def change_project(self, project_id: str, changes: dict[str, Any]) -> Project:
        """Set the fields of *changes*: region, if_uncertain. Raises NotFoundError."""
        check_region(changes.get("region"))
        project_id = (await self.get_project(project_id)).id

        async def use_case(tx: Transaction) -> Project:
            await project_rows.lock_project(tx, project_id)
            project = await project_rows.find_project(tx, project_id)
            if project is None:
                raise NotFoundError("There is no such project.")
            changed = replace(project, **changes, updated_at=self._clock())
            await project_rows.update_project(tx, changed)
            await self._directory.note_change(tx)
            return changed

        return await self._database.write(use_case)

    async def create_key(
        self,
        *,
        name: str,
        scopes: frozenset[Scope],
        project: str,
        expires_at: datetime | None = None,
        tag: str | None = None,
        by: Principal | None = None,
        once: Once[NewApiKey] | None = None,
    ) -> NewApiKey:
        """Return a new key of *project* (name or id), limited to *tag* if one is given.

        *by* may not give what they do not have: only an admin reaches another project, or a scope
        of which they have less; who is limited to a tag makes keys of that tag.
        """
        owner = await self._project_for(project, by)
        if by is not None:
            tag = _check_not_broader(by, scopes, tag)
        if tag is not None and Scope.ADMIN in scopes:
            raise InvalidInputError.of_field(
                "/tag", "not_used", "A key with the scope admin reaches everything."
            )
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise InvalidInputError.of_field("/expires_at", "in_the_past", "The time is past.")
        made = self._make_key(owner.id, name, scopes, expires_at, tag)

        async def use_case(tx: Transaction) -> NewApiKey:
            await project_rows.add_api_key(tx, made.key, hash_random_secret(made.secret))
            return made

        return await self._database.write(only_once(use_case, once))

    def _make_key(
        self,
        project_id: str,
        name: str,
        scopes: frozenset[Scope],
        expires_at: datetime | None,
        tag: str | None = None,
    ) -> NewApiKey:
        secret = generate_api_key()
        key = ApiKey(
            id=new_id(),
            project_id=project_id,
            name=name,
            hint=secret[:_HINT_CHARACTERS],
            scopes=scopes,
            created_at=self._clock(),
            expires_at=expires_at,
            tag=tag,
        )
        return NewApiKey(key, secret)

    async def list_keys(self, by: Principal, *, before: str, limit: int) -> list[ApiKey]:
        """Return up to *limit* keys that *by* may see, newest first."""
        project_id = None if by.may(Scope.ADMIN) else by.project_id

        async def query(tx: Transaction) -> list[ApiKey]:
            return await project_rows.list_api_keys(
                tx, project_id=project_id, before=before, limit=limit, tag=by.tag
            )

        return await self._database.read(query)

    async def get_key(self, by: Principal, key_id: str) -> ApiKey:
        """Return that key. Raises NotFoundError, also for one that *by* does not reach."""

        async def query(tx: Transaction) -> ApiKey | None:
            return await project_rows.find_api_key(tx, key_id)

        key = await self._database.read(query)
        if key is None or not _reaches(by, key):
            raise NotFoundError("There is no such API key.")
        return key

    async def revoke_key(self, by: Principal, key_id: str) -> None:
        """Make a key useless at once. Raises NotFoundError."""
        key = await self.get_key(by, key_id)
        now = self._clock()

        async def use_case(tx: Transaction) -> None:
            await project_rows.revoke_api_key(tx, key.id, now)
            await self._directory.note_change(tx)

        await self._database.write(use_case)

    async def _project_for(self, project: str, by: Principal | None) -> Project:
        if by is None or by.may(Scope.ADMIN):
            return await self.get_project(project)
        found = await self.get_project(project)
        if found.id != by.project_id:
            raise NotFoundError("There is no such project.")
        return found


def _check_not_broader(by: Principal, scopes: frozenset[Scope], tag: str | None) -> str | None:
    """Return the tag of a key that *by* makes. Raises PermissionDeniedError for one too strong."""
    if not all(by.may(scope) for scope in scopes):
        raise PermissionDeniedError("A key can be given only scopes that your key has.")
    if by.tag is not None and tag not in {None, by.tag}:
        raise TagLimitedError("Your key is limited to a tag: a key it makes has the same.")
    return by.tag or tag


def _reaches(by: Principal, key: ApiKey) -> bool:
    if by.may(Scope.ADMIN):
        return True
    return key.project_id == by.project_id and by.tag in {None, key.tag}


def check_region(region: str | None) -> None:
    """Raise InvalidInputError unless *region* is None or an ISO 3166 code like ``TZ``."""
    if region is not None and not is_known_region(region):
        raise InvalidInputError.of_field(
            "/region", "unknown_region", "The region must be a two-letter country code like TZ."
        )
