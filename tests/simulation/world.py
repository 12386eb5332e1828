"""One seed: its world is built, runs until nothing is left to happen, and is judged."""

import asyncio
import random
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from gateway_hub.domain.clock import from_epoch_ms, to_epoch_ms
from gateway_hub.services.hub import Hub
from tests.simulation.case import Case, PhoneEnd
from tests.simulation.drawing import draw_scenario
from tests.simulation.faulty_sqlite import CALM, Disk
from tests.simulation.happenings import Happenings
from tests.simulation.ledger import Ledger
from tests.simulation.phones import Phone
from tests.simulation.process import HubProcess, Result
from tests.simulation.scenario import Happening, NetworkWeather, Scenario, describe
from tests.simulation.verdict import judge
from tests.simulation.virtual_time import VirtualLoop, seconds_at

_MOST_STATEMENTS = 60_000
_LOOK_AGAIN_SECONDS = 60.0
_LONGEST_PEACE = timedelta(hours=80)
_LONGEST_LEASES = timedelta(hours=5)
_DOZE = (
    (timedelta(minutes=20), timedelta(minutes=15)),
    (timedelta(hours=1.5), timedelta(hours=1)),
    (timedelta(hours=6), timedelta(hours=3)),
)
"""After how much peace phones that only wait for their own next try sleep, and how long."""

_AT_PEACE = frozenset({"kill", "stop", "database_away", "airplane", "pause"})
"""What does not happen any more once there is peace."""

_AT_LEAST_EVERY = 1200.0
_PATIENCE = 600.0

# Where the tables say that time alone may move something.
_NEXT_DUE = """
SELECT min(due) FROM (
    SELECT min(expires_at) AS due FROM messages WHERE status IN ('scheduled', 'queued')
    UNION ALL SELECT min(due_at) FROM messages WHERE status = 'scheduled'
    UNION ALL SELECT min(preferred_until) FROM messages WHERE status = 'queued'
    UNION ALL SELECT min(lease_until) FROM attempts WHERE status = 'dispatched'
    UNION ALL SELECT min(last_sign_at) + 86400000 FROM attempts
        WHERE status IN ('accepted', 'pending')
)
"""

_TO_BE_ASKED = """
SELECT count(*) FROM messages JOIN attempts
    ON attempts.message_id = messages.id AND attempts.number = messages.attempt_count
 WHERE messages.status = 'dispatched'
    OR (messages.status = 'uncertain' AND messages.device_protocol = 'medic'
        AND messages.expires_at > ? AND attempts.cancel_requested_at IS NULL)
"""


