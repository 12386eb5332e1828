"""The question a container's health check asks; the standard library alone, so it is quick."""

import http.client
import os
from contextlib import closing

_ANYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound
_TIMEOUT_SECONDS = 4.0


def is_ready() -> bool:
    """Say whether the hub that listens on ``GATEWAY_HUB_PORT`` answers that it can serve."""
    host = os.environ.get("GATEWAY_HUB_HOST", "127.0.0.1")
    port = os.environ.get("GATEWAY_HUB_PORT", "8080")
    try:
        connection = http.client.HTTPConnection(
            "127.0.0.1" if host in _ANYWHERE else host, int(port), timeout=_TIMEOUT_SECONDS
        )
        with closing(connection):
            connection.request("GET", "/readyz")
            with connection.getresponse() as answer:
                return answer.status == http.client.OK
    except (OSError, ValueError, http.client.HTTPException):
        return False
