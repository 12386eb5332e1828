"""What is said to the hub and what it answers, without a socket: both clients play these.

A conversation is a generator: it yields what is to be done, a `Call` or a `Pause`, is sent what
came of it, and returns the result.
"""

import json
import random
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx

from gateway_hub.client.errors import HubProblemError, HubUnreachableError, NotAHubError
from gateway_hub.domain.webhooks.outcomes import parse_retry_after

T = TypeVar("T")

_MAY_PASS = frozenset({429, 502, 503, 504})
_FIRST_ERROR = 400
_IN_PROGRESS = "idempotency_in_progress"


@dataclass(frozen=True, slots=True)
class Call:
    """A request; a POST carries the key by which the hub knows it again."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Time to be let pass."""

    seconds: float


Outcome = Answer | httpx.TransportError | None
"""Of a call its answer, or why there is none; of a pause None."""

Conversation = Generator[Call | Pause, Outcome, T]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how patiently, a request is repeated that got no answer or 429, 502, 503, 504.

    *most_wait_seconds* is the longest wait for one of them: a hub that asks for more is not waited
    for.
    """

    attempts: int = 5
    first_wait_seconds: float = 0.5
    most_wait_seconds: float = 60.0

    def wait_before(self, attempt: int) -> float:
        """Return the seconds before *attempt*, from 2 on; drawn, so that not all come at once."""
        longest: float = self.first_wait_seconds * 2 ** (attempt - 2)
        return min(longest, self.most_wait_seconds) * random.uniform(0.5, 1.0)  # noqa: S311


def post(path: str, body: Mapping[str, Any] | None, key: str | None) -> Call:
    """Return a call that has its effect once, however often it is made."""
    return Call("POST", path, body=body, headers={"Idempotency-Key": key or str(uuid.uuid4())})


def converse(call: Call, policy: RetryPolicy) -> Conversation[Any]:
    """Return what the hub answers to *call*.

    Raises HubProblemError, NotAHubError, HubUnreachableError. Every call may be repeated: it
    changes nothing, or sets what it says, or has a key.
    """
    for attempt in range(1, policy.attempts + 1):
        outcome = yield call
        last = attempt == policy.attempts
        if isinstance(outcome, Answer):
            wait = find_wait(outcome, policy, attempt + 1)
            if last or wait is None:
                return read_answer(outcome)
        elif last:
            raise HubUnreachableError("the hub cannot be reached") from outcome
        else:
            wait = policy.wait_before(attempt + 1)
        yield Pause(wait)
    raise ValueError("a policy has at least one attempt")


def find_wait(answer: Answer, policy: RetryPolicy, attempt: int) -> float | None:
    """Return the seconds before the call is made again; None: that would not help."""
    in_progress = answer.status == httpx.codes.CONFLICT and _IN_PROGRESS.encode() in answer.content
    if answer.status not in _MAY_PASS and not in_progress:
        return None
    asked = find_retry_after(answer.headers)
    if asked is None:
        return policy.wait_before(attempt)
    return asked if asked <= policy.most_wait_seconds else None


def find_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``, which may be a number or a date."""
    asked = parse_retry_after(headers.get("retry-after", ""), datetime.now(UTC))
    return None if asked is None else asked.total_seconds()


def read_answer(answer: Answer) -> Any:
    """Return what *answer* says. Raises HubProblemError, or NotAHubError."""
    try:
        content = json.loads(answer.content) if answer.content else None
    except ValueError:
        raise NotAHubError(answer.status) from None
    if answer.status < httpx.codes.MULTIPLE_CHOICES and answer.status >= httpx.codes.OK:
        return content
    if isinstance(content, dict) and "code" in content and "status" in content:
        raise HubProblemError.from_json(content, find_retry_after(answer.headers))
    raise NotAHubError(answer.status)
