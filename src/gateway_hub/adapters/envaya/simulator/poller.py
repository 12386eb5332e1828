"""When a simulated EnvayaSMS app asks its server for messages. After ``App.java`` of 3.0.1."""

from datetime import datetime

from gateway_hub.adapters.envaya.simulator.link import ServerLink
from gateway_hub.adapters.envaya.simulator.log import AppLog
from gateway_hub.adapters.envaya.simulator.network import Task
from gateway_hub.adapters.envaya.simulator.settings import Settings


class Poller:
    """One poll at a time; those asked for meanwhile are one poll after it."""

    def __init__(self, settings: Settings, log: AppLog, link: ServerLink) -> None:
        self.next_tick_at: datetime | None = None
        self._settings = settings
        self._log = log
        self._link = link
        self._is_polling = False
        self._is_wanted = False

    def restart(self, now: datetime) -> None:
        """Forget the poll under way and begin anew."""
        self.stop()
        self.set_alarm(now)

    def stop(self) -> None:
        """Forget the poll under way and begin none."""
        self._is_polling = self._is_wanted = False
        self.next_tick_at = None

    def set_alarm(self, now: datetime) -> None:
        """Poll now and at each interval; the line of the log is how a server sees a restart."""
        interval = self._settings.poll_interval
        self.next_tick_at = None if interval is None else now
        if interval is None:
            self._log.add("Not checking for outgoing messages.", now)
        else:
            seconds = int(interval.total_seconds())
            self._log.add(f"Checking for outgoing messages every {seconds} sec", now)
        if self._settings.reads_json:
            self._log.add("Real-time connection disabled", now)

    def run(self, now: datetime) -> None:
        """Poll if it is time, and set the tick after *now*: an alarm that is late rings once."""
        interval = self._settings.poll_interval
        if interval is None or self.next_tick_at is None or self.next_tick_at > now:
            return
        self.next_tick_at += ((now - self.next_tick_at) // interval + 1) * interval
        self.poll(now)

    def poll(self, now: datetime) -> None:
        """Ask for messages."""
        if self._is_polling:
            self._is_wanted = True
            return
        self._is_polling = True
        what = "messages" if self._settings.reads_json else "outgoing messages"
        self._log.add(f"Checking for {what}", now)
        self._link.start(Task("outgoing", (("action", "outgoing"),)), now)

    def finish(self, now: datetime) -> None:
        """End a poll, and poll again if that was asked for during it."""
        self._is_polling = False
        if self._is_wanted:
            self._is_wanted = False
            self.poll(now)
