"""A simulated EnvayaSMS with a scripted server, for the tests of its parts."""

import io
import json
import random
from email.parser import BytesParser
from typing import Any

from gateway_hub.adapters.envaya.simulator import EnvayaPhone
from gateway_hub.adapters.envaya.simulator.settings import EnvayaOptions
from gateway_hub.adapters.envaya.wire import parse_urlencoded
from gateway_hub.simulator.phone import (
    HttpAnswer,
    HttpRequest,
    NoAnswer,
)
from gateway_hub.simulator.radio import PERFECT, Radio, RadioOptions
from tests.simulator.driving import START, Driver, json_answer, xml_answer

URL = "http://hub.example.test:8080/envaya"
NUMBER, PASSWORD = "+255710000001", "rosebud"
NOTHING = json_answer(b'{"events":[]}')
NOTHING_XML = xml_answer("<response></response>")
CANONICAL = (
    "<?xml version='1.0' encoding='UTF-8'?>"
    '<response><messages><sms id="m1" to="+255700000001">{}</sms></messages></response>'
)
"""The shape of XML that every version reads, with a place for the text."""

LADDER = [0, 20, 320, 3920, 90320]
"""Seconds of the five tries: 20 s, 5 min, 1 h and 1 day after one another."""


def make_phone(
    version: int = 30,
    radio: RadioOptions = PERFECT,
    *,
    url: str = URL,
    seed: int = 1,
    **options: Any,
) -> EnvayaPhone:
    """Return a phone that polls only when told to, unless *options* say otherwise."""
    rng = random.Random(seed)
    set_up = {"poll_seconds": 0} | options
    return EnvayaPhone(
        "envaya",
        url,
        rng=rng,
        radio=Radio(rng, radio),
        now=START,
        options=EnvayaOptions(NUMBER, PASSWORD, version, **set_up),
    )


def fields_of(request: HttpRequest) -> dict[str, str]:
    """Return the fields of a urlencoded form."""
    return dict(parse_urlencoded(request.body))


def actions_of(requests: list[HttpRequest]) -> list[str]:
    """Return what each request is."""
    return [fields_of(request)["action"] for request in requests]


def statuses_in(requests: list[HttpRequest]) -> list[str]:
    """Return each send_status as ``id:status(error)``."""
    told = [f for r in requests if (f := fields_of(r))["action"] == "send_status"]
    return [f"{f['id']}:{f['status']}" + (f"({f['error']})" if f["error"] else "") for f in told]


def make_message(number: int, **more: Any) -> dict[str, Any]:
    """Return message *number* as an answer holds it."""
    return {"id": f"m{number}", "to": "+255700000001", "message": f"text {number}", **more}


def send_event(*messages: dict[str, Any]) -> dict[str, Any]:
    """Return the event that hands *messages* over."""
    return {"event": "send", "messages": list(messages)}


def answer_with(*events: Any) -> HttpAnswer:
    """Return an answer with *events*."""
    return json_answer(json.dumps({"events": events}).encode())


def offering(*messages: dict[str, Any]) -> HttpAnswer:
    """Return an answer that hands *messages* over."""
    return answer_with(send_event(*messages))


class Script:
    """A server that gives scripted answers to polls, and *rest* to everything else."""

    def __init__(self, *ends: HttpAnswer | NoAnswer, rest: HttpAnswer | NoAnswer = NOTHING) -> None:
        self._ends = list(ends)
        self.rest = rest

    def __call__(self, request: HttpRequest) -> HttpAnswer | NoAnswer:
        if self._ends and b"action=outgoing" in request.body:
            return self._ends.pop(0)
        return self.rest


def offer(phone: EnvayaPhone, *ends: HttpAnswer | NoAnswer) -> Driver:
    """Have the phone poll once by hand and get *ends* one after another."""
    driver = Driver(phone, Script(*ends))
    for _ in ends:
        poll_once(driver)
    return driver


def poll_once(driver: Driver) -> list[HttpRequest]:
    """Let the phone poll once, as a change of settings makes it, and give it 10 s."""
    interval = envaya_phone(driver).settings["outgoing_interval"]
    change_settings(driver, outgoing_interval=3600)
    requests = driver.advance(seconds=10)
    change_settings(driver, outgoing_interval=interval)
    return requests


def change_settings(driver: Driver, **settings: Any) -> None:
    """Have the server change settings; it comes over RabbitMQ, so that no request is needed."""
    command = json.dumps({"event": "settings", "settings": settings}).encode()
    envaya_phone(driver).take_amqp_command(command, driver.now)


def envaya_phone(driver: Driver) -> EnvayaPhone:
    """Return the phone that *driver* drives."""
    assert isinstance(driver.phone, EnvayaPhone)
    return driver.phone


def read_multipart(
    request: HttpRequest,
) -> tuple[list[tuple[str, str]], list[tuple[str, str, str, bytes]]]:
    """Take a multipart form apart by hand."""
    boundary = dict(request.headers)["Content-Type"].partition("boundary=")[2].encode()
    pieces = request.body.split(b"--" + boundary)[1:-1]
    fields, files = [], []
    for piece in pieces:
        head, _, data = piece.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        headers = BytesParser().parse(io.BytesIO(head))
        name = str(headers.get_param("name", header="content-disposition"))
        if headers.get_filename() is None:
            fields.append((name, data.decode()))
        else:
            files.append((name, str(headers.get_filename()), str(headers["content-type"]), data))
    return fields, files
