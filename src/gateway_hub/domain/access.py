"""Who may do what: projects (the tenants), API keys and their scopes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway_hub.domain.messages import IfUncertain

DEFAULT_PROJECT = "default"


class Scope(StrEnum):
    """What a key may do. ``admin`` includes every other scope and reaches every project."""

    MESSAGES_WRITE = "messages:write"
    MESSAGES_READ = "messages:read"
    DEVICES_WRITE = "devices:write"
    DEVICES_READ = "devices:read"
    WEBHOOKS_WRITE = "webhooks:write"
    WEBHOOKS_READ = "webhooks:read"
    KEYS_WRITE = "keys:write"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Project:
    """The owner of devices, messages and keys.

    *region* is the default one of its numbers, *if_uncertain* of its messages.
    """

    id: str
    name: str
    region: str | None
    if_uncertain: IfUncertain
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret; *hint* is its first characters.

    *tag*: it reaches only what has this tag; None: all of its project.
    """

    id: str
    project_id: str
    name: str
    hint: str
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    tag: str | None = None

    def is_valid_at(self, now: datetime) -> bool:
        """Say whether the key opens anything at *now*."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller of the API: proved, acting in one project, or within one *tag* of it."""

    key_id: str
    project_id: str
    scopes: frozenset[Scope]
    tag: str | None = None

    def may(self, scope: Scope) -> bool:
        """Say whether the caller has *scope*."""
        return scope in self.scopes or Scope.ADMIN in self.scopes
