"""The log of a simulated EnvayaSMS app, as far as it is sent to the server. After ``App.java``."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway_hub.adapters.envaya.simulator.quoting import quote_as_java

_STAMP_AFTER = timedelta(seconds=30)
_STAMP_AFTER_BEFORE_3 = timedelta(minutes=1)
_NOON = 12


@dataclass(frozen=True, slots=True)
class LogText:
    """A piece of the log, and how it stands in a form.

    Both are kept, since a log grows for as long as the server is away, and is sent at each poll.
    """

    plain: str = ""
    quoted: str = ""

    def __add__(self, later: "LogText") -> "LogText":
        return LogText(self.plain + later.plain, self.quoted + later.quoted)


NO_LOG = LogText()


class AppLog:
    """What was logged since the last request that took it.

    There is no limit to it: while requests fail, it grows. *clock_ahead* is how wrong the times in
    it are.
    """

    def __init__(self, *, is_version_3: bool, clock_ahead: timedelta) -> None:
        self._clock_ahead = clock_ahead
        self._stamp_after = _STAMP_AFTER if is_version_3 else _STAMP_AFTER_BEFORE_3
        self._text = NO_LOG
        self._stamped_at: datetime | None = None

    def add(self, line: str, now: datetime) -> None:
        """Add a line, and the time if it was not told for a while."""
        if self._stamped_at is None or now - self._stamped_at > self._stamp_after:
            self._stamped_at = now
            line = f"[{_format_time(now + self._clock_ahead)}]\n{line}"
        line += "\n"
        self._text += LogText(line, quote_as_java(line))

    def take(self) -> LogText:
        """Return the text and keep nothing."""
        taken, self._text = self._text, NO_LOG
        return taken

    def put_back(self, text: LogText) -> None:
        """Take back what a failed request had taken."""
        self._text = text + self._text

    def clear(self) -> None:
        """Forget everything."""
        self._text, self._stamped_at = NO_LOG, None


def _format_time(now: datetime) -> str:
    half = "AM" if now.hour < _NOON else "PM"
    return f"{now.hour % _NOON or _NOON}:{now.minute:02}:{now.second:02} {half}"
