"""The simulated EnvayaSMS on a real network: how it is set up, and what its posts say."""

import random
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from gateway_hub.adapters.envaya.simulator import EnvayaOptions, EnvayaPhone
from gateway_hub.adapters.envaya.simulator.answers import (
    FIRST_JSON_VERSION,
    is_deadly,
    read_answer,
    read_error,
)
from gateway_hub.adapters.envaya.simulator.commands import (
    AnswerError,
    Command,
    CommandCancel,
    CommandCancelAll,
    CommandLog,
    CommandSend,
    CommandSettings,
    PassedOver,
)
from gateway_hub.adapters.envaya.simulator.network import READ_TIMEOUT
from gateway_hub.simulator.kinds import HttpHabits, PhoneKind, PhoneSetup, SetupError
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest
from gateway_hub.simulator.radio import Radio
from gateway_hub.simulator.steps import Step

_POLL = "outgoing"
_FORWARDS = frozenset({"incoming", "forward_sent"})
_REPORTS = frozenset({"send_status", "device_status"})
_REDIRECTS = range(300, 400)
_CLIENT_ERRORS = range(400, 500)
_OF_AN_MMS = {"action": "incoming", "message_type": "mms"}

_VERSIONS = frozenset({"17", "18", "28", "29", "30"})
_DEFAULT_VERSION = "30"
_DEFAULT_POLL_SECONDS = 60


def make_phone(setup: PhoneSetup, rng: random.Random, radio: Radio, now: datetime) -> EnvayaPhone:
    """Return a phone whose app was set up like this. Raises SetupError."""
    if not setup.phone_number or not setup.password:
        raise SetupError("EnvayaSMS needs a phone number and a password")
    if setup.username is not None:
        raise SetupError("EnvayaSMS has no user name: its phone number names the phone")
    version = setup.app_version or _DEFAULT_VERSION
    if version not in _VERSIONS:
        raise SetupError("the version of EnvayaSMS is 17, 18 or 28 to 30")
    options = EnvayaOptions(
        setup.phone_number,
        setup.password,
        int(version),
        poll_seconds=setup.poll_seconds or _DEFAULT_POLL_SECONDS,
    )
    return EnvayaPhone(setup.name, setup.server_url, rng=rng, radio=radio, now=now, options=options)


def describe_request(request: HttpRequest) -> list[Step]:
    """Tell if the phone asks for work."""
    return [Step("asked")] if _fields(request).get("action") == _POLL else []


def describe_answer(request: HttpRequest, answer: HttpAnswer) -> list[Step]:
    """Tell what the app makes of *answer*: what it takes as told, and what it is to do."""
    fields = _fields(request)
    version = int(fields.get("version", _DEFAULT_VERSION))
    if is_deadly(answer, version):
        return [Step("crashed", http_status=answer.status)]
    if answer.status in _REDIRECTS and answer.location:
        return [Step("redirected", http_status=answer.status, detail=answer.location)]
    if answer.status != HTTPStatus.OK:
        return [Step("refused", http_status=answer.status, detail=_reason(answer, version))]
    told, commanded = _told(fields), _commanded(fields, answer, version)
    if version >= FIRST_JSON_VERSION or not any(step.is_trouble for step in commanded):
        return [*told, *commanded]
    return commanded  # before version 3 the app reads the answer first


def _fields(request: HttpRequest) -> Mapping[str, str]:
    """Return the fields of a post; of a form with files only what it is."""
    content_type = dict(request.headers).get("Content-Type", "")
    if content_type.startswith("multipart/"):
        return _OF_AN_MMS
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def _reason(answer: HttpAnswer, version: int) -> str | None:
    """Return what the app's log says, if that is more than the status."""
    if answer.status not in _CLIENT_ERRORS:
        return None
    try:
        reason = read_error(answer, version)
    except AnswerError as problem:
        reason = str(problem)
    return None if reason == f"HTTP {answer.status}" else reason


def _told(fields: Mapping[str, str]) -> list[Step]:
    action = fields.get("action")
    if action in _FORWARDS:
        contact = fields.get("from", fields.get("to"))
        return [Step("forwarded", contact=contact, text=fields.get("message"))]
    if action in _REPORTS:
        error = fields.get("error") or None
        return [
            Step("reported", wire_id=fields.get("id"), status=fields["status"], detail=error),
        ]
    return []


def _commanded(fields: Mapping[str, str], answer: HttpAnswer, version: int) -> list[Step]:
    action = fields.get("action", "")
    if version < FIRST_JSON_VERSION and action not in (_POLL, "incoming"):
        return []
    steps = list(_read(_read_answer(fields, answer, version)))
    return steps or ([Step("nothing")] if action == _POLL else [])


def _read_answer(
    fields: Mapping[str, str], answer: HttpAnswer, version: int
) -> Iterator[Command | AnswerError]:
    """Yield the commands of *answer* up to where the app stops reading, and why it does."""
    try:
        yield from read_answer(answer, fields.get("action", ""), version, fields.get("from", ""))
    except AnswerError as error:
        yield error


def _read(commands: Iterable[Command | AnswerError]) -> Iterator[Step]:
    for command in commands:
        match command:
            case CommandSend(wire_id, to, text):
                yield Step("given", wire_id=wire_id, contact=to, text=text)
            case CommandCancel(wire_id):
                yield Step("commanded", wire_id=wire_id, detail="cancel")
            case CommandCancelAll():
                yield Step("commanded", detail="cancel all")
            case CommandLog(line):
                yield Step("commanded", text=line, detail="log")
            case PassedOver(warning):
                detail = f"the app passes over it and only logs {warning!r}"
                yield Step("not_understood", http_status=HTTPStatus.OK, detail=detail)
            case CommandSettings(settings):
                yield Step("commanded", text=", ".join(sorted(settings)), detail="settings")
            case AnswerError():
                yield Step("not_understood", http_status=HTTPStatus.OK, detail=str(command))


KIND = PhoneKind(
    make_phone,
    describe_request,
    describe_answer,
    READ_TIMEOUT.total_seconds(),
    # Those of Apache's client, which Android up to 5 has.
    HttpHabits(keeps_url=True, takes_torn=True),
)
