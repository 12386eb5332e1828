"""The one place where things are wired: settings in, an ASGI application out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from starlette.routing import Router
from starlette.types import ASGIApp

from gateway_hub.adapters.envaya.routes import EnvayaOptions, create_envaya_routes
from gateway_hub.adapters.medic.routes import create_medic_routes
from gateway_hub.api.application import create_api
from gateway_hub.api.rate_limits import make_limits
from gateway_hub.domain.clock import Clock, system_clock
from gateway_hub.domain.networks import parse_networks
from gateway_hub.ops.health import create_health_routes
from gateway_hub.ops.requests import RequestContext
from gateway_hub.secret_keys import load_secret_keys
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.webhook_endpoints import WebhookRules
from gateway_hub.settings import Settings
from gateway_hub.webhooks.guard import Guard
from gateway_hub.webhooks.sender import WebhookSender
from gateway_hub.webhooks.worker import WebhookWorker


def create_hub(
    settings: Settings, *, clock: Clock = system_clock, operator_token: str | None = None
) -> Hub:
    """Return the services *settings* describe, not started yet."""
    options = HubOptions(
        database_url=settings.effective_database_url,
        direct_database_url=settings.direct_database_url,
        attachments_folder=settings.data_dir / "attachments",
        secret_keys=load_secret_keys(settings),
        migrate=settings.migrates_at_start,
        offline_after=timedelta(seconds=settings.offline_after_seconds),
        operator_token=operator_token,
        max_queued=settings.max_queued_messages or None,
        keep_events=timedelta(days=settings.event_retention_days),
        max_event_streams=settings.max_event_streams,
        keep=timedelta(days=settings.retention_days) if settings.retention_days else None,
        webhook_rules=WebhookRules(
            parse_networks(settings.webhook_allowed_networks), settings.webhook_allow_http
        ),
    )
    return Hub(options, clock)


def start_webhooks(hub: Hub, settings: Settings, clock: Clock = system_clock) -> WebhookWorker:
    """Let this process send the webhooks of *hub*, which is started, and return who does."""
    guard = Guard(parse_networks(settings.webhook_allowed_networks))
    worker = WebhookWorker(hub.webhook_deliveries, WebhookSender(guard, clock=clock), clock=clock)
    hub.subscriptions.on_due = worker.wake
    worker.start()
    return worker


def create_app(settings: Settings, hub: Hub) -> ASGIApp:
    """Return the application that serves *hub*; it starts and stops the hub with itself."""

    @asynccontextmanager
    async def lifespan(_app: object) -> AsyncIterator[None]:
        await hub.start()
        worker = start_webhooks(hub, settings)
        try:
            yield
        finally:
            await worker.stop()
            await hub.stop()

    limits = make_limits(settings.requests_per_minute, settings.refusals_per_minute)
    api = create_api(hub, settings.public_urls, limits)
    # Phones come before the API's framework, which would add half as much to what they cost.
    app = Router(
        [
            *create_medic_routes(hub, settings.medic_paths),
            *create_envaya_routes(hub, _envaya_options(settings)),
            *create_health_routes(hub),
        ],
        redirect_slashes=False,
        default=api,
        lifespan=lifespan,
    )
    return RequestContext(app)


def _envaya_options(settings: Settings) -> EnvayaOptions:
    return EnvayaOptions(
        paths=settings.envaya_paths,
        public_urls=settings.public_urls,
        trusted_proxies=parse_networks(settings.trusted_proxies),
        long_poll_seconds=settings.long_poll_seconds,
    )
