"""A sender that may reach the loopback address, with names and an authority of the tests' own."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_address

import pytest

from gateway_hub.domain.webhooks.addresses import Address, parse_networks
from gateway_hub.webhooks.guard import Guard
from gateway_hub.webhooks.names import NameNotFoundError
from gateway_hub.webhooks.sender import SendLimits, WebhookSender
from tests.conftest import FakeClock
from tests.webhooks.certificates import HOST, Authority

LOOPBACK = parse_networks(["127.0.0.0/8", "::1"])
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
LIMITS = SendLimits()
IMPATIENT = SendLimits(total_seconds=0.3, connect_seconds=0.2)

MakeSender = Callable[..., WebhookSender]


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
