"""What both clients tell httpx."""

from typing import Any

import httpx

from gateway_hub import __version__
from gateway_hub.client.exchanges import Call


def find_options(
    url: str, api_key: str, project: str | None, timeout_seconds: float
) -> dict[str, Any]:
    """Return how to make an HTTP client of the hub at *url*."""
    headers = {
        "Authorization": f"Bearer {api_key}",
        "User-Agent": f"gateway-hub-client/{__version__}",
        "Accept": "application/json",
    }
    if project is not None:
        headers["Gateway-Hub-Project"] = project
    # A redirect would lose the body, or carry the key elsewhere.
    return {
        "base_url": url,
        "headers": headers,
        "timeout": timeout_seconds,
        "follow_redirects": False,
    }


def build_request(
    client: httpx.Client | httpx.AsyncClient, call: Call, read_seconds: float | None = None
) -> httpx.Request:
    """Return *call* as *client* sends it; *read_seconds* is how long the other side may be silent
    if that is not as usual."""
    timeout = client.timeout
    if read_seconds is not None:
        timeout = httpx.Timeout(timeout.connect, read=read_seconds)
    return client.build_request(
        call.method,
        call.path,
        params=dict(call.params),
        json=call.body,
        headers=dict(call.headers),
        timeout=timeout,
    )
