"""EnvayaSMS's words and ours: a typed post becomes what the services understand. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from gateway_hub.adapters.envaya.render import takes_work, uses_json
from gateway_hub.adapters.envaya.wire import FORWARDING, Action, MmsPart, WirePost, find_field
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
    StoredPart,
)
from gateway_hub.domain.text import clean_inbound_text

MAX_WIRE_ID_LENGTH = 255

_MESSAGE_TYPES = {"sms": MessageType.SMS, "mms": MessageType.MMS, "call": MessageType.CALL}
# "queued" exists in the app's code and is never sent.
_STATUSES = {"sent": Status.SENT, "failed": Status.FAILED, "cancelled": Status.CANCELLED}
# Android's own values, whatever the app's documentation says.
_POWER = {0: "none", 1: "ac", 2: "usb", 4: "wireless"}

# What no later try can mend. Any other error is one try of five over about 25 hours.
_VALIDATION_ERROR = re.compile(
    r"Message body is empty"
    r"|Destination address is empty"
    r"|Destination address is not allowed"
    r"|Message has too many parts \([0-9]+\)"
)
_USER_AGENT = re.compile(r"EnvayaSMS/([^\s(]{1,32})(?: \(Android; SDK [0-9]+; (.+)\)\Z)?")

# The app logs when, or that it does not, ask for messages: at its start, and when that is changed
# in its settings (``setOutgoingMessageAlarm`` of ``App.java``).
_STARTED = re.compile(r"[Cc]hecking for outgoing messages(?: every |\.)")

_MAX_BATTERY = 100
_MAX_INT32 = 2**31 - 1  # the app's own integers; a larger one is no fact
_MAX_NETWORK = 32
_MAX_STATUS = 64
_MAX_LABEL = 255
_MAX_REASON = 500
_MAX_RAW = 2000


def translate_post(
    wire: WirePost,
    *,
    parts: tuple[StoredPart, ...],
    user_agent: str | None,
    signature: str,
    device_id: str,
) -> PhonePost:
    """Return what *wire* says; *parts* are its stored MMS parts, in the order of ``mms_parts``."""
    messages: tuple[ForwardedMessage, ...] = ()
    if wire.action in FORWARDING:
        messages = (_forwarded_message(wire, parts, signature, device_id),)
    said = _report(wire) if wire.action is Action.SEND_STATUS else None
    return PhonePost(
        messages=messages,
        reports=(said,) if isinstance(said, PhoneReport) else (),
        quarantined=(said,) if isinstance(said, QuarantinedItem) else (),
        facts=_facts(wire, user_agent),
        takes_work=takes_work(wire.action, wire.version),
        # Versions that tell no time sign every idle poll alike: equal signatures say nothing there.
        request_key=signature if wire.now is not None else None,
    )


def stored_part(part: MmsPart, *, size_bytes: int, sha256: str, storage_key: str) -> StoredPart:
    """Return *part* with what is known of its bytes; its labels are made fit to be stored."""
    return StoredPart(
        content_type=_label(part.type, _MAX_LABEL) or "application/octet-stream",
        content_id=_label(part.cid, _MAX_LABEL),
        filename=_label(part.filename, _MAX_LABEL),
        size_bytes=size_bytes,
        sha256=sha256,
        storage_key=storage_key,
    )


def compute_dedupe_key(
    wire: WirePost, parts: Sequence[StoredPart], signature: str, device_id: str
) -> str:
    """Return the key that a message has each time the phone forwards it: SHA-256 in hex.

    The protocol has no id: device, type, contact, timestamp, text and part digests make one. Left
    out is what differs from try to try (``now``, ``log``, ``battery``; file names and Content-IDs)
    and what a person may change (``phone_number``). App versions before 12 send no timestamp: the
    signature stands for it, so that only identical bytes are one message.
    """
    items = [
        b"envaya-in-1",
        device_id.encode(),
        wire.action.encode(),
        wire.message_type.encode(),
        _raw(_contact(wire)),
        _raw(find_field(wire.fields, "timestamp") or signature),
        _raw(wire.message),
        str(len(parts)).encode(),
    ]
    for part in parts:
        items += [_raw(part.content_type), part.sha256.encode()]
    return hashlib.sha256(_length_prefixed(items)).hexdigest()


def _forwarded_message(
    wire: WirePost, parts: tuple[StoredPart, ...], signature: str, device_id: str
) -> ForwardedMessage:
    sent_by_hand = wire.action is Action.FORWARD_SENT
    text, original = clean_inbound_text(wire.message)
    return ForwardedMessage(
        type=MessageType.SENT if sent_by_hand else _MESSAGE_TYPES[wire.message_type],
        contact=clean_inbound_text(_contact(wire))[0],
        text=text,
        dedupe_key=compute_dedupe_key(wire, parts, signature, device_id),
        sms_sent_at=None if wire.timestamp is None else from_epoch_ms(wire.timestamp),
        parts=parts,
        text_original=original,
    )


def _contact(wire: WirePost) -> str:
    return wire.to if wire.action is Action.FORWARD_SENT else wire.from_


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _length_prefixed(items: Iterable[bytes]) -> bytes:
    return b"".join(len(item).to_bytes(4, "big") + item for item in items)


def _report(wire: WirePost) -> PhoneReport | QuarantinedItem:
    if not wire.id:
        return _quarantined(wire, "The report names no message.")
    if len(wire.id) > MAX_WIRE_ID_LENGTH:
        return _quarantined(wire, "The report's id is too long to be one of ours.")
    status = _STATUSES.get(wire.status)
    return PhoneReport(
        wire_id=clean_inbound_text(wire.id)[0],
        status=status,
        raw_status=_label(wire.status, _MAX_STATUS) or "",
        reason=_label(wire.error, _MAX_REASON),
        gives_up=status is not Status.FAILED or _is_validation_error(wire.error),
    )


def _is_validation_error(error: str) -> bool:
    return _VALIDATION_ERROR.fullmatch(error) is not None


def _quarantined(wire: WirePost, detail: str) -> QuarantinedItem:
    raw = json.dumps({"id": wire.id, "status": wire.status, "error": wire.error})
    return QuarantinedItem(QuarantineKind.INVALID_REPORT, detail, raw[:_MAX_RAW])


def _facts(wire: WirePost, user_agent: str | None) -> PhoneFacts:
    app_version, model = _parse_user_agent(user_agent or "")
    if app_version is None and wire.version is not None:
        app_version = str(wire.version)
    status = wire.status if wire.action is Action.DEVICE_STATUS else ""
    return PhoneFacts(
        app_version=app_version,
        model=model,
        battery_percent=_bounded(wire.battery, 0, _MAX_BATTERY),
        power=_power(wire.power, status),
        network=_label(wire.network, _MAX_NETWORK),
        settings_version=_bounded(wire.settings_version, 0, _MAX_INT32),
        send_limit_segments=_bounded(wire.send_limit, 1, _MAX_INT32),
        phone_clock_at=_phone_clock(wire.now),
        status=_label(status, _MAX_STATUS),
        takes_commands=None if wire.version is None else uses_json(wire.version),
        has_started=wire.action is Action.AMQP_STARTED or bool(_STARTED.search(wire.log)),
    )


def _parse_user_agent(user_agent: str) -> tuple[str | None, str | None]:
    """Return version name and model of ``EnvayaSMS/3.0.1 (Android; SDK 10; samsung; GT-S5570)``.

    Before 2.0.5 there is no model, before 2.0.2 no User-Agent.
    """
    found = _USER_AGENT.match(user_agent)
    if found is None:
        return None, None
    maker, _, model = (found[2] or "").partition("; ")
    return found[1], _label(f"{maker} {model}".strip(), _MAX_LABEL)


def _power(code: int | None, status: str) -> str | None:
    """Return where the phone's power comes from; *status* is news, *code* may be older than it."""
    told = None if code is None else _POWER.get(code)
    if status == "power_disconnected":
        return "none"
    if status == "power_connected" and told == "none":
        return None
    return told


def _phone_clock(now_ms: int | None) -> datetime | None:
    try:
        return None if now_ms is None else from_epoch_ms(now_ms)
    except ValueError:
        return None


def _bounded(number: int | None, lowest: int, highest: int) -> int | None:
    return number if number is not None and lowest <= number <= highest else None


def _label(text: str | None, limit: int) -> str | None:
    """Return *text* as it can be stored, cut to *limit* characters; None if there is none."""
    return clean_inbound_text(text or "")[0][:limit] or None
