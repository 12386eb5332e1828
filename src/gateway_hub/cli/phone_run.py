"""``gateway-hub phone``: simulated phones on a real network until they are stopped."""

import asyncio
import random
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from gateway_hub.cli import fleet
from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.cli.step_output import StepOutput
from gateway_hub.simulator.kinds import PhoneKind, PhoneSetup
from gateway_hub.simulator.live import LivePhone
from gateway_hub.simulator.network import PhoneNetwork, make_tls
from gateway_hub.simulator.pace import PhoneClock
from gateway_hub.simulator.radio import PRESETS, Radio

_SWITCHED_ON_A_SECOND = 20
"""Phones that all began at once would poll in step for ever."""

_CONTACTS = 20


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How phones are run; *received_first* are the contacts and texts of SMS for each of them.

    *run_seconds* begin when the last of them is switched on.
    """

    seed: int
    radio: str = "perfect"
    speed: float = 1.0
    received_first: Sequence[tuple[str, str]] = ()
    receive_every_seconds: float | None = None
    run_seconds: float | None = None


def run(
    wanted: fleet.Wanted,
    options: RunOptions,
    *,
    as_json: bool,
    project: str | None,
    data_dir: Path | None,
) -> None:
    """Run phones until a signal or for their time. Raises CommandError if they did no good."""
    stop = asyncio.Event()
    output = StepOutput(as_json=as_json, on_closed=stop.set)
    if wanted.create is None:
        if project is not None or data_dir is not None:
            raise CommandError("--project and --data-dir are for --create.", ExitCode.USAGE)
        setups = fleet.setups_as_given(wanted)
    else:
        setups = fleet.register(
            wanted, options.seed, output.tell_registered, project=project, data_dir=data_dir
        )
    output.tell_start(
        [setup.name for setup in setups],
        options.radio,
        options.seed,
        until_all_on_seconds=_switched_on_after(len(setups) - 1),
    )
    phones = PhoneRun(wanted.kind, options, output, stop)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run_until_signal(phones, setups))
    output.tell_sum()
    output.raise_failure()


async def _run_until_signal(phones: "PhoneRun", setups: Sequence[PhoneSetup]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, phones.stop.set)
    await phones.run(setups)


def _switched_on_after(number: int) -> float:
    return number / _SWITCHED_ON_A_SECOND


class PhoneRun:
    """Phones that run side by side until *stop* is set."""

    def __init__(
        self, kind: PhoneKind, options: RunOptions, output: StepOutput, stop: asyncio.Event
    ) -> None:
        self.stop = stop
        self._kind = kind
        self._options = options
        self._output = output
        self._tls = make_tls()

    async def run(self, setups: Sequence[PhoneSetup]) -> None:
        """Run phones set up like this until they are stopped or their time is over."""
        async with asyncio.TaskGroup() as group:
            lives = [
                group.create_task(self._live(setup, number)) for number, setup in enumerate(setups)
            ]
            seconds = self._options.run_seconds
            if seconds is not None:
                seconds += _switched_on_after(len(setups) - 1)
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.stop.wait()
            for life in lives:
                life.cancel()

    async def _live(self, setup: PhoneSetup, number: int) -> None:
        await asyncio.sleep(_switched_on_after(number))
        rng = self._chance(number, "phone")
        clock = PhoneClock(self._options.speed)
        radio = Radio(rng, PRESETS[self._options.radio])
        phone = self._kind.make(setup, rng, radio, clock.now())
        tell = partial(self._output.tell, setup.name)
        async with PhoneNetwork(
            self._kind.timeout_seconds, self._tls, self._kind.habits
        ) as network:
            live = LivePhone(phone, self._kind, network, clock, tell)
            async with asyncio.TaskGroup() as group:
                group.create_task(live.live())
                group.create_task(self._receive(live, self._chance(number, "contacts")))

    async def _receive(self, live: LivePhone, rng: random.Random) -> None:
        for contact, text in self._options.received_first:
            live.receive_sms(contact, text)
        every = self._options.receive_every_seconds
        if every is None:
            return
        contacts = [fleet.invent_number(rng) for _ in range(_CONTACTS)]
        await asyncio.sleep(every * rng.random())
        number = 0
        while True:
            number += 1
            live.receive_sms(rng.choice(contacts), f"Invented SMS {number}")
            await asyncio.sleep(every)

    def _chance(self, number: int, what: str) -> random.Random:
        return random.Random(f"{self._options.seed}/{number}/{what}")  # noqa: S311 - simulated chance
