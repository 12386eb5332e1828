"""Requests as bytes: what phones and backends post, no two alike."""

import base64
import hashlib
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote_plus

ENVAYA_URL = "http://hub.example.test/envaya"
"""What is typed into the EnvayaSMS phones: they sign it."""

_CONTACTS = 5000


class Kind(StrEnum):
    """What a request is."""

    MEDIC = "medic"
    ENVAYA = "envaya"
    REST = "rest"
    MEDIC_POLL = "medic poll"
    ENVAYA_POLL = "envaya poll"


@dataclass(frozen=True, slots=True)
class EnvayaPhone:
    """An EnvayaSMS phone: the number that names it, and the password it signs with."""

    device_id: str
    number: str
    password: str


@dataclass(frozen=True, slots=True)
class Known:
    """Who may post to one hub: a backend by its key, CHT phones by their Basic token."""

    api_key: str
    medic: tuple[str, ...]
    envaya: tuple[EnvayaPhone, ...]


def make_requests(kind: Kind, known: Known) -> Iterator[bytes]:
    """Yield requests of *kind* for ever, the senders taking turns."""
    numbers = itertools.count(time.time_ns() // 1000)  # so that no two runs have one in common
    return _MAKERS[kind](known, numbers)


def _medic_messages(known: Known, numbers: Iterator[int]) -> Iterator[bytes]:
    for token, number in zip(itertools.cycle(known.medic), numbers, strict=False):
        body = (
            f'{{"messages":[{{"id":"m{number}","from":"{_contact(number)}",'
            f'"content":"hello from the field {number}","sms_sent":1770000000000,'
            '"sms_received":1770000001000}],"updates":[]}'
        )
        yield _post("/medic", f"Basic {token}", "application/json", body)


def _medic_polls(known: Known, numbers: Iterator[int]) -> Iterator[bytes]:
    polls = [
        _post("/medic", f"Basic {token}", "application/json", '{"messages":[],"updates":[]}')
        for token in known.medic
    ]
    for poll, _ in zip(itertools.cycle(polls), numbers, strict=False):
        yield poll


def _envaya_messages(known: Known, numbers: Iterator[int]) -> Iterator[bytes]:
    for phone, number in zip(itertools.cycle(known.envaya), numbers, strict=False):
        fields = {
            "from": _contact(number),
            "message": f"hello from the field {number}",
            "message_type": "sms",
            "timestamp": str(number // 1000),
        }
        yield envaya_post(phone, "incoming", fields)


def _envaya_polls(known: Known, numbers: Iterator[int]) -> Iterator[bytes]:
    for phone, _ in zip(itertools.cycle(known.envaya), numbers, strict=False):
        yield envaya_post(phone, "outgoing", {})


def envaya_post(phone: EnvayaPhone, action: str, fields: dict[str, str]) -> bytes:
    """Return a signed form of version 30 of the app, as of now."""
    told = {
        "action": action,
        "battery": "87",
        "log": "",
        "network": "WIFI",
        "now": str(time.time_ns() // 1_000_000),
        "phone_number": phone.number,
        "power": "1",
        "send_limit": "100",
        "settings_version": "0",
        "version": "30",
        **fields,
    }
    signed = ",".join([ENVAYA_URL, *(f"{key}={told[key]}" for key in sorted(told)), phone.password])
    digest = hashlib.sha1(signed.encode(), usedforsecurity=False).digest()
    body = "&".join(f"{key}={quote_plus(value)}" for key, value in told.items())
    headers = f"X-Request-Signature: {base64.b64encode(digest).decode()}\r\n"
    return _post("/envaya", None, "application/x-www-form-urlencoded", body, headers)


def _submissions(known: Known, numbers: Iterator[int]) -> Iterator[bytes]:
    for number in numbers:
        yield submission(known, f'"to":"{_contact(number)}","text":"hello number {number}"')


def submission(known: Known, members: str, *, project: str | None = None) -> bytes:
    """Return a message to be sent, with those members of its JSON, in another *project* or not."""
    headers = "" if project is None else f"Gateway-Hub-Project: {project}\r\n"
    authorization = f"Bearer {known.api_key}"
    return _post("/v1/messages", authorization, "application/json", f"{{{members}}}", headers)


def _contact(number: int) -> str:
    return f"+2557{number % _CONTACTS:08}"


def _post(path: str, authorization: str | None, kind: str, body: str, headers: str = "") -> bytes:
    if authorization is not None:
        headers += f"Authorization: {authorization}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: hub.example.test\r\n{headers}Content-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode("ascii")


_MAKERS: dict[Kind, Callable[[Known, Iterator[int]], Iterator[bytes]]] = {
    Kind.MEDIC: _medic_messages,
    Kind.ENVAYA: _envaya_messages,
    Kind.REST: _submissions,
    Kind.MEDIC_POLL: _medic_polls,
    Kind.ENVAYA_POLL: _envaya_polls,
}
