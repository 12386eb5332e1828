"""What a message would cost, and which devices could send it when; nothing is stored."""

from dataclasses import dataclass
from datetime import datetime

from gateway_hub.domain.access import Project
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.messages import Route
from gateway_hub.domain.numbers import contact_key
from gateway_hub.domain.segments import Segmentation, transliterate
from gateway_hub.services import budgets
from gateway_hub.services.candidates import iterate_serving
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.drafts import check_recipient, find_region, measure
from gateway_hub.services.tag_limits import confine, is_within
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

_MOST_CANDIDATES = 1000
"""How many devices an estimate names at most."""


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

    async def estimate(
        self,
        project_id: str,
        to: str,
        text: str,
        route: Route,
        *,
        transliterated: bool = False,
        tag: str | None = None,
    ) -> Estimate:
        """Return what sending *text*, or its plainer form, to *to* along *route* would take now.

        *tag*: what the caller is limited to. Raises TagLimitedError for a route beyond it, and
        InvalidInputError for a message that nobody could send.
        """
        allowed = confine(route, tag)
        plain = transliterate(text)
        check_recipient(to)
        size = measure(plain if transliterated else text)

        async def query(tx: Transaction) -> list[Candidate]:
            project = await project_rows.find_project(tx, project_id)
            if project is None:
                return []
            return await self._find_candidates(
                tx, project, allowed, to, segments=size.segments, tag=tag
            )

        candidates = await self._database.read(query)
        there = [item.earliest_at for item in candidates if item.online]
        return Estimate(
            size=size,
            transliterated=plain if plain != text else None,
            candidates=tuple(candidates),
            earliest_at=min(there, default=None),
        )

    async def _find_candidates(
        self,
        tx: Transaction,
        project: Project,
        route: Route,
        to: str,
        *,
        segments: int,
        tag: str | None,
    ) -> list[Candidate]:
        """Return the devices of *route* that are not paused, each with its time."""
        now = self._clock()
        candidates: list[Candidate] = []
        async for device in iterate_serving(tx, project.id, route):
            if device.paused or not is_within(device, tag):
                continue
            named = device if route.device_id is not None else None
            contact = contact_key(to, find_region(named, project))
            earliest_at = await budgets.earliest_at(tx, device, segments, contact, now)
            candidates.append(Candidate(device, self._states.is_online(device), earliest_at))
            if len(candidates) == _MOST_CANDIDATES:
                break
        return candidates
