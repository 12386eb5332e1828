"""Makes the application that serves the REST API."""

from collections import defaultdict
from collections.abc import Sequence

from fastapi import FastAPI
from fastapi.routing import APIRoute

from gateway_hub.api import (
    api_keys,
    attachments,
    devices,
    events,
    messages,
    projects,
    statistics,
    webhook_deliveries,
    webhook_endpoints,
)
from gateway_hub.api.context import set_context
from gateway_hub.api.docs_page import install_docs_page
from gateway_hub.api.middleware import HeadAsGet, LastResort
from gateway_hub.api.openapi import DescribedApi
from gateway_hub.api.problem_handlers import install_problem_handlers
from gateway_hub.api.rate_limits import RateLimits
from gateway_hub.services.hub import Hub

_ROUTERS = (
    messages.bulk_router,
    messages.router,
    events.router,
    devices.router,
    attachments.router,
    projects.router,
    api_keys.router,
    statistics.router,
    webhook_endpoints.router,
    webhook_deliveries.router,
)


_PREFIX = "/v1"


def create_api(
    hub: Hub, public_urls: Sequence[str] = (), limits: RateLimits | None = None
) -> FastAPI:
    """Return what serves *hub* under `/v1`, describes itself, and tells every error as a problem.

    The first of *public_urls* is what people are told to type into their phones; without one it
    is the URL of the request that asks. Without *limits* callers may ask as often as they like.
    """
    app = DescribedApi()
    set_context(app, hub, tuple(public_urls), limits)
    install_problem_handlers(app, _list_methods())
    for router in _ROUTERS:
        app.include_router(router, prefix=_PREFIX)
    install_docs_page(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(LastResort)
    return app


def _list_methods() -> dict[str, set[str]]:
    """Return the methods of each path, as it is written in the routes."""
    methods: defaultdict[str, set[str]] = defaultdict(set)
    for router in _ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                methods[_PREFIX + route.path] |= route.methods or set()
    return dict(methods)
