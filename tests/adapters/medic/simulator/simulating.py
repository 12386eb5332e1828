"""A simulated CHT app with a scripted server, for the tests of its parts."""

import json
import random
from typing import Any

from gateway_hub.adapters.medic.simulator import MedicOptions, MedicPhone
from gateway_hub.simulator.phone import (
    HttpAnswer,
    HttpRequest,
    NoAnswer,
)
from gateway_hub.simulator.radio import PERFECT, Radio, RadioOptions
from tests.simulator.driving import START, Driver, json_answer

EMPTY = json_answer(b'{"messages":[]}')
ERROR = json_answer(b'{"error":true}', 500)
URL = "http://gateway:topSecret@hub.example.test:8080/medic"


def make_phone(
    url: str = URL,
    radio: RadioOptions = PERFECT,
    options: MedicOptions | None = None,
    seed: int = 1,
) -> MedicPhone:
    """Return a phone that starts at START."""
    rng = random.Random(seed)
    return MedicPhone(
        "medic", url, rng=rng, radio=Radio(rng, radio), now=START, options=options or MedicOptions()
    )


def offer(*messages: dict[str, Any]) -> HttpAnswer:
    """Return an answer that hands *messages* over."""
    return json_answer(json.dumps({"messages": messages}).encode())


def make_messages(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Return *count* messages as an answer holds them."""
    numbers = range(first, first + count)
    return [{"id": f"m{n}", "to": "+255700000001", "content": f"text {n}"} for n in numbers]


def body_of(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON of a post."""
    body: dict[str, Any] = json.loads(request.body)
    return body


def updates_of(request: HttpRequest) -> list[tuple[str, ...]]:
    """Return the updates of a post as id, status and, first, any reason."""
    return [tuple(update.values())[::-1] for update in body_of(request)["updates"]]


def statuses_in(requests: list[HttpRequest]) -> list[str]:
    """Return all statuses told, in order."""
    return [update["status"] for request in requests for update in body_of(request)["updates"]]


class Script:
    """A server that gives scripted answers, then *rest* for ever."""

    def __init__(self, *ends: HttpAnswer | NoAnswer, rest: HttpAnswer | NoAnswer = EMPTY) -> None:
        self._ends = list(ends)
        self._rest = rest

    def __call__(self, _: HttpRequest) -> HttpAnswer | NoAnswer:
        return self._ends.pop(0) if self._ends else self._rest


def drive(phone: MedicPhone, *ends: HttpAnswer | NoAnswer) -> Driver:
    """Return a driver whose server gives *ends*, then empty answers."""
    return Driver(phone, Script(*ends))


def sizes_of(requests: list[HttpRequest]) -> list[tuple[int, int]]:
    """Return how many messages and updates each post held."""
    bodies = [body_of(request) for request in requests]
    return [(len(body["messages"]), len(body["updates"])) for body in bodies]


def receive_offline(driver: Driver, count: int) -> None:
    """Let SMS come in while the server cannot be reached."""
    online, driver.serve = driver.serve, lambda _: NoAnswer("refused")
    for number in range(count):
        driver.phone.receive_sms("+255700000009", f"in {number}", driver.now)
    driver.advance(seconds=0)
    driver.serve = online


def medic_phone(driver: Driver) -> MedicPhone:
    """Return the phone that *driver* drives."""
    assert isinstance(driver.phone, MedicPhone)
    return driver.phone
