"""What every route may ask of the application it is served by."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from gateway_hub.services.hub import Hub


def set_context(app: FastAPI, hub: Hub, public_urls: tuple[str, ...]) -> None:
    """Let the routes of *app* find *hub* and the URLs under which phones reach it."""
    app.state.hub = hub
    app.state.public_urls = public_urls


def get_hub(request: Request) -> Hub:
    """Return the services behind the API."""
    hub: Hub = request.app.state.hub
    return hub


def get_base_url(request: Request) -> str:
    """Return the URL phones begin theirs with, no final slash: configured, or as asked for now."""
    public_urls: tuple[str, ...] = request.app.state.public_urls
    return (public_urls[0] if public_urls else str(request.base_url)).rstrip("/")


HubDependency = Annotated[Hub, Depends(get_hub)]
BaseUrl = Annotated[str, Depends(get_base_url)]
