"""Writes ``openapi.json`` anew: ``python -m tests.api.write_openapi``."""

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from gateway_hub.api.application import create_api
from gateway_hub.domain.clock import system_clock
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox

OPENAPI_FILE = Path(__file__).with_name("openapi.json")


@cache
def describe_api() -> dict[str, Any]:
    """Return the description of the API; without its version, which changes with each release."""
    with tempfile.TemporaryDirectory() as folder:
        options = HubOptions(
            database_url=f"sqlite+aiosqlite:///{folder}/never-opened.sqlite3",
            attachments_folder=Path(folder),
            secret_keys=[SecretBox.generate_key()],
            migrate=False,
        )
        document: dict[str, Any] = create_api(Hub(options, system_clock)).openapi()
    document["info"]["version"] = "0"
    return document


def render_openapi() -> str:
    """Return the description as it is kept in the file."""
    return json.dumps(describe_api(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    OPENAPI_FILE.write_text(render_openapi(), encoding="utf-8")
