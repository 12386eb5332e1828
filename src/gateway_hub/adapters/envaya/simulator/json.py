"""How EnvayaSMS reads JSON: command by command, up to the first mistake. After ``JsonUtils.java``.

Written apart from what the adapter renders with, as the reading of XML is.
"""

from collections.abc import Iterator

from gateway_hub.adapters.envaya.simulator.commands import (
    AnswerError,
    Command,
    CommandCancel,
    CommandCancelAll,
    CommandLog,
    CommandSend,
    CommandSettings,
)
from gateway_hub.simulator.android_json import JsonError, parse_object, to_string

_FIRST_SETTINGS_VERSION = 29
_MAX_JAVA_INT = 2**31 - 1


def read_json(body: bytes, version: int, default_to: str) -> Iterator[Command]:
    """Yield the commands of a JSON answer in order; raises AnswerError where the app stops."""
    for event in _events(_read_object(body)):
        if not isinstance(event, dict):
            raise AnswerError("an event is no JSONObject")
        yield from _read_event(event, version, default_to)


def read_json_event(body: bytes, version: int) -> Iterator[Command]:
    """Yield the commands of the one event that comes over RabbitMQ; raises AnswerError."""
    yield from _read_event(_read_object(body), version, "")


def read_json_error(body: bytes) -> str | None:
    """Return the text of an error answer; raises AnswerError if it is no JSON object."""
    error = _read_object(body).get("error")
    return to_string(error.get("message", "")) if isinstance(error, dict) else None


def _read_object(body: bytes) -> dict[str, object]:
    try:
        return parse_object(body)
    except JsonError as error:
        raise AnswerError(f"org.json.JSONException: {error}") from None


def _events(document: dict[str, object]) -> list[object]:
    events = document.get("events")
    return events if isinstance(events, list) else []


def _read_event(event: dict[str, object], version: int, default_to: str) -> Iterator[Command]:
    name = _get_string(event, "event")
    if name == "send":
        yield from _read_messages(event.get("messages"), default_to)
    elif name == "log":
        yield CommandLog(_get_string(event, "message"))
    elif name == "cancel":
        yield CommandCancel(_get_string(event, "id"))
    elif name == "cancel_all":
        yield CommandCancelAll()
    elif name == "settings" and version >= _FIRST_SETTINGS_VERSION:
        yield from _read_settings(event.get("settings"))
    else:
        yield CommandLog(f"Unknown event{name}")


def _get_string(event: dict[str, object], name: str) -> str:
    if name not in event:
        raise AnswerError(f"org.json.JSONException: No value for {name}")
    return to_string(event[name])


def _read_messages(messages: object, default_to: str) -> list[Command]:
    """Return the messages of one event: none of them if one is no object."""
    commands: list[Command] = []
    for message in messages if isinstance(messages, list) else []:
        if not isinstance(message, dict):
            raise AnswerError("a message is no JSONObject")
        commands.append(_read_message(message, default_to))
    return commands


def _read_message(message: dict[str, object], default_to: str) -> Command:
    to = _find_string(message, "to", default_to)
    if to in ("", "null"):
        return CommandLog("Received invalid SMS from server (missing recipient)")
    text = _find_string(message, "message", "")
    sms_id = None if message.get("id") is None else to_string(message["id"])
    return CommandSend(sms_id, to, text, _to_int(message.get("priority")))


def _find_string(message: dict[str, object], name: str, default: str) -> str:
    value = message.get(name)
    return default if value is None else to_string(value)


def _to_int(value: object) -> int:
    try:
        return int(float(value)) if isinstance(value, str | int | float) else 0
    except (ValueError, OverflowError):
        return 0


def _read_settings(settings: object) -> list[Command]:
    if not isinstance(settings, dict) or not settings:
        return []
    stored = {name: value for name, value in settings.items() if _is_storable(value)}
    return [CommandSettings(stored, tuple(name for name in settings if name not in stored))]


def _is_storable(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return -_MAX_JAVA_INT - 1 <= value <= _MAX_JAVA_INT
    return isinstance(value, str | bool)
