"""``gateway-hub demo``: a tour of what the hub does, which plays itself and leaves nothing."""

import asyncio
import signal
import tempfile
import time
from functools import partial
from pathlib import Path

import typer

from gateway_hub.cli.demo_hub import DemoHub, running_hub
from gateway_hub.cli.demo_stage import open_stage, say
from gateway_hub.cli.demo_tour import TOUR
from gateway_hub.ops.logging import configure_logging

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_KILLED = 128
"""What a shell adds to a signal's number to make an exit code of it."""


def run(*, stay: bool, patience_seconds: float) -> None:
    """Play the tour and exit. Raises CommandError if a scene did not come to its end."""
    configure_logging("WARNING")
    with (
        tempfile.TemporaryDirectory(prefix="gateway-hub-demo-") as folder,
        asyncio.Runner() as runner,
    ):
        performance = _Performance(Path(folder), patience_seconds, stay=stay)
        exit_code = runner.run(performance.run_until_signal())
    raise typer.Exit(exit_code)


class _Performance:
    """The tour from the first line to the last, unless a signal ends it."""

    def __init__(self, folder: Path, patience_seconds: float, *, stay: bool) -> None:
        self._folder = folder
        self._patience_seconds = patience_seconds
        self._stay = stay
        self._is_complete = False
        self._stopped_by: signal.Signals | None = None

    async def run_until_signal(self) -> int:
        """Return the exit code once all is cleaned up."""
        tour = asyncio.create_task(self._play())
        for number in _SIGNALS:
            stop = partial(self._stop, number, tour)
            asyncio.get_running_loop().add_signal_handler(number, stop)
        try:
            await tour
        except asyncio.CancelledError:
            if self._stopped_by is None:
                raise
            say("\nStopped. Nothing is left behind.")
        return 0 if self._is_complete else _KILLED + (self._stopped_by or 0)

    def _stop(self, number: signal.Signals, tour: asyncio.Task[None]) -> None:
        self._stopped_by = number
        tour.cancel()

    async def _play(self) -> None:
        began = time.monotonic()
        async with (
            running_hub(self._folder) as hub,
            open_stage(hub, self._patience_seconds) as stage,
        ):
            _introduce(hub)
            for number, scene in enumerate(TOUR, start=2):
                _say_title(number, scene.title)
                say(f"  {scene.words}")
                await scene.play(stage)
            self._is_complete = True
            say(f"\nThat was all, in {time.monotonic() - began:.0f} seconds.", bold=True)
            if self._stay:
                say("Hub and phones keep running; the lines above can be pasted. Ctrl+C ends it.")
                await asyncio.Event().wait()
        say("The hub is stopped and its folder removed.")
        say("Next: gateway-hub serve is a hub that stays, gateway-hub phone is a phone for it.")


def _introduce(hub: DemoHub) -> None:
    _say_title(1, "A hub starts")
    say(f"  One process and one SQLite file, in {hub.folder} until the end.")
    say(f"  $ HUB={hub.url}", fg="green")
    say(f"  $ KEY={hub.key}", fg="green")


def _say_title(number: int, title: str) -> None:
    say(f"\n{number}. {title}", bold=True)
