"""The reply to an SMS that a webhook endpoint may give in its answer to ``message.received``."""

import json
from dataclasses import dataclass

from gateway_hub.domain.text import find_unsendable
from gateway_hub.domain.webhooks.outcomes import Answer

LONGEST_REPLY = 16_000  # what POST /v1/messages takes


@dataclass(frozen=True, slots=True)
class Reply:
    """A text to send, or the *problem* with what seems to be meant as one, or neither."""

    text: str | None = None
    problem: str | None = None


_NONE = Reply()


def find_reply(answer: Answer) -> Reply:
    """Return the reply in ``{"reply": {"text": "…"}}``. Any other answer is none, and no fault."""
    if answer.is_encoded:
        return Reply(problem="the answer is compressed, and is not unpacked")
    given = _read_object(answer.body)
    if given is None:
        cut = not answer.is_whole and answer.body.lstrip().startswith(b"{")
        return Reply(problem="the answer is longer than 64 KiB") if cut else _NONE
    reply = given.get("reply")
    if reply is None:
        return _NONE
    return _check(reply.get("text") if isinstance(reply, dict) else None)


def _read_object(body: bytes) -> dict[str, object] | None:
    try:
        given = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return given if isinstance(given, dict) else None


def _check(text: object) -> Reply:
    if not isinstance(text, str):
        return Reply(problem='a reply is an object with a text: {"reply": {"text": "…"}}')
    if not text:
        return Reply(problem="the text of the reply is empty")
    if len(text) > LONGEST_REPLY:
        return Reply(problem=f"the text of the reply is longer than {LONGEST_REPLY} characters")
    if find_unsendable(text):
        return Reply(problem="the text of the reply holds characters that no phone can send")
    return Reply(text=text)
