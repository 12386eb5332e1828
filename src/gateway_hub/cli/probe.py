"""The question a container's health check asks every few seconds: few imports, so it is quick."""

import http.client
import os
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from gateway_hub.cli.addresses import make_url
from gateway_hub.cli.running_file import find_running_file
from gateway_hub.ops.escaping import escape_controls

# As `gateway_hub.settings` has them, whose import takes longer than the whole question.
DEFAULTS = {
    "GATEWAY_HUB_HOST": "127.0.0.1",
    "GATEWAY_HUB_PORT": "8080",
    "GATEWAY_HUB_DATA_DIR": "data",
    "GATEWAY_HUB_DATABASE_URL": "sqlite",
}
_ENV_FILE = ".env"
_TIMEOUT_SECONDS = 4.0
_LONGEST_REASON = 300


def ask_if_ready(data_dir: Path | None = None) -> tuple[bool, str]:
    """Return whether the hub of the settings answers that it can serve, and what was seen.

    *data_dir* goes before the settings' own.
    """
    url = _find_url(data_dir)
    try:
        status, said = _get(f"{url}/readyz")
    except (OSError, ValueError, http.client.HTTPException):
        return False, f"none answers at {url}"
    if status == http.client.OK:
        return True, f"ready at {url}"
    return False, f"{url} is not ready: {said}"


def _find_url(data_dir: Path | None) -> str:
    """Return where the hub listens: what it wrote there itself, or what the settings say."""
    pairs = [*DEFAULTS.items(), *dotenv_values(_ENV_FILE).items(), *os.environ.items()]
    given = {name.upper(): value for name, value in pairs if value is not None}
    if given["GATEWAY_HUB_DATABASE_URL"].startswith("sqlite"):
        running = find_running_file(data_dir or Path(given["GATEWAY_HUB_DATA_DIR"]))
        if running is not None:
            return running.url
    return make_url(given["GATEWAY_HUB_HOST"], given["GATEWAY_HUB_PORT"])


def _get(url: str) -> tuple[int, str]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS
    )
    with closing(connection):
        connection.request("GET", parts.path)
        with connection.getresponse() as answer:
            said = answer.read(_LONGEST_REASON).decode("utf-8", "replace")
            return answer.status, escape_controls(said) or f"HTTP {answer.status}"
