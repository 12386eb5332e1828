"""What becomes of an SMS that an app hands to the phone's radio: drawn from a seed, ahead of time.

The radio reports each part to the app, or not; that a part left and that its leaving is reported
are two things.
"""

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

DELIVERED = 0x00
"""TP-Status (3GPP TS 23.040, 9.2.3.15) of an SMS that its recipient has."""
VALIDITY_EXPIRED = 0x46
"""TP-Status of an SMS that the network gave up on."""


class SendResult(StrEnum):
    """What the radio says of a part; ``silence`` is no word at all."""

    OK = "ok"
    GENERIC = "generic"
    NO_SERVICE = "no_service"
    NULL_PDU = "null_pdu"
    RADIO_OFF = "radio_off"
    LIMIT_EXCEEDED = "limit_exceeded"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class RadioOptions:
    """How a radio behaves: shares from 0 to 1, times as (least, most) seconds.

    The shares *generic* to *silence* are of all parts, the rest is well. Of silent parts
    *left_in_silence* left all the same, of generic failures *left_in_failure*. Of the good ones
    *late* are reported after *late_seconds*. Of those that left, *delivered* are confirmed by the
    network, *undeliverable* given up; of the rest nothing is heard.
    With *limit_parts*, Android lets only so many parts in any *limit_seconds* pass; beyond that it
    asks its owner, who answers when there is room again, or refuses, by *over_limit*.
    """

    generic: float = 0.0
    no_service: float = 0.0
    null_pdu: float = 0.0
    radio_off: float = 0.0
    silence: float = 0.0
    left_in_silence: float = 0.5
    left_in_failure: float = 0.0
    error_codes: tuple[int | None, ...] = (38, 1, None)
    report_seconds: tuple[float, float] = (1.0, 3.0)
    late: float = 0.0
    late_seconds: tuple[float, float] = (31.0, 120.0)
    delivered: float = 1.0
    undeliverable: float = 0.0
    delivery_seconds: tuple[float, float] = (2.0, 60.0)
    limit_parts: int | None = None
    limit_seconds: float = 1800.0
    over_limit: Literal["ask", "refuse"] = "ask"


PERFECT = RadioOptions()
FLAKY = RadioOptions(
    generic=0.04,
    no_service=0.08,
    null_pdu=0.02,
    radio_off=0.02,
    silence=0.03,
    left_in_failure=0.05,
    late=0.03,
    delivered=0.7,
    undeliverable=0.1,
)
BROKEN = RadioOptions(
    generic=0.25,
    no_service=0.3,
    null_pdu=0.1,
    radio_off=0.1,
    silence=0.15,
    left_in_failure=0.2,
    late=0.3,
    delivered=0.2,
    undeliverable=0.3,
)
STOCK_ANDROID = RadioOptions(limit_parts=30)
"""A perfect radio under the limit of stock Android: 30 parts in 30 minutes."""

PRESETS: Mapping[str, RadioOptions] = {
    "perfect": PERFECT,
    "flaky": FLAKY,
    "broken": BROKEN,
    "stock": STOCK_ANDROID,
}


@dataclass(frozen=True, slots=True)
class PartOutcome:
    """What becomes of one part; a time is None if the thing never happens."""

    part: int
    result: SendResult
    error_code: int | None = None
    left_at: datetime | None = None
    reported_at: datetime | None = None
    delivery_status: int | None = None
    delivery_reported_at: datetime | None = None


class Radio:
    """A phone's radio; remembers what it sent only to count it against Android's limit."""

    def __init__(self, rng: random.Random, options: RadioOptions = PERFECT) -> None:
        self._rng = rng
        self._options = options
        self._shares = (
            (SendResult.GENERIC, options.generic),
            (SendResult.NO_SERVICE, options.no_service),
            (SendResult.NULL_PDU, options.null_pdu),
            (SendResult.RADIO_OFF, options.radio_off),
            (SendResult.SILENCE, options.silence),
        )
        self._counted: deque[datetime] = deque()

    def send(self, parts: int, at: datetime, *, airplane: bool = False) -> tuple[PartOutcome, ...]:
        """Return what becomes of each of the *parts* of an SMS handed over *at* this time."""
        if airplane:
            return self._refuse(parts, at, SendResult.RADIO_OFF)
        start = self._find_start(parts, at)
        if start is None:
            return self._refuse(parts, at, SendResult.LIMIT_EXCEEDED)
        outcomes: list[PartOutcome] = []
        for part in range(parts):
            start += self._seconds(self._options.report_seconds)
            outcomes.append(self._send_part(part, start))
        return tuple(outcomes)

    def _refuse(self, parts: int, at: datetime, result: SendResult) -> tuple[PartOutcome, ...]:
        return tuple(PartOutcome(part, result, reported_at=at) for part in range(parts))

    def _find_start(self, parts: int, at: datetime) -> datetime | None:
        """Return when the limit lets *parts* pass, and count them; None if it refuses them."""
        limit = self._options.limit_parts
        if limit is None:
            return at
        window = timedelta(seconds=self._options.limit_seconds)
        # One that waits lets no later one pass.
        start = max(at, self._counted[-1]) if self._counted else at
        self._forget(start - window)
        while self._counted and len(self._counted) + parts > limit:
            if self._options.over_limit == "refuse":
                return None
            start = self._counted[0] + window
            self._forget(start - window)
        self._counted.extend([start] * parts)
        return start

    def _forget(self, until: datetime) -> None:
        while self._counted and self._counted[0] <= until:
            self._counted.popleft()

    def _send_part(self, part: int, at: datetime) -> PartOutcome:
        options, result = self._options, self._draw_result()
        reported_at: datetime | None = at
        error_code = None
        left = result is SendResult.OK
        if result is SendResult.SILENCE:
            left, reported_at = self._happens(options.left_in_silence), None
        elif result is SendResult.GENERIC:
            left = self._happens(options.left_in_failure)
            error_code = self._rng.choice(options.error_codes)
        elif left and self._happens(options.late):
            reported_at = at + self._seconds(options.late_seconds)
        status = self._draw_delivery() if left else None
        delivery_at = None if status is None else at + self._seconds(options.delivery_seconds)
        left_at = at if left else None
        return PartOutcome(part, result, error_code, left_at, reported_at, status, delivery_at)

    def _draw_result(self) -> SendResult:
        drawn = self._rng.random()
        for result, share in self._shares:
            if drawn < share:
                return result
            drawn -= share
        return SendResult.OK

    def _draw_delivery(self) -> int | None:
        drawn = self._rng.random() - self._options.delivered
        if drawn < 0:
            return DELIVERED
        return VALIDITY_EXPIRED if drawn < self._options.undeliverable else None

    def _happens(self, share: float) -> bool:
        return share > 0 and self._rng.random() < share

    def _seconds(self, bounds: tuple[float, float]) -> timedelta:
        least, most = bounds
        # Whole milliseconds, as all times of the hub and its phones are.
        return timedelta(milliseconds=round(1000 * (least + (most - least) * self._rng.random())))


def find_departure(outcomes: Iterable[PartOutcome]) -> tuple[datetime, int] | None:
    """Return when the last part leaves and how many do; None if none leaves."""
    times = [outcome.left_at for outcome in outcomes if outcome.left_at is not None]
    return (max(times), len(times)) if times else None
