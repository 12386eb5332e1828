"""What there is to know of a kind of phone to run one on a real network."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway_hub.simulator.phone import HttpAnswer, HttpRequest, SimulatedPhone
from gateway_hub.simulator.radio import Radio
from gateway_hub.simulator.steps import Step


class SetupError(ValueError):
    """The app could not be set up like this."""


@dataclass(frozen=True, slots=True)
class PhoneSetup:
    """What a person types into the app, and which app it is.

    *server_url* may hold user name and password for an app that takes them there. What is None is
    as the app has it by itself.
    """

    name: str
    server_url: str
    username: str | None = None
    phone_number: str | None = None
    password: str | None = None
    app_version: str | None = None
    poll_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class HttpHabits:
    """What an app's HTTP library does otherwise than others.

    One that *keeps_url* writes host and path as they were typed, where others tidy them up. One
    that *takes_torn* takes an answer for whole that ends before its ``Content-Length``.
    """

    keeps_url: bool = False
    takes_torn: bool = False


@dataclass(frozen=True, slots=True)
class PhoneKind:
    """Phones of one protocol.

    *make* raises SetupError. *describe_request* tells what a phone does by a request,
    *describe_answer* what the app makes of the answer to one. An answer that takes longer than
    *timeout_seconds* never comes.
    """

    make: Callable[[PhoneSetup, random.Random, Radio, datetime], SimulatedPhone]
    describe_request: Callable[[HttpRequest], list[Step]]
    describe_answer: Callable[[HttpRequest, HttpAnswer], list[Step]]
    timeout_seconds: float
    habits: HttpHabits = HttpHabits()
