"""Drawing what a seed stands for: how many phones, how bad the weather, how much happens."""

import random
from datetime import timedelta

from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.simulator.radio import BROKEN, FLAKY, PERFECT, RadioOptions
from tests.simulation.faulty_sqlite import DiskWeather
from tests.simulation.scenario import (
    TAGS,
    Happening,
    NetworkWeather,
    PhonePlan,
    Scenario,
    Span,
    What,
)

_PACES: tuple[tuple[float, tuple[int, ...]], ...] = (
    # Hours, and the seconds between polls: short ones show races, long ones patience.
    (0.2, (30, 60)),
    (0.8, (60, 120, 180)),
    (3.0, (300, 600)),
    (9.0, (600, 900)),
)
_PACE_SHARES = (35, 35, 20, 10)
_CALM = 0.1
_BURSTS = 0.2
_COINCIDENCES = 0.4
_FEW_POLLS = 3.0
_LEASE = 600.0
_SPANS = 0.25

_USUAL: tuple[tuple[What, tuple[int, ...]], ...] = (
    ("sms", (0, 1, 2, 4)),
    ("missed_call", (0, 0, 1)),
    ("typed", (0, 0, 1)),
)
_UNUSUAL: tuple[tuple[What, tuple[int, ...], Span], ...] = (
    ("resend", (0, 0, 1, 2), (0, 0)),
    ("kill", (0, 0, 1, 2, 3), (1, 120)),
    ("stop", (0, 0, 0, 1), (1, 20)),
    ("database_away", (0, 0, 1, 2), (1, 90)),
    ("retry_button", (0, 0, 0, 1), (0, 0)),
)
"""What happens, one of these counts of times, and for how many seconds."""


def draw_scenario(rng: random.Random) -> Scenario:
    """Return the scenario of a seed."""
    hours, gaps = rng.choices(_PACES, _PACE_SHARES)[0]
    horizon = hours * 3600 * rng.uniform(0.6, 1.2)
    # Phones of one habit meet at the hub at the same moment.
    alike = rng.random() < 0.5
    gap = rng.choice(gaps)
    count = rng.choices((1, 2, 3, 4), (25, 50, 20, 5))[0]
    radio = rng.choices((PERFECT, FLAKY, BROKEN), (50, 35, 15))[0]
    phones = tuple(
        _draw_phone(rng, number, gap if alike else rng.choice(gaps), radio)
        for number in range(count)
    )
    calm = rng.random() < _CALM
    return Scenario(
        phones,
        horizon,
        long_poll_seconds=rng.choice((0, 0, 0, 0, 0, 8)),
        tick_seconds=rng.choice((20, 60)) if hours < 2 else 60,
        network=NetworkWeather() if calm else _draw_network(rng),
        disk=DiskWeather(pauses=0.2) if calm else _draw_disk(rng),
        happenings=_draw_happenings(rng, count, gap, horizon, calm=calm),
    )


def _draw_phone(rng: random.Random, number: int, gap: int, radio: RadioOptions) -> PhonePlan:
    protocol = rng.choice((Protocol.MEDIC, Protocol.ENVAYA))
    tags = tuple(tag for tag in TAGS if rng.random() < 0.6)
    limit = None
    if rng.random() < 0.4:
        limit = SendLimit(rng.choice((1, 2, 3, 6, 10)), rng.choice((300, 600, 1800)))
    return PhonePlan(
        name="abcd"[number],
        protocol=protocol,
        version=rng.choice((17, 18, 30, 30)),
        poll_seconds=gap,
        tags=tags,
        send_limit=limit,
        radio=radio,
        clock_ahead=timedelta(seconds=rng.choice((0, 0, -200, 4000))),
    )


