"""The simulated CHT gateway app on a real network: how it is set up, and what its posts say."""

import json
import random
import re
from datetime import datetime
from typing import Any

from gateway_hub.adapters.medic.simulator import MedicOptions, MedicPhone
from gateway_hub.adapters.medic.simulator.http import DEFAULT_USER_AGENT, parse_success
from gateway_hub.simulator.android_json import to_string
from gateway_hub.simulator.kinds import PhoneKind, PhoneSetup, SetupError
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest
from gateway_hub.simulator.radio import Radio
from gateway_hub.simulator.steps import Step, StepName

_TIMEOUT_SECONDS = 300.0
"""The app has no time limit of its own; a phone that hangs for longer is of no use to anybody."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_FIRST_ENCODING = (1, 7, 1)
_REDIRECTS = range(300, 400)
_FIRST_ERROR = 400


def make_phone(setup: PhoneSetup, rng: random.Random, radio: Radio, now: datetime) -> MedicPhone:
    """Return a phone whose app was set up like this. Raises SetupError."""
    return MedicPhone(
        setup.name,
        typed_url(setup),
        rng=rng,
        radio=radio,
        now=now,
        options=MedicOptions(
            poll_seconds=setup.poll_seconds or MedicOptions().poll_seconds,
            user_agent=_user_agent(setup.app_version),
            encodes_password=_version(setup.app_version) >= _FIRST_ENCODING,
        ),
    )


def typed_url(setup: PhoneSetup) -> str:
    """Return the server URL with user name and password, as the app wants it."""
    scheme, _, rest = setup.server_url.partition("://")
    if setup.username is None and setup.password is None:
        return setup.server_url
    if "@" in rest.partition("/")[0]:
        raise SetupError("the server URL holds a user name already")
    return f"{scheme}://{setup.username or ''}:{setup.password or ''}@{rest}"


def _user_agent(app_version: str | None) -> str:
    if app_version is None:
        return DEFAULT_USER_AGENT
    return f"{DEFAULT_USER_AGENT.rpartition('/')[0]}/v{app_version.removeprefix('v')}"


def _version(app_version: str | None) -> tuple[int, ...]:
    if app_version is None:
        return _FIRST_ENCODING
    found = _VERSION.fullmatch(app_version)
    if found is None:
        raise SetupError("the app's version is like 1.8.1")
    return tuple(int(number or 0) for number in found.groups())


def describe_request(request: HttpRequest) -> list[Step]:
    """Tell that the phone asks for work, as it does with every post."""
    return [Step("asked")] if request.method == "POST" else []


def describe_answer(request: HttpRequest, answer: HttpAnswer) -> list[Step]:
    """Tell what the app makes of *answer*: what it takes as told, and what it is to send."""
    if answer.status in _REDIRECTS:
        return [Step("redirected", http_status=answer.status, detail=answer.location)]
    document = parse_success(answer)
    if isinstance(document, str):
        # The app's words begin with the status.
        detail = document.partition(f"{answer.status}: ")[2]
        is_refused = answer.status >= _FIRST_ERROR
        name: StepName = "refused" if is_refused else "not_understood"
        return [Step(name, http_status=answer.status, detail=detail)]
    return [*_told(request), *_given(document)]


def _told(request: HttpRequest) -> list[Step]:
    if not request.body:
        return []
    body: dict[str, list[dict[str, Any]]] = json.loads(request.body)
    return [
        *(
            Step("forwarded", wire_id=item["id"], contact=item["from"], text=item["content"])
            for item in body["messages"]
        ),
        *(
            Step("reported", wire_id=item["id"], status=item["status"], detail=item.get("reason"))
            for item in body["updates"]
        ),
    ]


def _given(document: dict[str, object]) -> list[Step]:
    messages = document.get("messages")
    items = messages if isinstance(messages, list) else []
    given = [_describe_item(item) for item in items]
    return given or [Step("nothing")]


def _describe_item(item: object) -> Step:
    if isinstance(item, dict) and {"id", "to", "content"} <= item.keys():
        return Step(
            "given",
            wire_id=to_string(item["id"]),
            contact=to_string(item["to"]),
            text=to_string(item["content"]),
        )
    return Step("not_understood", detail="a message without id, to or content")


KIND = PhoneKind(make_phone, describe_request, describe_answer, _TIMEOUT_SECONDS)
