"""An event loop without sockets or waiting: its clock jumps to whatever is to happen next."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 6, 0, 0, tzinfo=UTC)
"""When every simulation begins."""

_MOST_TURNS_AT_ONCE = 50_000
_RESOLUTION = 1e-9
# Running takes a moment too, or a deadline that is missed by a rounding error is never reached.
_TURN_SECONDS = 1e-9


class NothingLeftToHappenError(RuntimeError):
    """Everything waits, and nothing is to come: the simulation hangs."""


class TimeStandsStillError(RuntimeError):
    """Something goes on for ever at one moment."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready, then moves its clock to the next timer at once.

    Everything the hub does with time, as sleeping or giving up after a while, works unchanged.
    *failures* are exceptions of callbacks; those of tasks belong to whoever waits for the task.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[BaseException] = []
        self._elapsed = 0.0
        self._turns = 0
        self._selector = self
        self._clock_resolution = _RESOLUTION
        self.set_exception_handler(self._note_failure)

    def time(self) -> float:
        """Return the seconds since the start."""
        return self._elapsed

    def now(self) -> datetime:
        """Return the moment in whole milliseconds: what the hub and its phones take for now."""
        return START + timedelta(milliseconds=round(self._elapsed * 1000))

    def call_on(self, moment: datetime, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call *callback* at *moment*, or now if that is past."""
        return self.call_at(max(self._elapsed, seconds_at(moment)), callback)

    def select(self, timeout: float | None) -> list[object]:
        """Let the time pass that the loop would have waited for a socket."""
        if timeout is None:
            raise NothingLeftToHappenError
        self._turns = 0 if timeout > _TURN_SECONDS else self._turns + 1
        if self._turns > _MOST_TURNS_AT_ONCE:
            raise TimeStandsStillError
        self._elapsed += max(timeout, _TURN_SECONDS)
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """Take what `select` found, which is nothing."""

    def _write_to_self(self) -> None:
        """Wake a loop that sleeps in another thread, which this one never does."""

    def _note_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "handle" in context and "exception" in context:
            self.failures.append(context["exception"])


def seconds_at(moment: datetime) -> float:
    """Return how many seconds after the start *moment* is."""
    return (moment - START).total_seconds()
