"""How many SMS EnvayaSMS lets itself send. After ``App.java`` and ``OutgoingSms.java``."""

from collections import deque
from datetime import datetime, timedelta
from itertools import islice

MAX_PARTS = 100
"""Of one message, and of all in an hour."""

_PERIOD = timedelta(hours=1, seconds=5)
_MILLISECOND = timedelta(milliseconds=1)


class HourlyLimit:
    """The parts sent in the last hour, kept in memory only."""

    def __init__(self) -> None:
        self._sent_at: deque[datetime] = deque()

    def count(self, parts: int, now: datetime) -> datetime | None:
        """Count *parts* if they may be sent now; else return when they may be."""
        while self._sent_at and now - self._sent_at[0] > _PERIOD:
            self._sent_at.popleft()
        too_many = len(self._sent_at) + parts - MAX_PARTS
        if too_many <= 0:
            self._sent_at.extend([now] * parts)
            return None
        limiting = next(islice(self._sent_at, too_many - 1, None))
        return limiting + _PERIOD + _MILLISECOND
