"""What others are told of a device's comings and goings, and of how it fares: not every poll."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from gateway_hub.domain.devices import Device, DeviceState
from gateway_hub.domain.events import describe_moment

BATTERY_STEP = 10
"""By how many percent a battery must have changed to be told of."""

BATTERY_LOW = 15
"""At how many percent a battery is low, which is told of at once."""

_LEAST_BETWEEN = timedelta(minutes=1)
_NETWORK_LEAST_BETWEEN = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class ToldStatus:
    """How a device fared when that was last told, at *told_ms*; None: not known."""

    battery: int | None
    power: str | None
    network: str | None
    limit: int | None
    told_ms: int

    @classmethod
    def of(cls, state: DeviceState, now_ms: int) -> "ToldStatus":
        """Return what there is to tell of *state* now."""
        return cls(
            battery=state.battery_percent,
            power=state.power,
            network=state.network,
            limit=state.send_limit_segments,
            told_ms=now_ms,
        )

    def as_values(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def is_worth_telling(told: ToldStatus, now: ToldStatus) -> bool:
    """Say whether what there is to tell *now* differs enough from what was *told*.

    A phone that wavers, between two networks or with a loose cable, is told of once in a while;
    that something is not known any more is not told.
    """
    since = timedelta(milliseconds=now.told_ms - told.told_ms)
    if _is_low(now.battery) and not _is_low(told.battery):
        return True
    if since < _LEAST_BETWEEN:
        return False
    if now.power not in {None, told.power} or now.limit not in {None, told.limit}:
        return True
    if _has_moved(told.battery, now.battery):
        return True
    return now.network not in {None, told.network} and since >= _NETWORK_LEAST_BETWEEN


def _is_low(battery: int | None) -> bool:
    return battery is not None and battery <= BATTERY_LOW


def _has_moved(before: int | None, now: int | None) -> bool:
    if now is None:
        return False
    return before is None or abs(now - before) >= BATTERY_STEP


def describe_device(device: Device, *, online: bool) -> Mapping[str, Any]:
    """Return *device* as the API tells of it, without what changes with each message."""
    state, limit = device.state, device.effective_send_limit
    return {
        "id": device.id,
        "name": device.name,
        "protocol": device.protocol.value,
        "username": device.username,
        "phone_number": device.phone_number,
        "tags": list(device.tags),
        "send_limit": {
            "segments": limit.segments,
            "seconds": limit.seconds,
            "recipients_per_month": limit.recipients_per_month,
        },
        "server_url": device.server_url,
        "region": device.region,
        "paused": device.paused,
        "online": online,
        "last_seen_at": describe_moment(state.last_seen_at),
        "app_version": state.app_version,
        "model": state.model,
        "battery_percent": state.battery_percent,
        "power": state.power,
        "network": state.network,
        "settings_version": state.settings_version,
        "clock_skew_ms": state.clock_skew_ms,
        "last_status": state.last_status,
        "created_at": describe_moment(device.created_at),
        "updated_at": describe_moment(device.updated_at),
    }
