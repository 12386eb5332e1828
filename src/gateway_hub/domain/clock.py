"""Time as the hub uses it: aware UTC in whole milliseconds, from a clock that is handed in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LAST_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last moment a datetime can hold


def system_clock() -> datetime:
    """Return the current moment, cut to whole milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def to_epoch_ms(moment: datetime) -> int:
    """Return *moment* as milliseconds since 1970, exact (no floating point)."""
    return (moment - _EPOCH) // _MILLISECOND


def from_epoch_ms(ms: int) -> datetime:
    """Return the moment *ms* milliseconds after 1970.

    Raises ValueError outside 1970 to 9999: no phone clock, however wrong, means such a time.
    """
    if not 0 <= ms <= _LAST_MS:
        raise ValueError("time is outside the years 1970 to 9999")
    return _EPOCH + timedelta(milliseconds=ms)


def format_rfc3339(moment: datetime) -> str:
    """Return *moment* as RFC 3339 with milliseconds and ``Z``: ``2026-01-31T09:30:00.000Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