class World:
    """Everything there is in a seed, and its rules of nature."""

    def __init__(self, seed: int, path: Path, loop: VirtualLoop) -> None:
        self.seed = seed
        self.loop = loop
        self.lines: list[str] = []
        self.scenario: Scenario = draw_scenario(self.rng("scenario"))
        self.network = NetworkWeather()
        self.process: HubProcess | None = None
        self.phones: list[Phone] = []
        self.disk = Disk(path, loop, self.rng("disk"))
        self._eye = sqlite3.connect(path, isolation_level=None)
        self._eye.execute("PRAGMA query_only=ON")
        self.ledger = Ledger(self._eye, self.trace)
        self.project_id = str(self.read("SELECT id FROM projects")[0][0])
        self._devices = dict(self.read("SELECT name, id FROM devices"))
        self._happenings = Happenings(self)
        self._lives = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stirred = asyncio.Event()
        self._is_at_peace = False

    def rng(self, part: str) -> random.Random:
        """Return the randomness of one part of the world: no part disturbs another's."""
        return random.Random(f"{self.seed} {part}")

    def trace(self, line: str) -> None:
        """Tell what happens."""
        elapsed = timedelta(milliseconds=round(self.loop.time() * 1000))
        self.lines.append(f"{elapsed!s:>22.19}  {line}")

    def stir(self) -> None:
        """Note that the hub wrote something, so that it may have work of its own soon."""
        self._stirred.set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Do *work* in the world, outside of the hub."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    def holders_of(self, message_id: str, but: str) -> str:
        """Return the names of other phones that still try to send a message."""
        wires = self._eye.execute("SELECT wire_id FROM attempts WHERE message_id = ?", [message_id])
        ids = [row[0] for row in wires]
        others = [phone for phone in self.phones if phone.name != but]
        return "".join(phone.name for phone in others if any(map(phone.is_working_on, ids)))

    def device_id(self, phone: int) -> str:
        """Return the device of a phone."""
        plan = self.scenario.phones[phone]
        return str(self._devices[f"{plan.protocol}-{plan.name}"])

    def read(self, query: str) -> list[Any]:
        """Return rows of what is on disk."""
        return self._eye.execute(query).fetchall()

    async def call(self, work: Callable[[Hub], Any]) -> Result:
        """Return what a caller of the hub's API hears."""
        process = self.process
        if process is None:
            return "unknown", None
        return await process.call(work)

    def start_hub(self) -> None:
        """Begin another life of the hub."""
        self._lives += 1
        rng = self.rng(f"hub {self._lives}")
        self.process = HubProcess(self.disk, self.loop, rng, self.scenario.long_poll_seconds)
        self.trace(f"hub starts ({self._lives})")

    async def run(self) -> None:
        """Live through the scenario, then through the peace after it, then judge."""
        for name, value in describe(self.scenario).items():
            self.trace(f"{name}: {value}")
        await self._begin()
        for happening in self.scenario.happenings:
            self.loop.call_at(happening.at, partial(self._let_happen, happening))
        await self._pass(self.scenario.horizon_seconds)
        await self._make_peace()
        healed_at = self.loop.now()
        await self._wait_until_settled(healed_at)
        phones, ended_at = self._describe_phones(), self.loop.now()
        await self._end()
        judge(Case(self.ledger, phones, self.read, healed_at=healed_at, ended_at=ended_at))

    def close(self) -> None:
        """Look no more at the disk."""
        self._eye.close()

    def counts(self) -> dict[str, int]:
        """Return how much of what there was."""
        known = {item.message_id for item in self.ledger.submissions}
        outbound = self.read("SELECT id FROM messages WHERE direction = 'outbound'")
        counts = {
            "virtual hours": round(self.loop.time() / 3600),
            "database statements": self.disk.statements,
            "database faults": self.disk.faults,
            "lives of the hub": self._lives,
            "answers to phones": len(self.ledger.answers),
            "messages submitted": len(self.ledger.submissions),
            "of them stored, though nobody was told": sum(row[0] not in known for row in outbound),
            "messages taken by phones": len(self.ledger.takes),
            "SMS that left": sum(len(phone.app.air) for phone in self.phones),
            "messages received by phones": len(self.ledger.received),
        }
        again = self.ledger.sent_again.items()
        return counts | {f"left again: {reason}": number for reason, number in again}

    async def _begin(self) -> None:
        self.start_hub()
        for number, plan in enumerate(self.scenario.phones):
            changes = {"tags": plan.tags, "send_limit": plan.send_limit}
            await self._happenings.change_device(number, **changes)
            self.phones.append(Phone(self, plan, self.rng(f"phone {number}")))
        self.network, self.disk.weather = self.scenario.network, self.scenario.disk
        for phone in self.phones:
            phone.kick()
        self.start(self._take_care())
        self.start(self._flush_states())

    def _let_happen(self, happening: Happening) -> None:
        if not (self._is_at_peace and happening.what in _AT_PEACE):
            work = self._happenings.begin(happening)
            if work is not None:
                self.start(work)

    async def _pass(self, until_seconds: float) -> None:
        while self.loop.time() < until_seconds:
            await asyncio.sleep(min(600.0, until_seconds - self.loop.time()))
            self._check_world()

    def _check_world(self) -> None:
        """Raise what failed in the world itself."""
        if self.loop.failures:
            raise self.loop.failures[0]
        if self.disk.statements > _MOST_STATEMENTS:
            raise RuntimeError("the simulation does not come to an end")

    async def _take_care(self) -> None:
        """Do the hub's own work a while after something happened, and when something is due.

        A real hub looks each second; what is due and cannot be moved is looked at less often here.
        """
        patience = 0.0
        while True:
            self._stirred.clear()
            await self._wait_until_stirred(max(self._seconds_to_next_due(), patience))
            await asyncio.sleep(self.scenario.tick_seconds)
            _, moved = await self.call(_run_due)
            idle = not moved and not self._stirred.is_set()
            patience = min(2 * patience + self.scenario.tick_seconds, _PATIENCE) if idle else 0.0

    async def _wait_until_stirred(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), seconds)

    def _seconds_to_next_due(self) -> float:
        due_ms = self._eye.execute(_NEXT_DUE).fetchone()[0]
        if due_ms is None:
            return _AT_LEAST_EVERY
        seconds = seconds_at(from_epoch_ms(due_ms)) - self.loop.time()
        return min(max(seconds, 0.0), _AT_LEAST_EVERY)

    async def _flush_states(self) -> None:
        """Write what is known of phones; a real hub does it every few seconds."""
        while True:
            await asyncio.sleep(max(30.0, self.scenario.horizon_seconds / 15))
            await self.call(lambda hub: hub.states.flush())

    async def _make_peace(self) -> None:
        self.trace("peace: from now on nothing goes wrong")
        self._is_at_peace = True
        self.network, self.disk.weather = NetworkWeather(), CALM
        self.disk.out_of_reach_until = 0.0
        while self.process is None or not self.process.accepts:
            await asyncio.sleep(1.0)
        for number, phone in enumerate(self.phones):
            await self._happenings.change_device(number, paused=False)
            phone.heal()

    async def _wait_until_settled(self, healed_at: datetime) -> None:
        while not self._is_settled():
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
            self._check_world()
            peace = self.loop.now() - healed_at
            if peace > _LONGEST_PEACE or (peace > _LONGEST_LEASES and self._waits_to_ask()):
                return
            self._set_doze(peace)

    def _set_doze(self, peace: timedelta) -> None:
        """Let phones sleep that only wait for their own next try; others have to ask."""
        doze = timedelta(0)
        if not self._count("'queued'") and not self._waits_to_ask():
            doze = max((long for after, long in _DOZE if peace > after), default=doze)
        for phone in self.phones:
            phone.doze = doze

    def _is_settled(self) -> bool:
        waiting = self._count("'scheduled', 'queued', 'dispatched', 'accepted', 'pending'")
        if waiting or self._waits_to_ask():
            return False
        return all(phone.app.idle for phone in self.phones)

    def _waits_to_ask(self) -> bool:
        """Say whether a phone that asks is to be offered once more what it holds in silence."""
        now_ms = to_epoch_ms(self.loop.now())
        return bool(self._eye.execute(_TO_BE_ASKED, [now_ms]).fetchone()[0])

    def _count(self, statuses: str) -> int:
        query = f"SELECT count(*) FROM messages WHERE status IN ({statuses})"  # noqa: S608
        return int(self.read(query)[0][0])

    async def _end(self) -> None:
        """Stop everything that would go on for ever."""
        if self.process is not None:
            await self.process.stop()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _describe_phones(self) -> dict[str, PhoneEnd]:
        return {
            phone.name: PhoneEnd(phone.plan, self.device_id(number), phone.app.air, phone.restarts)
            for number, phone in enumerate(self.phones)
        }


async def _run_due(hub: Hub) -> int:
    moved = 0
    while True:
        moved_now = await hub.caretaker.run_due()
        if not moved_now:
            return moved
        moved += moved_now
