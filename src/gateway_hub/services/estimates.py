"""What a message would cost, and which devices could send it when; nothing is stored."""

from dataclasses import dataclass
from datetime import datetime

from gateway_hub.domain.budget import earliest_fit, first_minute
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.messages import Route
from gateway_hub.domain.routing import served_queues
from gateway_hub.domain.segments import Segmentation, segment, transliterate
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import usage as usage_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_MOST_DEVICES = 1000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that could send it: whether it is there now, and when its budget allows it."""

    device: Device
    online: bool
    earliest_at: datetime


@dataclass(frozen=True, slots=True)
class Estimate:
    """The size of a text, the plainer text that would be smaller if there is one, and who sends it.

    *earliest_at* is None when no device that could send it is there.
    """

    size: Segmentation
    transliterated: str | None
    candidates: tuple[Candidate, ...]
    earliest_at: datetime | None


class Estimates:
    """Looks ahead for backends."""

    def __init__(self, database: Database, states: DeviceStates, clock: Clock) -> None:
        self._database = database
        self._states = states
        self._clock = clock

    async def estimate(self, project_id: str, text: str, route: Route) -> Estimate:
        """Return what sending *text* along *route* would take now."""
        size = segment(text)
        plain = transliterate(text)

        async def query(tx: Transaction) -> list[Candidate]:
            now = self._clock()
            found = await device_rows.list_devices(tx, project_id, before="~", limit=_MOST_DEVICES)
            able = [item for item in found if _could_send(item, route)]
            return [await self._candidate(tx, item, size.segments, now) for item in able]

        candidates = await self._database.read(query)
        there = [item.earliest_at for item in candidates if item.online]
        return Estimate(
            size=size,
            transliterated=plain if plain != text else None,
            candidates=tuple(candidates),
            earliest_at=min(there, default=None),
        )

    async def _candidate(
        self, tx: Transaction, device: Device, segments: int, now: datetime
    ) -> Candidate:
        limit = device.effective_send_limit
        used = await usage_rows.list_segments(tx, device.id, from_minute=first_minute(limit, now))
        earliest = earliest_fit(limit, used, segments, now)
        return Candidate(device, self._states.is_online(device), earliest)


def _could_send(device: Device, route: Route) -> bool:
    return not device.paused and route.key(device.project_id) in served_queues(device)
