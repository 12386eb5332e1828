"""Server-Sent Events: read from bytes as they come, and gone on with after a break."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway_hub.client.errors import HubUnreachableError
from gateway_hub.client.exchanges import Answer, Call, Outcome, RetryPolicy, find_wait, read_answer
from gateway_hub.client.results import Event

SILENCE_SECONDS = 45.0
"""The hub says every 15 seconds that it is there: after this long it is not."""

_ENDED = "stream.ended"
_AGAIN_SECONDS = 0.1


class Following:
    """A stream that goes on where it broke off; *cursor* is where it has come to."""

    def __init__(self, filters: Mapping[str, Any], cursor: str | None, policy: RetryPolicy) -> None:
        self.cursor = cursor
        self._filters = filters
        self._policy = policy
        self._failures = 0
        self._buffer = b""
        self._fields: dict[str, str] = {}

    def next_call(self) -> Call:
        """Return the request that goes on with it."""
        self._buffer = b""
        self._fields = {}
        cursor = {} if self.cursor is None else {"cursor": self.cursor}
        return Call("GET", "/v1/events/stream", params={**self._filters, **cursor})

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that *chunk* completes."""
        # Not with `splitlines`: texts may hold what it takes for the end of a line.
        *lines, self._buffer = (self._buffer + chunk).split(b"\n")
        for line in lines:
            event = self._take_line(line.removesuffix(b"\r").decode("utf-8"))
            if event is not None:
                yield event

    def wait_after(self, outcome: Outcome) -> float:
        """Return the seconds to wait before the next call. *outcome* None: the stream ended.

        Raises HubProblemError, NotAHubError, and once it has failed often enough
        HubUnreachableError.
        """
        if outcome is None:
            return _AGAIN_SECONDS
        self._failures += 1
        last = self._failures >= self._policy.attempts
        if not isinstance(outcome, Answer):
            if last:
                raise HubUnreachableError("the hub cannot be reached") from outcome
            return self._policy.wait_before(self._failures + 1)
        wait = find_wait(outcome, self._policy, self._failures + 1)
        if last or wait is None:
            read_answer(outcome)
        return wait or _AGAIN_SECONDS

    def _take_line(self, line: str) -> Event | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            earlier = self._fields.get(name) if name == "data" else None
            self._fields[name] = value if earlier is None else f"{earlier}\n{value}"
            return None
        told, self._fields = self._fields, {}
        self._failures = 0
        self.cursor = told.get("id") or self.cursor
        if "data" not in told or told.get("event") == _ENDED:
            return None
        return Event.from_json(json.loads(told["data"]), self.cursor)
