"""What docs/client.md shows, run as it is written."""

import asyncio
import importlib.util
import json
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway_hub import client
from gateway_hub.client import HubClientError
from gateway_hub.domain.webhooks.signing import sign_webhook
from gateway_hub.services.hub import Hub
from tests.api.clients import ALL_BUT_ADMIN, make_key
from tests.api.write_openapi import describe_api

DOCS = (Path(__file__).parent.parent.parent / "docs" / "client.md").read_text("utf-8")
SNIPPETS = re.findall(r"<!-- client: (\w+) -->\n```python\n(.*?)```", DOCS, re.DOTALL)
PROGRAMS = [snippet for kind, snippet in SNIPPETS if kind != "verify"]
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

PRINTED = [
    r"[0-9a-f-]{36} queued",
    r"(.* outbound .*\n){2}cancelled",
    r"appointment-1 taken: \S+\nappointment-2 refused: The recipient must be .*",
    r"queued None",
    r"([0-9a-f-]{36} (queued|cancelled)\n?)+",
    r"invalid_input \[\('/to', 'not_a_number'\)\]",
    r"[0-9a-f-]{36} whsec_\S+",
]


def test_every_snippet_of_python_is_run() -> None:
    assert DOCS.count("```python") == len(SNIPPETS) == len(PRINTED) + 1


def test_the_readme_shows_the_first_of_them() -> None:
    readme = (Path(__file__).parent.parent.parent / "README.md").read_text("utf-8")
    assert f"```python\n{SNIPPETS[0][1]}```" in readme


async def test_the_programs_print_what_they_should(hub: Hub, url: str, tmp_path: Path) -> None:
    key = await make_key(hub, ALL_BUT_ADMIN)
    for program, expected in zip(PROGRAMS, PRINTED, strict=True):
        await hub.publisher.publish_all()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            "-c",
            program.replace("timeout_seconds=5", "timeout_seconds=0"),
            cwd=tmp_path,
            env=os.environ | {"HUB": url, "KEY": key},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = (text.decode() for text in await process.communicate())
        assert process.returncode == 0, err
        assert re.fullmatch(expected, out.strip()), out
    assert (tmp_path / "cursor.txt").read_text()


def test_the_receiver_of_webhooks_tells_the_hub_from_others(tmp_path: Path) -> None:
    [snippet] = [snippet for kind, snippet in SNIPPETS if kind == "verify"]
    file = tmp_path / "receiving.py"
    file.write_text(snippet, "utf-8")
    spec = importlib.util.spec_from_file_location("receiving", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    told = describe_api()["components"]["schemas"]["OutboundMessageResponse"]["examples"][0]
    event = {"id": "e", "type": "message.sent", "project_id": "p", "data": told}
    body = json.dumps(event | {"timestamp": "2026-03-01T12:00:00.000Z"}).encode()
    signed = sign_webhook("e", datetime.now(UTC), body, [SECRET])
    assert module.receive(signed, body, SECRET).id == told["id"]
    assert module.receive(signed, body + b" ", SECRET) is None


@pytest.mark.parametrize("name", [name for name in client.__all__ if name.endswith("Error")])
def test_every_error_is_in_the_table(name: str) -> None:
    raised = getattr(client, name)
    if issubclass(raised, HubClientError) and raised is not HubClientError:
        assert f"\n| `{name}` |" in DOCS
