"""Webhook endpoints: who is told, and of what."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway_hub.domain.events import describe_moment
from gateway_hub.domain.webhooks.circuit import CLOSED, Circuit, DisableReason

ANY_TYPE = "*"


class EndpointKind(StrEnum):
    """How it came to be: made by a caller, or by the hub for the ``status_callback`` of messages.

    A ``callback`` stands for all URLs of one scheme, host and port.
    """

    ENDPOINT = "endpoint"
    CALLBACK = "callback"


class EndpointState(StrEnum):
    """Whether it is sent to. Events wait for a ``paused`` one, but not for a ``disabled`` one."""

    ENABLED = "enabled"
    PAUSED = "paused"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class SealedSecrets:
    """The secrets webhooks are signed with, encrypted; *previous* is used too until then."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)
    previous_until: datetime | None = None

    def in_force(self, now: datetime) -> tuple[bytes, ...]:
        """Return those to sign with at *now*, the newest first."""
        if self.previous is None or self.previous_until is None or self.previous_until <= now:
            return (self.current,)
        return (self.current, self.previous)


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """A URL that events of a project are sent to.

    *after_seq* is how far the event log had come when it was made: it hears of what is after that.
    """

    id: str
    project_id: str
    kind: EndpointKind
    url: str
    secrets: SealedSecrets
    created_at: datetime
    updated_at: datetime
    events: tuple[str, ...] = (ANY_TYPE,)
    tags: tuple[str, ...] = ()
    description: str | None = None
    state: EndpointState = EndpointState.ENABLED
    disabled_reason: DisableReason | None = None
    circuit: Circuit = CLOSED
    after_seq: int = 0
    deleted_at: datetime | None = None

    @property
    def is_served(self) -> bool:
        """Whether an event for it is kept until it is delivered."""
        return self.deleted_at is None and self.state is not EndpointState.DISABLED

    def wants(self, event_type: str) -> bool:
        """Say whether it asks for events of that type."""
        return event_type in self.events or ANY_TYPE in self.events

    def wants_tagged(self, tags: Collection[str]) -> bool:
        """Say whether it asks for events of a device with those tags, or routed to them."""
        return not self.tags or not set(self.tags).isdisjoint(tags)


def describe_endpoint(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """Return *endpoint* as the API tells of it; its secrets are nobody's business."""
    circuit, reason = endpoint.circuit, endpoint.disabled_reason
    return {
        "id": endpoint.id,
        "kind": endpoint.kind.value,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "tags": list(endpoint.tags),
        "description": endpoint.description,
        "state": endpoint.state.value,
        "disabled_reason": None if reason is None else reason.value,
        "circuit": {
            "state": circuit.state.value,
            "failures": circuit.failures,
            "failing_since": describe_moment(circuit.failing_since),
            "until": describe_moment(circuit.until),
        },
        "previous_secret_until": describe_moment(endpoint.secrets.previous_until),
        "created_at": describe_moment(endpoint.created_at),
        "updated_at": describe_moment(endpoint.updated_at),
    }
