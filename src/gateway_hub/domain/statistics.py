"""What is counted of messages: by the hour, direction and status."""

from dataclasses import dataclass
from datetime import datetime

from gateway_hub.domain.clock import from_epoch_ms, to_epoch_ms
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction

_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Count:
    """How many messages, with how many segments, reached *status* from *hour* on."""

    hour: int
    direction: Direction
    status: Status
    messages: int
    segments: int


def hour_of(moment: datetime) -> int:
    """Return in which hour since 1970 *moment* is."""
    return to_epoch_ms(moment) // _HOUR_MS


def start_of_hour(hour: int) -> datetime:
    """Return when the hour with that number since 1970 begins."""
    return from_epoch_ms(hour * _HOUR_MS)
