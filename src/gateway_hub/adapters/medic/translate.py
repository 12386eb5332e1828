"""The CHT gateway's words and the hub's. Each item of a post is read on its own: a bad one is put
aside and costs only itself, since an error would make the phone repeat its whole batch for ever.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from gateway_hub.adapters.medic.wire import WirePost
from gateway_hub.domain.clock import from_epoch_ms
from gateway_hub.domain.devices import PhoneFacts
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageType
from gateway_hub.domain.phone_posts import (
    ForwardedMessage,
    PhonePost,
    PhoneReport,
    QuarantinedItem,
    QuarantineKind,
)
from gateway_hub.domain.text import clean_inbound_text

# UNSENT is not in the app's documentation, yet it is sent for every message the app has stored and
# again for each failure after which it tries by itself: the only receipt of a hand-over.
STATUSES: Mapping[str, Status] = {
    "UNSENT": Status.ACCEPTED,
    "PENDING": Status.PENDING,
    "SENT": Status.SENT,
    "DELIVERED": Status.DELIVERED,
    "FAILED": Status.FAILED,
}

MAX_ID_CHARS = 255
MAX_CONTACT_CHARS = 255
MAX_TEXT_CHARS = 100_000
MAX_STATUS_CHARS = 64
MAX_REASON_CHARS = 500
MAX_RAW_CHARS = 16 * 1024
_MAX_TIME_DIGITS = 19  # those of the largest signed 64-bit number
_MAX_USER_AGENT_CHARS = 512
_MAX_FACT_CHARS = 64

T = TypeVar("T")


class _BadItemError(Exception):
    """One item that cannot be taken; its text says why and repeats no input."""


def translate_post(wire: WirePost, *, facts: PhoneFacts) -> PhonePost:
    """Return *wire* in the hub's words, everything in the order it came.

    Repeated ids are all kept: only who stores them can tell a repeat from a conflict.
    """
    messages, bad_messages = _translate_each(
        wire.messages, _translate_message, QuarantineKind.INVALID_MESSAGE
    )
    reports, bad_reports = _translate_each(
        wire.updates, _translate_update, QuarantineKind.INVALID_REPORT
    )
    return PhonePost(messages, reports, bad_messages + bad_reports, facts)


def _translate_each(
    items: Iterable[object], translate: Callable[[object], T], kind: QuarantineKind
) -> tuple[tuple[T, ...], tuple[QuarantinedItem, ...]]:
    good: list[T] = []
    bad: list[QuarantinedItem] = []
    for item in items:
        try:
            good.append(translate(item))
        except _BadItemError as error:
            raw = _clean(_render_compact(item)[:MAX_RAW_CHARS])
            bad.append(QuarantinedItem(kind, str(error), raw))
    return tuple(good), tuple(bad)


def _translate_message(item: object) -> ForwardedMessage:
    fields = _read_object(item)
    text, original = clean_inbound_text(_read_string(fields, "content", MAX_TEXT_CHARS))
    return ForwardedMessage(
        type=MessageType.SMS,
        contact=_clean(_read_string(fields, "from", MAX_CONTACT_CHARS)),
        text=text,
        dedupe_key=_read_id(fields),
        sms_sent_at=_read_time(fields, "sms_sent"),
        sms_received_at=_read_time(fields, "sms_received"),
        text_original=original,
    )


def _translate_update(item: object) -> PhoneReport:
    fields = _read_object(item)
    wire_id = _read_id(fields)
    word = fields.get("status")
    if not isinstance(word, str):
        raise _BadItemError("status is missing or not a string")
    return PhoneReport(
        wire_id=wire_id,
        status=STATUSES.get(word),
        raw_status=_clean(word[:MAX_STATUS_CHARS]),
        reason=_read_reason(fields.get("reason")),
    )


def _read_object(item: object) -> dict[str, object]:
    if not isinstance(item, dict):
        raise _BadItemError("item is not an object")
    return item


def _read_id(fields: Mapping[str, object]) -> str:
    value = fields.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise _BadItemError("id is missing, empty or not a string")
    # Cleaning an id could make two of them one, and the second message would be lost as a repeat.
    if len(value) > MAX_ID_CHARS or clean_inbound_text(value)[1] is not None:
        raise _BadItemError("id is too long or holds characters that cannot be stored")
    return value


def _read_string(fields: Mapping[str, object], name: str, max_chars: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _BadItemError(f"{name} is missing or not a string")
    if len(value) > max_chars:
        raise _BadItemError(f"{name} is longer than {max_chars} characters")
    return value


def _read_time(fields: Mapping[str, object], name: str) -> datetime | None:
    """Return the time in epoch milliseconds under *name*; zero means that the app has none."""
    value = fields.get(name)
    if value is None:
        return None
    ms = _whole_number(value)
    if ms is None:
        raise _BadItemError(f"{name} is not a whole number of milliseconds")
    if ms == 0:
        return None
    try:
        return from_epoch_ms(ms)
    except ValueError:
        raise _BadItemError(f"{name} is outside the years 1970 to 9999") from None


def _whole_number(value: object) -> int | None:
    if isinstance(value, str):
        digits = value.isascii() and value.isdigit() and len(value) <= _MAX_TIME_DIGITS
        return int(value) if digits else None
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _read_reason(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else _render_compact(value)
    return _clean(text[:MAX_REASON_CHARS])


def _render_compact(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return "(nested too deeply to be shown)"


def _clean(text: str) -> str:
    return clean_inbound_text(text)[0]


@lru_cache(maxsize=1024)
def parse_user_agent(user_agent: str | None) -> tuple[str | None, str | None]:
    """Return app version and phone model of a ``User-Agent``; None for what it does not tell.

    The app writes Android's own agent, then its application id and version:
    ``Dalvik/2.1.0 (Linux; U; Android 9; SM-A105F Build/PPR1) medic.gateway.alert.generic/v1.8.1``.
    """
    if user_agent is None or len(user_agent) > _MAX_USER_AGENT_CHARS:
        return None, None
    platform, _, product = user_agent.strip().rpartition(" ")
    return _find_app_version(product), _find_model(platform)


def _find_app_version(product: str) -> str | None:
    name, _, version = product.rpartition("/")
    # Application ids have a dot; the names browsers and tools give themselves have none.
    if "." not in name:
        return None
    if version[:1] in {"v", "V"} and version[1:2].isdigit():
        version = version[1:]
    return _printable(version)


def _find_model(platform: str) -> str | None:
    _, _, after_android = platform.rpartition(")")[0].partition("; Android ")
    _, _, model_and_build = after_android.partition(";")
    model, build_mark, _ = model_and_build.rpartition(" Build/")
    return _printable(model if build_mark else model_and_build)


def _printable(text: str) -> str | None:
    shown = "".join(char for char in text[:_MAX_FACT_CHARS] if char.isprintable()).strip()
    return shown or None
