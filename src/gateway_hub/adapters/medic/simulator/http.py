"""What the CHT gateway app puts on the wire: its URL, headers and bodies, as Android writes them.

After ``SimpleJsonClient2.java`` and ``WebappPoller.java`` of medic/cht-gateway at a122e03.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from json import JSONEncoder
from typing import Literal
from urllib.parse import quote, urlsplit

from gateway_hub.adapters.medic.simulator.outbox import StatusUpdate
from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.simulator.android_json import JsonError, parse_object, to_string
from gateway_hub.simulator.phone import Headers, HttpAnswer, NoAnswer

_AUTH_URL = re.compile(r"(.+)://([^:]*):(.*)@(.*)", re.DOTALL)
_UNRESERVED = "_-!.~'()*"  # of android.net.Uri.encode
_FIRST_ERROR = 400
_SUCCESSES = range(200, 300)

_encoder = JSONEncoder(ensure_ascii=False, separators=(",", ":"))

DEFAULT_USER_AGENT = (
    "Dalvik/2.1.0 (Linux; U; Android 9; SM-A105F Build/PPR1.180610.011)"
    " medic.gateway.alert.generic/v1.8.1"
)

Verification = Literal["ok", "unauthorised", "app_not_found", "server_not_found"]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go: the URL without what proves who sends them, and the header that does."""

    url: str
    authorization: str | None


@dataclass(frozen=True, slots=True)
class InboundSms:
    """An SMS the phone received, with the times the app tells of it."""

    id: str
    contact: str
    content: str
    sent_at: datetime
    received_at: datetime


def parse_server_url(typed: str, *, encodes_password: bool = True) -> Target:
    """Return what the app makes of the URL *typed* into it.

    Since v1.7.1 the password is percent-encoded first, and never decoded again; whatever follows
    an ``@`` elsewhere in the URL is taken for the host.
    """
    found = _AUTH_URL.fullmatch(typed) if encodes_password else None
    if found is not None:
        scheme, username, password, rest = found.groups()
        typed = f"{scheme}://{username}:{quote(password, safe=_UNRESERVED)}@{rest}"
    parts = urlsplit(typed)
    userinfo, mark, host = parts.netloc.rpartition("@")
    url = parts._replace(netloc=host, path=parts.path or "/", fragment="").geturl()
    return Target(url, _basic(userinfo) if mark else None)


def _basic(userinfo: str) -> str:
    return "Basic " + b64encode(userinfo.encode("latin-1", "replace")).decode("ascii")


def get_headers(target: Target, user_agent: str) -> Headers:
    """Return the headers of a GET."""
    return (
        ("User-Agent", user_agent),
        *_authorization(target),
        ("Content-Type", "application/json"),
        ("Accept-Encoding", "gzip"),
    )


def post_headers(target: Target, user_agent: str) -> Headers:
    """Return the headers of a POST."""
    return (
        ("User-Agent", user_agent),
        *_authorization(target),
        ("Accept", "application/json"),
        ("Accept-Charset", "utf-8"),
        ("Cache-Control", "no-cache"),
        ("Content-Type", "application/json"),
        ("Accept-Encoding", "gzip"),
    )


def _authorization(target: Target) -> Headers:
    return (("Authorization", target.authorization),) if target.authorization else ()


def render_post(messages: Iterable[InboundSms], updates: Iterable[StatusUpdate]) -> bytes:
    """Return a body as ``org.json`` writes it: slashes escaped, half a surrogate pair as ``?``."""
    body = {
        "messages": [_message(message) for message in messages],
        "updates": [_update(update) for update in updates],
    }
    return _encoder.encode(body).replace("/", "\\/").encode("utf-8", "replace")


def _message(message: InboundSms) -> dict[str, object]:
    return {
        "sms_received": to_epoch_ms(message.received_at),
        "sms_sent": to_epoch_ms(message.sent_at),
        "content": message.content,
        "from": message.contact,
        "id": message.id,
    }


def _update(update: StatusUpdate) -> dict[str, object]:
    told: dict[str, object] = {"status": update.status.value, "id": update.sms_id}
    if update.reason is not None:
        told["reason"] = update.reason
    return told


def parse_success(answer: HttpAnswer) -> dict[str, object] | str:
    """Return the object of an answer that the app takes for success, else what its log says."""
    if answer.status >= _FIRST_ERROR:
        return f"Received error from server: {answer.status}: {_error_text(answer.body)}"
    try:
        document = parse_object(answer.body)
    except JsonError as error:
        return f"Received error from server: {answer.status}: {error}"
    if answer.status not in _SUCCESSES:
        return f"Received error from server: {answer.status}: {_message_of(document)}"
    return document


def _error_text(body: bytes) -> str:
    try:
        return _message_of(parse_object(body))
    except JsonError:
        return body.decode("utf-8", "replace")


def _message_of(document: dict[str, object]) -> str:
    return to_string(document["message"]) if "message" in document else "unknown"


def read_verification(end: HttpAnswer | NoAnswer) -> Verification:
    """Return what the settings screen says of the answer to its GET."""
    if isinstance(end, NoAnswer):
        return "server_not_found"
    if end.status == HTTPStatus.UNAUTHORIZED:
        return "unauthorised"
    document = parse_success(end)
    if isinstance(document, str):
        return "app_not_found"
    claim = document.get("medic-gateway")
    is_true = claim is True or (isinstance(claim, str) and claim.lower() == "true")
    return "ok" if is_true else "app_not_found"
