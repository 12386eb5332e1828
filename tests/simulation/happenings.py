"""What comes from outside: backends, people, the weather, and whoever kills the hub."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

from gateway_hub.domain.messages import IfUncertain, MessageDraft, Route
from gateway_hub.services.hub import Hub
from tests.simulation.faulty_sqlite import Disk
from tests.simulation.ledger import Ledger, Submission
from tests.simulation.phones import Phone
from tests.simulation.process import HubProcess, Result
from tests.simulation.scenario import TAGS, Happening, Scenario
from tests.simulation.virtual_time import VirtualLoop

Work = Coroutine[Any, Any, None]

_MOST_AWAITS = 24
_LONGEST_IDLE_SECONDS = 60.0
_FILLERS = ("", "", "", "ж", "x" * 200, "y" * 400)  # one to three segments, and not GSM-7


class Stage(Protocol):
    """What happenings need of the world."""

    loop: VirtualLoop
    ledger: Ledger
    scenario: Scenario
    process: HubProcess | None
    phones: list[Phone]
    project_id: str
    disk: Disk

    def rng(self, part: str) -> random.Random:
        """Return the randomness of one part of the world."""
        ...

    def trace(self, line: str) -> None:
        """Tell what happens."""
        ...

    def stir(self) -> None:
        """Note that the hub wrote something."""
        ...

    def device_id(self, phone: int) -> str:
        """Return the device of a phone."""
        ...

    def start_hub(self) -> None:
        """Begin another life of the hub."""
        ...

    async def call(self, work: Callable[[Hub], Any]) -> Result:
        """Return what a caller of the hub's API hears."""
        ...


