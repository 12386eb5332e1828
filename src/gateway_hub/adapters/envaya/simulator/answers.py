"""Which answers each version of EnvayaSMS reads at all, by their content type.

After ``HttpTask.java``, ``PollerTask.java`` and ``ForwarderTask.java`` of 2.0.4, 2.0.5 and 3.0.1.
"""

from collections.abc import Iterable
from http import HTTPStatus

from gateway_hub.adapters.envaya.simulator.commands import AnswerError, Command, PassedOver
from gateway_hub.adapters.envaya.simulator.json import read_json, read_json_error
from gateway_hub.adapters.envaya.simulator.xml import read_xml, read_xml_error
from gateway_hub.simulator.phone import HttpAnswer

FIRST_JSON_VERSION = 28
_FIRST_TYPE_CHECKING_VERSION = 18
_FIRST_CRASHING_VERSION = 18
_WITHOUT_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def read_answer(
    answer: HttpAnswer, action: str, version: int, default_to: str
) -> Iterable[Command]:
    """Return the commands of a 200 to *action*; raises AnswerError, at once or when iterated.

    A message without recipient goes to *default_to*.
    """
    content_type = answer.content_type or ""
    reads_json = version >= FIRST_JSON_VERSION
    if reads_json and content_type.startswith("application/json"):
        return read_json(answer.body, version, default_to)
    if content_type.startswith("text/xml") or version < _FIRST_TYPE_CHECKING_VERSION:
        return read_xml(answer.body, version, default_to)
    if reads_json and action != "outgoing":
        return (PassedOver(f"Warning: Unknown response type {content_type}"),)
    raise AnswerError(f"java.lang.Exception: Invalid response type {content_type}")


def read_error(answer: HttpAnswer, version: int) -> str:
    """Return what the app logs of a 4xx; raises AnswerError if it is not of its content type."""
    content_type = answer.content_type or ""
    text: str | None = None
    if version >= FIRST_JSON_VERSION and content_type.startswith("application/json"):
        text = read_json_error(answer.body)
    elif version >= _FIRST_TYPE_CHECKING_VERSION and content_type.startswith("text/xml"):
        text = read_xml_error(answer.body, version)
    return text or f"HTTP {answer.status}"


def is_deadly(answer: HttpAnswer, version: int) -> bool:
    """Say whether the app dies of *answer*: it closes a body that is not there."""
    return answer.status in _WITHOUT_BODY and version >= _FIRST_CRASHING_VERSION
