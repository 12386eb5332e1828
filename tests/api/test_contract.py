"""The API against its own description: requests made from the document, good and bad, and whether
what comes back is what the document promises.

The requests are the same in every run: whoever changes the API or its document changes them.
"""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway_hub.api.application import create_api
from gateway_hub.app import create_app, create_hub
from gateway_hub.settings import Settings
from tests.api.belongings import furnish
from tests.api.clients import OPERATOR_TOKEN, connect
from tests.api.write_openapi import describe_api

# The hub runs beside, in a thread of its own, and may draw at any moment.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)

ACCEPTED = ["2xx", "401", "403", "404", "409", "412"]

MEANINGS = {
    "invalid_cursor": "only the hub makes cursors",
    "idempotency_key_reused": "the key came before, with another request",
    "repeated": "a query parameter given twice",
    "too_early": "one time comes before another",
    "in_the_past": "the time is past",
    "in_the_future": "nothing has happened then yet",
    "unknown_region": "two letters that are no country",
    "unknown_device": "the device is not there",
    "not_a_number": "nobody can dial it",
    "unsendable_character": "no SMS carries it",
    "text_too_long": "counted in segments",
    "not_a_time": "before 1970, or none of the calendar",
    "unstorable_character": "NUL, which PostgreSQL does not keep",
    "url_invalid": "spaces, control characters, what is neither host nor port",
    "url_host": "no name that a server can have",
    "url_port": "one that nobody serves webhooks on",
    "url_credentials": "a user name or password in it",
    "url_fragment": "what no server ever sees",
    "url_not_public": "an address that webhooks may not reach",
    "url_not_https": "http is not allowed here",
    "unknown_event": "the event is not there",
    "not_used": "another field makes it useless",
}
"""Why the hub may refuse what its document allows: no schema can say these."""

CONFIG = SchemathesisConfig.from_dict(
    {
        "seed": 1,
        "generation": {
            "mode": "all",
            "max-examples": 15,
            "deterministic": True,
            "database": "none",
            "no-shrink": True,
            "with-security-parameters": False,
        },
        # What is 422 although the document allows it: `refused_for_its_meaning` looks at why.
        "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, 422]}},
        "operations": [
            {
                # Refuses what is bad item by item, within a 200.
                "include-path": "/v1/messages/batch",
                "checks": {"negative_data_rejection": {"enabled": False}},
            }
        ],
        "phases": {
            "examples": {"extra-data-sources": {"responses": False}},
            "coverage": {"extra-data-sources": {"responses": False}},
            "fuzzing": {
                "extra-data-sources": {"responses": False},
                "error-feedback": {"enabled": False},
            },
        },
    }
)


class _HeadSentError(ClientDisconnect):
    """Enough was sent."""


def _is_stream(start: Message) -> bool:
    return (b"content-type", b"text/event-stream") in [
        (name, value.partition(b";")[0]) for name, value in start["headers"]
    ]


class _Served:
    """The application of the test that runs: known by this name before there is one.

    *ids* are those of things that are there.
    """

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.ids: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; of what streams, the head: the rest would take its time."""
        assert self.app is not None

        async def send_head(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start" and _is_stream(message):
                await send({"type": "http.response.body", "body": b""})
                raise _HeadSentError

        try:
            await self.app(scope, receive, send_head)
        except _HeadSentError:
            return


Case = schemathesis.Case[Any]

SERVED = _Served()
SCHEMA = schemathesis.openapi.from_dict(describe_api(), config=CONFIG)
SCHEMA.app = SERVED


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A data folder with one thing of each kind in it, and their ids."""
    folder = tmp_path_factory.mktemp("furnished")
    return folder, asyncio.run(_furnish(Settings(data_dir=folder)))


async def _furnish(settings: Settings) -> dict[str, str]:
    hub = create_hub(settings, operator_token=OPERATOR_TOKEN)
    await hub.start()
    try:
        async with connect(create_api(hub), OPERATOR_TOKEN) as owner:
            return await furnish(hub, owner, "default", "clinic-a")
    finally:
        await hub.stop()


@pytest.fixture(autouse=True)
def _served(furnished: tuple[Path, dict[str, str]], tmp_path: Path) -> Iterator[None]:
    """The whole application; it starts with the first request, and is stopped after the test."""
    folder = tmp_path / "data"
    shutil.copytree(furnished[0], folder)
    settings = Settings(data_dir=folder, log_level="ERROR")
    SERVED.app = create_app(settings, create_hub(settings, operator_token=OPERATOR_TOKEN))
    SERVED.ids = furnished[1]
    yield
    SERVED.app = None


def refused_for_its_meaning(
    _context: schemathesis.CheckContext, response: schemathesis.Response, case: Case
) -> None:
    """Raise AssertionError if a request that the document allows was refused for its form."""
    if response.status_code != 422 or case.meta is None or case.meta.generation.mode.is_negative:
        return
    problem = response.json()
    found = {item["code"]: item["pointer"] for item in problem["errors"]} or {problem["code"]: ""}
    unexplained = {item for item in found.items() if item[0] not in MEANINGS}
    assert unexplained <= {("required", "/phone_number")}, problem


@SCHEMA.parametrize()
def test_the_api_is_as_its_document_says(case: Case) -> None:
    _call_and_validate(case)
    is_good = case.meta is not None and case.meta.generation.mode.is_positive
    if is_good and case.path_parameters:
        case.path_parameters = {name: SERVED.ids[name] for name in case.path_parameters}
        _call_and_validate(case)


def _call_and_validate(case: Case) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    case.call_and_validate(headers=headers, additional_checks=[refused_for_its_meaning])
