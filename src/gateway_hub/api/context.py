"""What every route may ask of the application it is served by.

All of it is async: FastAPI runs what is not in a thread, which costs more than most requests.
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from gateway_hub.api.rate_limits import RateLimits
from gateway_hub.services.hub import Hub


def set_context(
    app: FastAPI, hub: Hub, public_urls: tuple[str, ...], limits: RateLimits | None = None
) -> None:
    """Let the routes of *app* find *hub*, the URLs under which phones reach it, and *limits*."""
    app.state.hub = hub
    app.state.public_urls = public_urls
    app.state.limits = limits or RateLimits()


def find_hub(request: Request) -> Hub:
    """Return the services behind the API."""
    hub: Hub = request.app.state.hub
    return hub


def find_limits(request: Request) -> RateLimits:
    """Return how often callers may ask."""
    limits: RateLimits = request.app.state.limits
    return limits


async def get_hub(request: Request) -> Hub:
    """Return the services behind the API, to a route that depends on them."""
    return find_hub(request)


async def get_base_url(request: Request) -> str:
    """Return the URL phones begin theirs with, no final slash: configured, or as asked for now."""
    public_urls: tuple[str, ...] = request.app.state.public_urls
    return (public_urls[0] if public_urls else str(request.base_url)).rstrip("/")


HubDependency = Annotated[Hub, Depends(get_hub)]
