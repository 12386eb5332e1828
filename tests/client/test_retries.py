"""What the clients try again, after how long, and when they give up."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from gateway_hub.client import (
    HubProblemError,
    HubUnreachableError,
    Message,
    NotAHubError,
    RetryPolicy,
)
from gateway_hub.client.exchanges import find_retry_after
from tests.api.write_openapi import describe_api
from tests.client.conftest import Pauses, answered_by

EXAMPLES = describe_api()["components"]["schemas"]
MESSAGE = EXAMPLES["OutboundMessageResponse"]["examples"][0]
QUICK = RetryPolicy(attempts=4)
DAY = 86_400.0

Step = httpx.Response | Exception


def _problem(status: int, code: str, **headers: str) -> httpx.Response:
    told = {"status": status, "code": code, "detail": "No.", "request_id": "r", "errors": []}
    return httpx.Response(status, json=told, headers=headers)


class _Hub:
    """Answers with one after another, and keeps what it was asked."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def _taken() -> httpx.Response:
    return httpx.Response(201, json=MESSAGE)


async def test_what_may_pass_is_tried_again_with_the_same_key(kind: str, pauses: Pauses) -> None:
    hub = _Hub(
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("silent"),
        _problem(429, "too_many_requests", **{"Retry-After": "7"}),
        _taken(),
    )
    async with answered_by(kind, hub, pauses, QUICK) as client:
        sent = await client.ask("send", "1234", "x")
    assert isinstance(sent, Message)
    assert len({item.headers["idempotency-key"] for item in hub.asked}) == 1
    assert len({item.content for item in hub.asked}) == 1
    assert len(pauses.seconds) == 3
    assert 0.25 <= pauses.seconds[0] <= 0.5 <= pauses.seconds[1] <= 1.0
    assert pauses.seconds[2] == 7


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_it_is_given_up_after_so_many_attempts(
    kind: str, pauses: Pauses, status: int
) -> None:
    hub = _Hub(*(_problem(status, "queue_full") for _ in range(4)))
    async with answered_by(kind, hub, pauses, QUICK) as client:
        with pytest.raises(HubProblemError) as caught:
            await client.ask("get", "x")
    assert (caught.value.status, len(hub.asked), len(pauses.seconds)) == (status, 4, 3)


async def test_nobody_there_is_told_as_that(kind: str, pauses: Pauses) -> None:
    hub = _Hub(*(httpx.ConnectError("refused") for _ in range(4)))
    async with answered_by(kind, hub, pauses, QUICK) as client:
        with pytest.raises(HubUnreachableError):
            await client.ask("get", "x")
    assert len(hub.asked) == 4


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: _problem(422, "invalid_input"), id="422"),
        pytest.param(lambda: _problem(404, "not_found"), id="404"),
        pytest.param(lambda: _problem(409, "not_cancellable"), id="409"),
        pytest.param(lambda: _problem(500, "internal_error"), id="500"),
        pytest.param(
            lambda: _problem(429, "too_many_requests", **{"Retry-After": "61"}), id="too long"
        ),
    ],
)
async def test_what_would_not_help_is_not_tried(
    kind: str, pauses: Pauses, make: Callable[[], httpx.Response]
) -> None:
    hub = _Hub(make())
    async with answered_by(kind, hub, pauses) as client:
        with pytest.raises(HubProblemError):
            await client.ask("cancel", "x")
    assert pauses.seconds == []


async def test_the_first_request_is_let_finish(kind: str, pauses: Pauses) -> None:
    hub = _Hub(_problem(409, "idempotency_in_progress", **{"Retry-After": "1"}), _taken())
    async with answered_by(kind, hub, pauses) as client:
        await client.ask("send", "1234", "x")
    assert pauses.seconds == [1]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param((200, b"<html>"), id="page"),
        pytest.param((404, b"<html>"), id="missing page"),
        pytest.param((301, b""), id="redirect"),
        pytest.param((403, b'{"error": "no"}'), id="other JSON"),
        pytest.param((403, b"[]"), id="list"),
    ],
)
async def test_what_is_no_hub_is_told_as_that(
    kind: str, pauses: Pauses, answer: tuple[int, bytes]
) -> None:
    status, content = answer
    hub = _Hub(httpx.Response(status, content=content, headers={"Location": "http://else/"}))
    async with answered_by(kind, hub, pauses) as client:
        with pytest.raises(NotAHubError) as caught:
            await client.ask("get", "x")
    assert caught.value.status == status


async def test_a_waiting_client_looks_less_and_less_often(kind: str, pauses: Pauses) -> None:
    steps: Sequence[Step] = [
        *(httpx.Response(200, json=MESSAGE | {"final": False, "status": "queued"}) for _ in "123"),
        httpx.Response(200, json=MESSAGE | {"final": False, "status": "sent"}),
    ]
    async with answered_by(kind, _Hub(*steps), pauses) as client:
        seen = await client.ask("wait", "x", until={"sent"})
    assert (seen.status, pauses.seconds) == ("sent", [0.5, 0.75, 1.125])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("9" * 5000, DAY),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("Sun, 01 Mar 99999999999 12:10:00 GMT", None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("٣", None),
        ("1.5", None),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wait_is_read(text: str, expected: float | None) -> None:
    assert find_retry_after({"retry-after": text}) == expected


def test_a_wait_until_a_time_is_read() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert 3500 < (find_retry_after({"retry-after": soon}) or 0) <= 3600
    assert find_retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}) == 0
