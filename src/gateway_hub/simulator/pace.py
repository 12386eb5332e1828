"""A phone's clock, run by the wall's: as fast, or faster."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from gateway_hub.domain.clock import system_clock


class PhoneClock:
    """Goes *speed* times as fast as the wall's clock while the phone waits for no answer.

    A server takes the time it takes: a clock that ran on meanwhile would have the phone give up a
    held poll long before its server does. *seconds* is a clock that only goes forward.
    """

    def __init__(
        self,
        speed: float = 1.0,
        *,
        start: datetime | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._speed = speed
        self._seconds = seconds
        self._marked_time = start or system_clock()
        self._marked_seconds = seconds()
        self._waits = 0

    def now(self) -> datetime:
        """Return the phone's time, in whole milliseconds."""
        exact = self._exact_now()
        return exact.replace(microsecond=exact.microsecond // 1000 * 1000)

    def seconds_until(self, moment: datetime) -> float:
        """Return how long that is by the wall's clock if the pace stays; 0 if it is past."""
        return max(0.0, (moment - self._exact_now()).total_seconds() / self._pace)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Go as fast as the wall's clock for the length of the block; blocks may overlap."""
        self._mark()
        self._waits += 1
        try:
            yield
        finally:
            self._mark()
            self._waits -= 1

    @property
    def _pace(self) -> float:
        return 1.0 if self._waits else self._speed

    def _exact_now(self) -> datetime:
        passed = self._seconds() - self._marked_seconds
        return self._marked_time + timedelta(seconds=passed * self._pace)

    def _mark(self) -> None:
        self._marked_time, self._marked_seconds = self._exact_now(), self._seconds()
