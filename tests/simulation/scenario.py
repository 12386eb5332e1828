"""What a seed stands for: phones, weather, and what happens when."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.simulator.radio import RadioOptions
from tests.simulation.faulty_sqlite import DiskWeather

Span = tuple[float, float]

TAGS = ("blue", "red")


@dataclass(frozen=True, slots=True)
class PhonePlan:
    """A phone: *version* is EnvayaSMS's, *radio* what it meets until all is well again."""

    name: str
    protocol: Protocol
    version: int
    poll_seconds: int
    tags: tuple[str, ...]
    send_limit: SendLimit | None
    radio: RadioOptions
    clock_ahead: timedelta


@dataclass(frozen=True, slots=True)
class NetworkWeather:
    """What becomes of requests: shares from 0 to 1, times as (least, most) seconds."""

    lost: float = 0.0
    answer_lost: float = 0.0
    answer_torn: float = 0.0
    doubled: float = 0.0
    hung_up: float = 0.0
    delay_seconds: Span = (0.01, 0.2)
    slow: float = 0.0
    slow_seconds: Span = (1.0, 50.0)


What = Literal[
    "submit",
    "cancel",
    "resend",
    "sms",
    "missed_call",
    "typed",
    "airplane",
    "landing",
    "phone_restart",
    "retry_button",
    "kill",
    "stop",
    "database_away",
    "pause",
    "unpause",
]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that comes from outside, *at* seconds after the start."""

    at: float
    what: What
    phone: int = 0
    seconds: float = 0.0
    number: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """All that a seed decides before anything runs."""

    phones: tuple[PhonePlan, ...]
    horizon_seconds: float
    long_poll_seconds: float
    tick_seconds: float
    network: NetworkWeather
    disk: DiskWeather
    happenings: tuple[Happening, ...]


def describe(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario's settings for a trace."""
    return {
        "phones": [
            f"{plan.name}: {plan.protocol} {plan.version if plan.protocol == 'envaya' else ''} "
            f"every {plan.poll_seconds} s, tags {','.join(plan.tags) or '-'}, "
            f"limit {plan.send_limit}"
            for plan in scenario.phones
        ],
        "horizon": f"{scenario.horizon_seconds:.0f} s",
        "long poll": f"{scenario.long_poll_seconds} s",
        "network": scenario.network,
        "disk": scenario.disk,
    }
