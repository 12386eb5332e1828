"""What ``gateway-hub demo`` plays on: its hub's API, phones on it, and what is said of them."""

import asyncio
import json
import os
import random
import shlex
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import typer

from gateway_hub.cli.demo_hub import DemoHub
from gateway_hub.cli.demo_receiver import DemoReceiver, receiving
from gateway_hub.cli.failures import CommandError
from gateway_hub.cli.fleet import KINDS, setup_of
from gateway_hub.cli.step_output import describe_step
from gateway_hub.domain.devices import Protocol
from gateway_hub.simulator.live import LivePhone
from gateway_hub.simulator.network import PhoneNetwork, make_tls
from gateway_hub.simulator.pace import PhoneClock
from gateway_hub.simulator.radio import Radio, RadioOptions
from gateway_hub.simulator.steps import Step, StepName

POLL_SECONDS = 2

_QUICK_RADIO = RadioOptions(report_seconds=(0.3, 0.6), delivery_seconds=(0.3, 0.6))
_PAUSE_SECONDS = 0.1
_POLLING: frozenset[StepName] = frozenset({"asked", "answered", "nothing"})


@dataclass(frozen=True, slots=True)
class StagePhone:
    """A phone that is switched on, and the device it is to the hub."""

    device_id: str
    live: LivePhone


class Stage:
    """Plays and tells: each REST call as a line to paste, each answer, each step of a phone."""

    def __init__(self, hub: DemoHub, client: httpx.AsyncClient, patience_seconds: float) -> None:
        self.hub = hub
        self.phones: dict[str, StagePhone] = {}
        self._client = client
        self._patience_seconds = patience_seconds
        self._tls = make_tls()
        self._lives: list[asyncio.Task[None]] = []
        self._unsaid: list[str] | None = None
        self._open = AsyncExitStack()

    async def post(self, path: str, body: dict[str, object], *, shown: Sequence[str]) -> Any:
        """Make a call and return the answer; *shown* are the fields of it that are told."""
        _say_call(path, body)
        with self._phones_unsaid():
            response = await self._request("POST", path, body)
            if not response.is_success:
                raise CommandError(f"the demo's own hub refused: {response.text}")
            _say_answer(response, shown)
        return response.json()

    async def get_when(
        self, path: str, is_there: Callable[[Any], bool], *, shown: Sequence[str], missing: str
    ) -> Any:
        """Ask until the answer holds what is wanted; tell that one and return it.

        Raises CommandError that begins with *missing* if it takes too long.
        """
        deadline = time.monotonic() + self._patience_seconds
        while True:
            response = await self._request("GET", path, None)
            if response.is_success and is_there(response.json()):
                break
            if time.monotonic() > deadline:
                waited = f"{missing} in {self._patience_seconds:g} seconds"
                raise CommandError(f"{waited}. The hub says: {response.text}")
            await asyncio.sleep(_PAUSE_SECONDS)
        _say_call(path, None)
        _say_answer(response, shown)
        return response.json()

    def switch_on(self, device: dict[str, Any]) -> None:
        """Have a phone live into which somebody typed what the hub told of *device*."""
        kind = KINDS[Protocol(device["protocol"])]
        setup = setup_of(device, poll_seconds=POLL_SECONDS)
        rng = random.Random()  # noqa: S311 - simulated chance
        clock = PhoneClock()
        phone = kind.make(setup, rng, Radio(rng, _QUICK_RADIO), clock.now())
        network = PhoneNetwork(kind.timeout_seconds, self._tls, kind.habits)
        live = LivePhone(phone, kind, network, clock, partial(self._say_step, setup.name))
        self.phones[setup.name] = StagePhone(device["id"], live)
        self._lives.append(asyncio.create_task(_live(live, network)))

    async def open_service(self, name: str, reply: str) -> DemoReceiver:
        """Return a backend service that answers each SMS it hears of with *reply*."""

        def tell(words: str) -> None:
            self._say_aside(f"  {name}  {words}")

        return await self._open.enter_async_context(receiving(reply, tell))

    async def _request(
        self, method: str, path: str, body: dict[str, object] | None
    ) -> httpx.Response:
        try:
            return await self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise CommandError(f"the demo's own hub does not answer {path}: {reason}") from error

    @contextmanager
    def _phones_unsaid(self) -> Iterator[None]:
        """Keep what phones do for after the block: a held poll ends before the call behind it."""
        self._unsaid = []
        try:
            yield
        finally:
            lines, self._unsaid = self._unsaid, None
            for line in lines:
                _say_of_phone(line)

    def _say_step(self, name: str, step: Step) -> None:
        if step.name in _POLLING:
            return
        self._say_aside(f"  {name}  {describe_step(step, with_id=False)}")

    def _say_aside(self, line: str) -> None:
        if self._unsaid is None:
            _say_of_phone(line)
        else:
            self._unsaid.append(line)

    async def switch_off(self) -> None:
        """End the phones and services. Raises what a phone died of."""
        await self._open.aclose()
        for life in self._lives:
            life.cancel()
        for end in await asyncio.gather(*self._lives, return_exceptions=True):
            if isinstance(end, Exception):
                raise end


@asynccontextmanager
async def open_stage(hub: DemoHub, patience_seconds: float) -> AsyncIterator[Stage]:
    """Yield a stage on *hub*; its phones end with the block."""
    headers = {"Authorization": f"Bearer {hub.key}"}
    async with httpx.AsyncClient(
        base_url=hub.url, headers=headers, trust_env=False, timeout=patience_seconds
    ) as client:
        stage = Stage(hub, client, patience_seconds)
        try:
            yield stage
        finally:
            await stage.switch_off()


async def _live(live: LivePhone, network: PhoneNetwork) -> None:
    async with network:
        await live.live()


def say(text: str = "", **style: Any) -> None:
    """Print a line; *style* is for terminals that show it."""
    is_plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    typer.echo(text if is_plain else typer.style(text, **style))


def _say_of_phone(line: str) -> None:
    # If nobody reads any more, the tour meets that itself, and ends.
    with suppress(BrokenPipeError):
        say(line, fg="cyan")


def _say_call(path: str, body: dict[str, object] | None) -> None:
    lines = [f'curl "$HUB{path}" -H "Authorization: Bearer $KEY"']
    if body is not None:
        lines += ["     -H 'Content-Type: application/json'", f"     -d {shlex.quote(_json(body))}"]
    say("  $ " + " \\\n  ".join(lines), fg="green")


def _say_answer(response: httpx.Response, shown: Sequence[str]) -> None:
    document = response.json()
    if "data" in document:
        text = f'{{"data": [{_excerpt(document["data"][0], shown)}], …}}'
    else:
        text = _excerpt(document, shown)
    say(f"  {response.status_code} {text}")


def _excerpt(document: dict[str, Any], shown: Sequence[str]) -> str:
    return _json({name: document[name] for name in shown}).removesuffix("}") + ", …}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
