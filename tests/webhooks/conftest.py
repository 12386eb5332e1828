"""Senders, and hubs, that may reach the loopback address; names and an authority of our own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway_hub.domain.networks import parse_networks
from gateway_hub.domain.webhooks.addresses import Address
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox
from gateway_hub.services.webhook_endpoints import WebhookRules
from gateway_hub.webhooks.guard import Guard
from gateway_hub.webhooks.names import NameNotFoundError
from gateway_hub.webhooks.sender import SendLimits, WebhookSender
from gateway_hub.webhooks.worker import WebhookWorker
from tests.conftest import FakeClock
from tests.webhooks.certificates import HOST, Authority
from tests.webhooks.places import Place

LOOPBACK = parse_networks(["127.0.0.0/8", "::1"])
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
LIMITS = SendLimits()
IMPATIENT = SendLimits(total_seconds=0.3, connect_seconds=0.2)

MakeSender = Callable[..., WebhookSender]
MakePlace = Callable[[], Awaitable[Place]]


async def resolve(host: str) -> tuple[Address, ...]:
    """The name server of the tests: it knows one name."""
    if host != HOST:
        raise NameNotFoundError("Name or service not known")
    return (ip_address("127.0.0.1"),)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority that senders of the tests trust."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def make_sender(authority: Authority, clock: FakeClock) -> AsyncIterator[MakeSender]:
    """Return a function that makes senders; they are closed with the test."""
    async with AsyncExitStack() as stack:

        def make(guard: Guard | None = None, limits: SendLimits = LIMITS) -> WebhookSender:
            guard = guard or Guard(LOOPBACK, resolve=resolve)
            sender = WebhookSender(guard, limits=limits, tls=authority.trust, clock=clock)
            stack.push_async_callback(sender.aclose)
            return sender

        yield make


@pytest.fixture
def sender(make_sender: MakeSender) -> WebhookSender:
    """A sender with the limits that are in force."""
    return make_sender()


@pytest.fixture
def impatient(make_sender: MakeSender) -> WebhookSender:
    """A sender that waits a third of a second."""
    return make_sender(limits=IMPATIENT)


@pytest.fixture
async def make_place(
    database_url: str, tmp_path: Path, clock: FakeClock, make_sender: MakeSender
) -> AsyncIterator[MakePlace]:
    """Return a function that makes hubs on one database, which do nothing by themselves.

    A SQLite file serves one hub: there it makes further workers of that.
    """
    key = SecretBox.generate_key()
    rules = WebhookRules(LOOPBACK, allow_http=True)
    made: list[Hub] = []
    async with AsyncExitStack() as stack:

        async def make_hub() -> Hub:
            if made and made[0].database.is_sqlite:
                return made[0]
            options = HubOptions(
                database_url, tmp_path / "attachments", [key], migrate=False, webhook_rules=rules
            )
            hub = Hub(options, clock)
            await hub.database.start(migrate=False)
            stack.push_async_callback(hub.database.stop)
            made.append(hub)
            return hub

        async def make() -> Place:
            hub = await make_hub()
            sender = make_sender()
            worker = WebhookWorker(hub.webhook_deliveries, sender, clock=clock)
            project = await hub.access.ensure_default_project()
            return Place(hub, worker, project.id, clock)

        yield make


@pytest.fixture
async def place(make_place: MakePlace) -> Place:
    """A hub that sends when it is told to."""
    return await make_place()
