"""The simulated apps on the phones: built by plan, with a radio that gets well, and looked into."""

import random
from datetime import datetime

from gateway_hub.adapters.envaya.simulator import EnvayaOptions, EnvayaPhone
from gateway_hub.adapters.envaya.simulator.inbound import State
from gateway_hub.adapters.medic.simulator import MedicOptions, MedicPhone
from gateway_hub.adapters.medic.simulator.outbox import WireStatus
from gateway_hub.domain.devices import Protocol
from gateway_hub.simulator.radio import PERFECT, PartOutcome, Radio
from tests.simulation.scenario import PhonePlan

App = MedicPhone | EnvayaPhone

PASSWORD = "a-password-of-the-simulation"
_HOST = "hub.example.test"
ENVAYA_URL = f"http://{_HOST}/envaya"

_MEDIC_TRIES = frozenset({WireStatus.UNSENT, WireStatus.PENDING})
_ENVAYA_TRIES = frozenset({State.QUEUED, State.BUSY, State.SCHEDULED})


class HealingRadio(Radio):
    """A radio that works perfectly once it is healed."""

    def __init__(self, rng: random.Random, plan: PhonePlan) -> None:
        super().__init__(rng, plan.radio)
        self._well = Radio(rng, PERFECT)
        self.is_healed = False

    def send(self, parts: int, at: datetime, *, airplane: bool = False) -> tuple[PartOutcome, ...]:
        """Return what becomes of each part."""
        if self.is_healed:
            return self._well.send(parts, at, airplane=airplane)
        return super().send(parts, at, airplane=airplane)


def username_of(name: str) -> str:
    """Return the user name of a CHT phone."""
    return f"phone-{name}"


def number_of(name: str) -> str:
    """Return the number of an EnvayaSMS phone."""
    return f"+2557100000{ord(name)}"


def build_app(plan: PhonePlan, radio: Radio, rng: random.Random, now: datetime) -> App:
    """Return the app of a phone, switched on *now*."""
    if plan.protocol is Protocol.MEDIC:
        url = f"http://{username_of(plan.name)}:{PASSWORD}@{_HOST}/medic"
        medic = MedicOptions(poll_seconds=plan.poll_seconds, clock_ahead=plan.clock_ahead)
        return MedicPhone(plan.name, url, rng=rng, radio=radio, now=now, options=medic)
    envaya = EnvayaOptions(
        number_of(plan.name),
        PASSWORD,
        plan.version,
        poll_seconds=plan.poll_seconds,
        clock_ahead=plan.clock_ahead,
    )
    return EnvayaPhone(plan.name, ENVAYA_URL, rng=rng, radio=radio, now=now, options=envaya)


def known_ids(app: App) -> set[str]:
    """Return the wire ids in the app's list of messages to send."""
    if isinstance(app, MedicPhone):
        return set(app.messages)
    return {sms.id for sms in app.outbound if sms.id is not None}


def is_working_on(app: App, wire_id: str) -> bool:
    """Say whether the app will still try to send a message by itself."""
    if isinstance(app, MedicPhone):
        sms = app.messages.get(wire_id)
        return sms is not None and sms.status in _MEDIC_TRIES
    return any(sms.id == wire_id and sms.state in _ENVAYA_TRIES for sms in app.outbound)
