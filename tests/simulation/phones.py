"""Phones, driven through virtual time on a network that loses, repeats and delays."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol

from gateway_hub.simulator.phone import HttpAnswer, HttpRequest, NoAnswer, NoAnswerKind
from tests.simulation.apps import App, HealingRadio, build_app, is_working_on, known_ids
from tests.simulation.ledger import Answer, Ledger
from tests.simulation.process import HubProcess
from tests.simulation.scenario import NetworkWeather, PhonePlan, Span
from tests.simulation.virtual_time import VirtualLoop

_LOST: tuple[NoAnswerKind, ...] = ("refused", "cut", "unknown_host")
_AGAIN_AFTER = (0.0, 0.5, 5.0, 60.0, 200.0)
_APPS_PATIENCE = 60.0


class Surroundings(Protocol):
    """What a phone needs of the world."""

    loop: VirtualLoop
    ledger: Ledger
    network: NetworkWeather
    process: HubProcess | None

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work* in the world, outside of the hub."""
        ...

    def stir(self) -> None:
        """Note that the hub wrote something."""
        ...

    def holders_of(self, message_id: str, but: str) -> str:
        """Return the names of other phones that still try to send a message."""
        ...


@dataclass(slots=True)
class _Heard:
    """What the hub wrote in answer to a request, and the ledger's note of it."""

    answer: HttpAnswer
    noted: Answer


class Phone:
    """A phone, its radio and its way to the hub.

    *doze* is how late its alarms ring, as those of a phone that sleeps do.
    """

    def __init__(self, world: Surroundings, plan: PhonePlan, rng: random.Random) -> None:
        self.plan = plan
        self.restarts: list[datetime] = []
        self.doze = timedelta(0)
        self._world = world
        self._rng = rng
        self._radio = HealingRadio(rng, plan)
        self.app: App = build_app(plan, self._radio, rng, world.loop.now())
        self._timer: asyncio.TimerHandle | None = None
        self._last_run_at = world.loop.now()

    @property
    def name(self) -> str:
        """The letter it is known by."""
        return self.plan.name

    def kick(self) -> None:
        """Let the phone do what is due, and set the timer for what comes next."""
        now = self._last_run_at = self._world.loop.now()
        for request in self.app.run(now):
            self._world.start(self._carry(request))
        self._set_timer()

    def do(self, what: Callable[[datetime], None]) -> None:
        """Have something happen to the phone now."""
        what(self._world.loop.now())
        self.kick()

    def restart(self) -> None:
        """Lose power and come back."""
        self.restarts.append(self._world.loop.now())
        self.do(self.app.restart)

    def heal(self) -> None:
        """From now on radio and network are there."""
        self._radio.is_healed = True
        self.app.airplane = False
        self.kick()

    def is_working_on(self, wire_id: str) -> bool:
        """Say whether it will still try to send a message by itself."""
        return is_working_on(self.app, wire_id)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.app.next_wakeup()
        if due is not None:
            at = max(due, self._last_run_at + self.doze)
            self._timer = self._world.loop.call_on(at, self.kick)

    async def _carry(self, request: HttpRequest) -> None:
        """Bring *request* to the hub and its answer back, or lose either."""
        weather = self._world.network
        await self._travel(weather)
        heard: _Heard | None = None
        if not self._happens(weather.lost):
            heard = await self._exchange(request, weather)
            await self._travel(weather)
        if heard is None or self._happens(weather.answer_lost):
            end: HttpAnswer | NoAnswer = await self._lose()
            heard = None
        elif self._happens(weather.answer_torn):
            end, heard = _tear(heard.answer, self._rng), None
        else:
            end = heard.answer
        if self.app.airplane:
            end, heard = NoAnswer("refused"), None
        self._give(request, end, heard)

    def _give(self, request: HttpRequest, end: HttpAnswer | NoAnswer, heard: _Heard | None) -> None:
        now = self._world.loop.now()
        offers = heard is not None and bool(heard.noted.handovers)
        before = known_ids(self.app) if offers else set()
        self.app.take_answer(request.token, end, now)
        if heard is not None and offers:
            taken = sorted(known_ids(self.app) - before)
            self._world.ledger.note_takes(heard.noted, taken, now, self._find_other_holders)
        self.kick()

    def _find_other_holders(self, message_id: str) -> str:
        return self._world.holders_of(message_id, but=self.name)

    async def _exchange(self, request: HttpRequest, weather: NetworkWeather) -> _Heard | None:
        """Return the answer of the hub; of a request that came twice, either one's."""
        if not self._happens(weather.doubled):
            return await self._ask(request, weather)
        first = self._world.loop.create_task(self._ask(request, weather))
        again_after = self._rng.choice(_AGAIN_AFTER)
        second = self._ask_again(request, weather, again_after)
        if again_after < _APPS_PATIENCE and self._happens(0.5):
            heard = await second
            await first
            return heard
        self._world.start(_and_forget(second))
        return await first

    async def _ask_again(
        self, request: HttpRequest, weather: NetworkWeather, after: float
    ) -> _Heard | None:
        await asyncio.sleep(after)
        return await self._ask(request, weather)

    async def _ask(self, request: HttpRequest, weather: NetworkWeather) -> _Heard | None:
        process = self._world.process
        if process is None or not process.accepts:
            return None
        arrived, said = self._world.loop.now(), list[_Heard]()

        def note(answer: HttpAnswer) -> None:
            now = self._world.loop.now()
            noted = self._world.ledger.note_answer(self.name, request, answer, arrived, now)
            said.append(_Heard(answer, noted))
            if noted.told_something:
                self._world.stir()

        gone = asyncio.Event()
        task = process.serve(request, note, gone)
        if self._happens(weather.hung_up):
            end = self._rng.choice((gone.set, task.cancel))
            self._world.loop.call_later(self._rng.choice((0.0, 0.01, 1.0, 8.0)), end)
        await asyncio.wait([task])
        if not task.cancelled() and process.is_alive:
            task.result()
        if not said or said[0].answer.status != HTTPStatus.OK:
            self._world.ledger.note_unanswered(self.name, arrived, self._world.loop.now())
        return said[0] if said else None

    async def _travel(self, weather: NetworkWeather) -> None:
        await asyncio.sleep(self._seconds(weather.delay_seconds))
        if self._happens(weather.slow):
            await asyncio.sleep(self._seconds(weather.slow_seconds))

    async def _lose(self) -> NoAnswer:
        """Return how a lost answer looks to the phone; silence ends when the connection is reset.

        EnvayaSMS gives up by itself before that, the CHT app waits for ever.
        """
        if self._happens(0.4):
            await asyncio.sleep(self._rng.choice((61.0, 150.0, 900.0)))
            return NoAnswer("refused")
        return NoAnswer(self._rng.choice(_LOST))

    def _happens(self, share: float) -> bool:
        return share > 0 and self._rng.random() < share

    def _seconds(self, span: Span) -> float:
        return round(self._rng.uniform(*span), 3)


async def _and_forget(work: Coroutine[Any, Any, object]) -> None:
    await work


def _tear(answer: HttpAnswer, rng: random.Random) -> HttpAnswer:
    """Return *answer* with its end missing."""
    kept = rng.randrange(len(answer.body)) if answer.body else 0
    return HttpAnswer(answer.status, answer.content_type, answer.body[:kept])