def _draw_network(rng: random.Random) -> NetworkWeather:
    bad = rng.choice((0.0, 0.03, 0.1, 0.3, 0.7))
    return NetworkWeather(
        lost=bad * rng.random(),
        answer_lost=bad * rng.choice((rng.random(), 1.0)),
        answer_torn=bad * rng.random() / 3,
        doubled=rng.choice((0.0, 0.05, 0.25)),
        hung_up=rng.choice((0.0, 0.0, 0.05)),
        delay_seconds=rng.choice(((0.01, 0.05), (0.05, 1.0), (0.2, 5.0))),
        slow=rng.choice((0.0, 0.0, 0.05)),
    )


def _draw_disk(rng: random.Random) -> DiskWeather:
    return DiskWeather(
        pauses=rng.choice((0.02, 0.1, 0.4)),
        slow=rng.choice((0.0, 0.0, 0.01, 0.1)),
        slow_seconds=rng.choice((0.5, 3.0)),
        faults=rng.choice((0.0, 0.0, 0.002, 0.01, 0.03)),
    )


class _Calendar:
    """Happenings on a scenario's days, until its horizon."""

    def __init__(self, rng: random.Random, phones: int, horizon: float) -> None:
        self.happenings: list[Happening] = []
        self._rng = rng
        self._phones = phones
        self._horizon = horizon

    def add_messages(self) -> None:
        """Have messages asked for: mostly in the first half, so that much may happen to them."""
        count = self._rng.choice((1, 2, 3, 4, 6))
        moments = [self._horizon * self._rng.random() ** 2 for _ in range(count)]
        if self._rng.random() < _BURSTS:
            # At one moment, as a campaign does.
            moments += [self._horizon * self._rng.random() / 2] * self._rng.choice((4, 12))
        self.happenings += [
            Happening(at, "submit", number=number) for number, at in enumerate(moments)
        ]

    def add_soon_after(self, what: What, counts: tuple[int, ...], soon: float) -> None:
        """Have *what* happen as often, within *soon* after a message was asked for."""
        asked = [item.at for item in self.happenings if item.what == "submit"]
        for _ in range(self._rng.choice(counts)):
            at = self._rng.choice(asked) + soon * self._rng.random()
            self.happenings.append(Happening(at, what, self._rng.randrange(self._phones)))

    def add_some(self, what: What, counts: tuple[int, ...], away: Span) -> None:
        """Have *what* happen as often as one of *counts* says, each for a time of *away*."""
        for _ in range(self._rng.choice(counts)):
            self.happenings.append(
                Happening(
                    self._draw_moment(),
                    what,
                    self._rng.randrange(self._phones),
                    seconds=self._rng.uniform(*away),
                    number=self._rng.getrandbits(16),
                )
            )

    def _draw_moment(self) -> float:
        """Return any moment, or one at which something else happens too: there is most to spoil."""
        if self._rng.random() < _COINCIDENCES:
            return self._rng.choice(self.happenings).at
        return self._horizon * self._rng.random()

    def add_span(self, start: What, end: What, longest: float) -> None:
        """Have *start* happen to a phone, perhaps, and *end* some time later."""
        if self._rng.random() < _SPANS:
            at, phone = self._horizon * self._rng.random(), self._rng.randrange(self._phones)
            self.happenings.append(Happening(at, start, phone))
            self.happenings.append(Happening(at + longest * self._rng.random(), end, phone))


def _draw_happenings(
    rng: random.Random, phones: int, gap: float, horizon: float, *, calm: bool
) -> tuple[Happening, ...]:
    calendar = _Calendar(rng, phones, horizon)
    calendar.add_messages()
    calendar.add_soon_after("cancel", (0, 1, 2, 3), _FEW_POLLS * gap)
    for what, counts in _USUAL:
        calendar.add_some(what, counts, (0, 0))
    if not calm:
        calendar.add_soon_after("phone_restart", (0, 0, 1, 2), _FEW_POLLS * gap + _LEASE)
        for what, counts, away in _UNUSUAL:
            calendar.add_some(what, counts, away)
        calendar.add_span("airplane", "landing", horizon / 3)
        calendar.add_span("pause", "unpause", 3600.0)
    return tuple(sorted(calendar.happenings, key=lambda item: item.at))