class Happenings:
    """Each kind of happening is a method of that name; one that takes time returns its work."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ledger = stage.ledger
        self._choices = stage.rng("choices")

    def begin(self, happening: Happening) -> Work | None:
        """Let *happening* happen now; return what is left to be done of it."""
        work: Work | None = getattr(self, happening.what)(happening)
        return work

    async def submit(self, happening: Happening) -> None:
        """A backend asks for a message; after an unknown outcome it does not ask again."""
        draft = self._draw_draft(happening.number)
        submission = Submission(happening.number, draft, self._stage.loop.now())
        self._ledger.submissions.append(submission)
        project_id = self._stage.project_id
        result = await self._stage.call(lambda hub: hub.outbox.submit(project_id, draft))
        self._ledger.note_submitted(submission, result)
        self._stage.stir()

    async def cancel(self, _: Happening) -> None:
        """A backend takes one of its last messages back."""
        message_id, project_id = self._draw_message(last=3), self._stage.project_id
        if message_id is None:
            return
        result = await self._stage.call(lambda hub: hub.outbox.cancel(project_id, message_id))
        self._ledger.note_cancelled(message_id, result, self._stage.loop.now())
        self._stage.stir()

    async def resend(self, _: Happening) -> None:
        """A person has some message sent again."""
        message_id, project_id = self._draw_message(last=100), self._stage.project_id
        if message_id is None:
            return
        asked_at = self._stage.loop.now()
        result = await self._stage.call(lambda hub: hub.outbox.resend(project_id, message_id))
        self._ledger.note_resent(message_id, result, asked_at)
        self._stage.stir()

    def sms(self, happening: Happening) -> None:
        """A phone receives an SMS; texts are few, since equal ones are not the same message."""
        phone, contact = self._receive(happening)
        phone.do(partial(phone.app.receive_sms, contact, f"in-{happening.number % 3}"))

    def missed_call(self, happening: Happening) -> None:
        """A phone misses a call."""
        phone, contact = self._receive(happening)
        phone.do(partial(phone.app.receive_call, contact))

    def typed(self, happening: Happening) -> None:
        """Somebody writes an SMS by hand on a phone."""
        phone, contact = self._receive(happening)
        phone.do(partial(phone.app.type_sms, contact, f"in-{happening.number % 3}"))

    def airplane(self, happening: Happening) -> None:
        """A phone loses its radio and its network."""
        self._tell_of(happening, "goes into airplane mode")
        self._phone(happening).app.airplane = True

    def landing(self, happening: Happening) -> None:
        """A phone finds both again."""
        self._tell_of(happening, "lands")
        self._phone(happening).app.airplane = False

    def phone_restart(self, happening: Happening) -> None:
        """A phone loses power and comes back."""
        self._tell_of(happening, "restarts")
        self._phone(happening).restart()

    def retry_button(self, happening: Happening) -> None:
        """Somebody presses Retry on a phone."""
        self._tell_of(happening, "has its Retry button pressed")
        phone = self._phone(happening)
        phone.do(phone.app.press_retry)

    async def pause(self, happening: Happening) -> None:
        """An operator pauses a device."""
        await self.change_device(happening.phone, paused=True)

    async def unpause(self, happening: Happening) -> None:
        """An operator lets a device go on."""
        await self.change_device(happening.phone, paused=False)

    async def change_device(self, phone: int, **changes: Any) -> None:
        """Change the device of a phone."""
        name, asked_at = self._stage.scenario.phones[phone].name, self._stage.loop.now()
        self._stage.trace(f"change {name}: {changes}")
        device_id, project_id = self._stage.device_id(phone), self._stage.project_id
        result = await self._stage.call(
            lambda hub: hub.devices.change(project_id, device_id, changes)
        )
        if "paused" in changes:
            now = self._stage.loop.now()
            self._ledger.note_pause(name, result, asked_at, now, paused=changes["paused"])

    def database_away(self, happening: Happening) -> None:
        """The database cannot be reached for a while."""
        self._stage.trace(f"the database is away for {happening.seconds:.0f} s")
        self._stage.disk.out_of_reach_until = self._stage.loop.time() + happening.seconds

    async def kill(self, happening: Happening) -> None:
        """The hub dies in the middle of its work, and is started again after a while."""
        marked = self._stage.disk.mark(1 + happening.number % _MOST_AWAITS)
        with suppress(TimeoutError):
            await asyncio.wait_for(marked.wait(), _LONGEST_IDLE_SECONDS)
        process, self._stage.process = self._stage.process, None
        if process is None:
            return
        self._stage.trace("hub is killed")
        await process.kill()
        await asyncio.sleep(happening.seconds)
        self._stage.start_hub()

    async def stop(self, happening: Happening) -> None:
        """The hub is told to end, and started again after a while."""
        process = self._stage.process
        if process is None or not process.accepts:
            return
        self._stage.trace("hub stops")
        await process.stop()
        if self._stage.process is process:
            self._stage.process = None
            await asyncio.sleep(happening.seconds)
            self._stage.start_hub()

    def _phone(self, happening: Happening) -> Phone:
        return self._stage.phones[happening.phone]

    def _tell_of(self, happening: Happening, what: str) -> None:
        self._stage.trace(f"{self._phone(happening).name} {what}")

    def _receive(self, happening: Happening) -> tuple[Phone, str]:
        """Return the phone, and a contact that is used once."""
        phone = self._phone(happening)
        contact = f"+25579{len(self._ledger.received):07}"
        self._ledger.received[contact] = phone.name
        self._tell_of(happening, f"receives {happening.what} of {contact}")
        return phone, contact

    def _draw_message(self, last: int) -> str | None:
        submitted = self._ledger.submissions[-last:]
        known = [item.message_id for item in submitted if item.message_id]
        return self._choices.choice(known) if known else None

    def _draw_draft(self, number: int) -> MessageDraft:
        rng = self._stage.rng(f"draft {number}")
        now, horizon = self._stage.loop.now(), self._stage.scenario.horizon_seconds
        to = f"+25570{number:07}"
        if self._ledger.received and rng.random() < 0.3:
            to = rng.choice(sorted(self._ledger.received))
        send_at = now + _draw_span(rng, horizon / 3) if rng.random() < 0.2 else None
        life = rng.choice((0.05, 0.3, 1.0, 1.5)) * horizon
        return MessageDraft(
            to=to,
            text=f"out-{number} {rng.choice(_FILLERS)}",
            route=self._draw_route(rng),
            priority=rng.choice((0, 0, 0, 5, -1)),
            send_at=send_at,
            expires_at=(send_at or now) + timedelta(minutes=3) + _draw_span(rng, life),
            max_attempts=rng.choice((1, 1, 2, 3)),
            if_uncertain=rng.choice((IfUncertain.WAIT, IfUncertain.WAIT, IfUncertain.RESEND)),
        )

    def _draw_route(self, rng: random.Random) -> Route:
        kind = rng.choice(("any", "any", "tag", "device"))
        if kind == "device":
            return Route(device_id=self._stage.device_id(rng.randrange(len(self._stage.phones))))
        return Route(tag=rng.choice(TAGS)) if kind == "tag" else Route()


def _draw_span(rng: random.Random, most_seconds: float) -> timedelta:
    return timedelta(milliseconds=round(rng.random() * most_seconds * 1000))
