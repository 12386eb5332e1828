"""The settings of a simulated EnvayaSMS app, which its server may change, and the forms they make.

After ``App.java``, ``HttpTask.java`` and ``ForwarderTask.java`` of 2.0.4, 2.0.5 and 3.0.1.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway_hub.adapters.envaya.simulator.answers import FIRST_JSON_VERSION
from gateway_hub.adapters.envaya.simulator.limit import MAX_PARTS
from gateway_hub.adapters.envaya.simulator.network import Task
from gateway_hub.adapters.envaya.simulator.requests import Fields, Form
from gateway_hub.domain.clock import to_epoch_ms

_FIRST_VERSION = 17
_FIRST_WITH_NETWORK = 18


@dataclass(frozen=True, slots=True)
class EnvayaOptions:
    """How the app is set up, and the phone it runs on.

    *version* is the app's code: 17 (2.0.4), 18 (2.0.5), 28 and above (3.0); those between are
    taken for 18. *poll_seconds* 0 is never. *power* is Android's number: 0 none, 1 AC, 2 USB, 4
    wireless. The app refuses to send to *refused_numbers*. *clock_ahead* is how wrong the phone's
    clock is.
    """

    phone_number: str
    password: str
    version: int = 30
    poll_seconds: int = 60
    forwards_sent: bool = True
    forwards_calls: bool = True
    refused_numbers: frozenset[str] = frozenset()
    model: str = "samsung; GT-S5570"
    battery: int | None = 87
    power: int | None = 1
    network: str | None = "WIFI"
    phone_id: str = ""
    phone_token: str = ""
    clock_ahead: timedelta = timedelta(0)


class Settings:
    """What is set in the app under its own names, and what it tells of itself in each request."""

    def __init__(self, server_url: str, options: EnvayaOptions, rng: random.Random) -> None:
        if options.version < _FIRST_VERSION:
            raise ValueError("versions before 17 (2.0.4) are not simulated")
        self.options = options
        self._rng = rng
        self.values: dict[str, str | bool | int] = {
            "server_url": server_url,
            "phone_number": options.phone_number,
            "password": options.password,
            "outgoing_interval": options.poll_seconds,
            "phone_id": options.phone_id,
            "phone_token": options.phone_token,
            "forward_sent": options.forwards_sent,
            "call_notifications": options.forwards_calls,
            "settings_version": 0,
        }

    @property
    def reads_json(self) -> bool:
        """Whether this is version 3."""
        return self.options.version >= FIRST_JSON_VERSION

    @property
    def poll_interval(self) -> timedelta | None:
        """The time between polls; None for never."""
        seconds = self._number("outgoing_interval")
        return timedelta(seconds=seconds) if seconds > 0 else None

    def text(self, name: str) -> str:
        """Return a setting that is a text."""
        return str(self.values[name])

    def is_on(self, name: str) -> bool:
        """Say whether a setting is on; of another type, it is off."""
        return self.values[name] is True

    def phone_time(self, now: datetime) -> datetime:
        """Return *now* by the phone's own clock."""
        return now + self.options.clock_ahead

    def make_form(self, task: Task, now: datetime) -> Form:
        """Return the form that tells *task*, its fields in the order of the app's version."""
        version = (("version", str(self.options.version)),)
        if self.reads_json:
            own = (*task.head, *version, *task.tail)
        else:
            own = (*task.head, *task.tail, *version)
        return Form(
            self.text("server_url"),
            self.text("password"),
            self.options.version,
            self.options.model,
            (*own, *self._common_fields(now)),
            task.log,
            task.attachments,
            f"{self._rng.getrandbits(160):040x}" if task.attachments else "",
        )

    def _common_fields(self, now: datetime) -> Fields:
        fields = [("phone_number", self.text("phone_number"))]
        if self.reads_json:
            fields += [
                ("phone_id", self.text("phone_id")),
                ("phone_token", self.text("phone_token")),
                ("send_limit", str(MAX_PARTS)),
                ("now", str(to_epoch_ms(self.phone_time(now)))),
                ("settings_version", str(self._number("settings_version"))),
                *_if_known("battery", self.options.battery),
                *_if_known("power", self.options.power),
                *_if_known("network", self.options.network),
            ]
        elif self.options.version >= _FIRST_WITH_NETWORK:
            fields += [
                ("send_limit", str(MAX_PARTS)),
                *_if_known("network", self.options.network),
            ]
        return tuple(fields)

    def _number(self, name: str) -> int:
        """Return a setting that is a number, or a text that holds one."""
        try:
            return int(self.values[name])
        except ValueError:
            return 0


def _if_known(name: str, value: object) -> Fields:
    return () if value is None else ((name, str(value)),)
