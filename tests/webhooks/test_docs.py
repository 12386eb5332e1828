"""What docs/webhooks.md shows, run and compared with the code."""

import base64
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway_hub.domain.webhooks.retries import DELAYS
from gateway_hub.domain.webhooks.secrets import generate_webhook_secret
from gateway_hub.domain.webhooks.signing import sign_webhook
from tests.real_parts import find_program

DOCS = (Path(__file__).parent.parent.parent / "docs" / "webhooks.md").read_text("utf-8")
SNIPPETS = re.findall(r"<!-- verify: (\w+) -->\n```\w+\n(.*?)```", DOCS, re.DOTALL)

ID = "019cc1e0-6c00-7000-8000-000000000001"
BODY = '{"data": {"text": "Habari 😀\\n"}} '.encode()

# What stands around a snippet: a request comes in as JSON, and an error ends the program.
AROUND = {
    "python": (
        "{snippet}\n"
        "import base64, json, sys\n"
        "given = json.load(sys.stdin)\n"
        "verify(given['headers'], base64.b64decode(given['body']), given['secret'])\n"
    ),
    "node": (
        "{snippet}\n"
        "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));\n"
        "verify(given.headers, Buffer.from(given.body, 'base64'), given.secret);\n"
    ),
    "php": (
        "<?php\n{snippet}\n"
        "$given = json_decode(stream_get_contents(STDIN), true);\n"
        "verify($given['headers'], base64_decode($given['body']), $given['secret']);\n"
    ),
    "sh": "set -eu\n{snippet}\n",
}
PROGRAMS = {"python": [sys.executable], "node": ["node"], "php": ["php"], "sh": ["sh", "openssl"]}
"""What runs a snippet, and what it calls."""

RUNNABLE = [
    pytest.param(language, snippet, id=f"{language}-{number}")
    for number, (language, snippet) in enumerate(SNIPPETS, 1)
]
# The program behind a webhook endpoint, up to where it begins to listen.
HOOK = re.search(r"<!-- hook.py -->\n```python\n(.*?)\nHTTPServer\(", DOCS, re.DOTALL)
RUNNABLE.append(pytest.param("python", HOOK.group(1) if HOOK else "", id="hook.py"))


class Snippet:
    """A snippet as a program."""

    def __init__(self, language: str, snippet: str, folder: Path) -> None:
        self._command, *_ = [find_program(name) for name in PROGRAMS[language]]
        self._folder = folder
        self._file = folder / "program"
        self._file.write_text(AROUND[language].replace("{snippet}", snippet), "utf-8")

    def accepts(self, headers: dict[str, str], body: bytes, secret: str) -> bool:
        """Say whether the program ends well with that request."""
        (self._folder / "body.json").write_bytes(body)
        request = {"headers": headers, "secret": secret, "body": base64.b64encode(body).decode()}
        variables = {
            "ID": headers["webhook-id"],
            "TIMESTAMP": headers["webhook-timestamp"],
            "SIGNATURE": headers["webhook-signature"],
            "SECRET": secret,
        }
        ended = subprocess.run(
            [self._command, self._file],
            input=json.dumps(request).encode(),
            cwd=self._folder,
            env=os.environ | variables,
            capture_output=True,
            check=False,
            timeout=60,
        )
        return ended.returncode == 0


def test_there_is_a_snippet_for_each_language() -> None:
    languages = [language for language, _ in SNIPPETS]
    assert languages == ["python", "python", "node", "php", "sh"]


@pytest.mark.parametrize(("language", "snippet"), RUNNABLE)
def test_a_snippet_tells_the_hub_from_others(language: str, snippet: str, tmp_path: Path) -> None:
    program = Snippet(language, snippet, tmp_path)
    old, secret, now = generate_webhook_secret(), generate_webhook_secret(), datetime.now(UTC)
    signed = sign_webhook(ID, now, BODY, [secret])
    assert program.accepts(signed, BODY, secret)
    assert program.accepts(sign_webhook(ID, now, BODY, [old, secret]), BODY, secret)
    assert not program.accepts(signed, BODY + b" ", secret)
    assert not program.accepts(signed, BODY, old)
    assert not program.accepts(signed | {"webhook-id": ID[:-1] + "2"}, BODY, secret)
    assert not program.accepts(signed | {"webhook-signature": "v1, v2,x y"}, BODY, secret)


@pytest.mark.parametrize(
    ("language", "snippet"), [item for item in RUNNABLE if item.values[0] != "sh"]
)
def test_a_snippet_refuses_a_request_that_is_too_old(
    language: str, snippet: str, tmp_path: Path
) -> None:
    """All but the one for the shell, which looks at what was recorded, and says how old it is."""
    program = Snippet(language, snippet, tmp_path)
    secret = generate_webhook_secret()
    for minutes in (-6, 6):
        moment = datetime.now(UTC) + timedelta(minutes=minutes)
        assert not program.accepts(sign_webhook(ID, moment, BODY, [secret]), BODY, secret)


def test_the_table_of_attempts_is_the_one_in_force() -> None:
    rows = re.findall(r"^\| (\d+) \| (\d+) (\w+) \|$", DOCS, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(2, len(DELAYS) + 2))
    told = [timedelta(**{unit: int(count)}) for _, count, unit in rows]
    assert told == list(DELAYS)
