"""Where work is waiting, over all devices: read often, so it must not cost by the message."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import bindparam, func, select, text

from gateway_hub.domain.devices import LEASE_POLICIES
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.silence import OFFER_AGAIN_FOR, SILENCE_LIMITS
from gateway_hub.storage.tables import attempts
from gateway_hub.storage.transactions import Transaction

# Hops from one queue to the next in the index, however many messages each holds.
_QUEUES = text(
    """
    WITH RECURSIVE found(queue) AS (
        SELECT (SELECT queue FROM messages WHERE status = 'queued' AND queue IS NOT NULL
                 ORDER BY queue LIMIT 1)
        UNION ALL
        SELECT (SELECT messages.queue FROM messages
                 WHERE messages.status = 'queued' AND messages.queue > found.queue
                 ORDER BY messages.queue LIMIT 1)
          FROM found WHERE found.queue IS NOT NULL
    )
    SELECT queue FROM found WHERE queue IS NOT NULL
    """
)
_HELD = (
    select(attempts.c.device_id, func.min(attempts.c.lease_until).label("until"))
    .where(
        text("attempts.status IN ('dispatched', 'uncertain')"),
        attempts.c.lease_until.between(bindparam("since"), bindparam("until")),
    )
    .group_by(attempts.c.device_id)
)
_ASKED_BACK = (
    select(attempts.c.device_id)
    .where(
        attempts.c.cancel_requested_at > bindparam("since"),
        attempts.c.cancel_requested_at.is_not(None),
        attempts.c.status.in_([Status.DISPATCHED, Status.ACCEPTED, Status.UNCERTAIN]),
    )
    .distinct()
)
_NEVER = datetime.max.replace(tzinfo=UTC)
_ASKED_FOR = max(SILENCE_LIMITS.values())
_LONGEST_LEASE = max(policy.longest for policy in LEASE_POLICIES.values())


@dataclass(slots=True)
class OpenWork:
    """Queues with messages, when each device's first lease ends, who is asked to give back."""

    queues: set[str] = field(default_factory=set)
    held: dict[str, datetime] = field(default_factory=dict)
    asked_back: set[str] = field(default_factory=set)

    def tells_more_of(self, device_id: str, than: "OpenWork") -> bool:
        """Say whether the device is to be asked for more, or its lease ends earlier."""
        if device_id in self.asked_back and device_id not in than.asked_back:
            return True
        until = self.held.get(device_id)
        return until is not None and until < than.held.get(device_id, _NEVER)

    def add(self, other: "OpenWork") -> None:
        """Take in what *other* knows."""
        self.queues |= other.queues
        self.asked_back |= other.asked_back
        for device_id, until in other.held.items():
            self.held[device_id] = min(until, self.held.get(device_id, until))


async def find_open_work(tx: Transaction, now: datetime) -> OpenWork:
    """Return where there may be something to do for a device."""
    queues = await tx.execute(_QUEUES)
    bounds = {"since": now - OFFER_AGAIN_FOR, "until": now + _LONGEST_LEASE}
    held = await tx.execute(_HELD, bounds)
    asked_back = await tx.execute(_ASKED_BACK, {"since": now - _ASKED_FOR})
    return OpenWork(
        queues=set(queues.scalars()),
        held={row.device_id: row.until for row in held},
        asked_back=set(asked_back.scalars()),
    )
