"""No way in: not one connection to what may not be reached, however it is written or resolved."""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address

import pytest

from gateway_hub.domain.networks import parse_networks
from gateway_hub.domain.webhooks.addresses import Address
from gateway_hub.domain.webhooks.outcomes import Fault
from gateway_hub.webhooks.guard import ForbiddenAddressError, Guard, GuardedNetwork
from gateway_hub.webhooks.names import NameNotFoundError
from tests.webhooks.certificates import HOST
from tests.webhooks.conftest import LOOPBACK, SECRET, MakeSender
from tests.webhooks.receiver import hang_up, ok, receiving, then

Resolve = Callable[[str], Awaitable[tuple[Address, ...]]]


def resolving(*answers: tuple[str, ...]) -> Resolve:
    """A name server that gives each answer once."""
    left = iter(answers)

    async def resolve(_host: str) -> tuple[Address, ...]:
        return tuple(ip_address(text) for text in next(left))

    return resolve


# The loopback address in forms that some resolver or client takes for it.
FORMS = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0X7F.1",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.1%00.example.com",
    "127\u30020\u30020\u30021",
    "\uff11\uff12\uff17.0.0.1",
    "0",
    "0.0.0.0",  # noqa: S104
    "localhost",
    "LocalHost.",
    "a.localhost",
    "\u24dbocalhost",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[::1%lo]",
    "[::1%25lo]",
    "user@127.0.0.1",
    "example.com@127.0.0.1",
    "example.com\\@127.0.0.1",
    "example.com#@127.0.0.1",
]


@pytest.mark.parametrize("form", FORMS, ids=ascii)
async def test_the_loopback_address_is_not_reached_in_any_form(
    make_sender: MakeSender, form: str
) -> None:
    sender = make_sender(Guard())
    async with receiving(ok()) as receiver, receiving(ok(), host="::1") as other:
        for port in (receiver.port, other.port):
            result = await sender.send(f"http://{form}:{port}/", "event-1", b"{}", [SECRET])
            assert result.outcome.fault in {
                Fault.BAD_URL,
                Fault.FORBIDDEN_ADDRESS,
                Fault.NAME_NOT_FOUND,
            }
    assert (receiver.connections, other.connections) == (0, 0)


@pytest.mark.parametrize("form", ["2130706433", "0x7f000001", "127.1", "0", "localhost"])
async def test_the_guard_trusts_no_spelling_by_itself(form: str) -> None:
    with pytest.raises(ForbiddenAddressError):
        await Guard().find_addresses(form)


async def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    guard = Guard(resolve=resolving(("1.1.1.1", "2606:4700:4700::1111", "10.0.0.5")))
    with pytest.raises(ForbiddenAddressError, match="private"):
        await guard.find_addresses(HOST)


async def test_a_name_that_means_another_address_the_second_time_leads_nowhere(
    make_sender: MakeSender,
) -> None:
    allowed = parse_networks(["127.0.0.1"])
    guard = Guard(allowed, resolve=resolving(("127.0.0.1",), ("127.0.0.2",), ("127.0.0.1",)))
    sender = make_sender(guard)
    async with receiving(then(ok(b"", "Connection: close"), hang_up)) as receiver:
        outcomes = [
            (await sender.send(receiver.url(HOST), "event-1", b"{}", [SECRET])).outcome.fault
            for _ in range(3)
        ]
    assert outcomes == [None, Fault.FORBIDDEN_ADDRESS, None]
    assert receiver.connections == 2


async def test_the_address_that_was_checked_is_the_one_connected_to(
    make_sender: MakeSender,
) -> None:
    """The name is one that the system's own resolver cannot know."""
    sender = make_sender(Guard(LOOPBACK, resolve=resolving(("127.0.0.1",))))
    async with receiving(ok()) as receiver:
        result = await sender.send(receiver.url("never.invalid"), "event-1", b"{}", [SECRET])
    assert result.outcome.is_delivered
    assert receiver.requests[0].headers["host"] == f"never.invalid:{receiver.port}"


async def test_the_next_address_is_tried_where_one_does_not_answer(
    make_sender: MakeSender,
) -> None:
    sender = make_sender(Guard(LOOPBACK, resolve=resolving(("127.0.0.9", "127.0.0.1"))))
    async with receiving(ok()) as receiver:
        result = await sender.send(receiver.url(HOST), "event-1", b"{}", [SECRET])
    assert result.outcome.is_delivered


async def test_a_connection_can_be_waited_for_without_a_limit() -> None:
    network = GuardedNetwork(Guard(LOOPBACK), answer_bytes=10)
    async with receiving(ok()) as receiver:
        stream = await network.connect_tcp("127.0.0.1", receiver.port)
        await stream.aclose()
    with pytest.raises(NotImplementedError):
        await network.connect_unix_socket("/run/docker.sock")


async def test_a_name_with_no_address_at_all_is_told(make_sender: MakeSender) -> None:
    result = await make_sender(Guard(resolve=resolving(()))).send(
        "https://a.example/", "event-1", b"{}", [SECRET]
    )
    assert result.outcome.fault is Fault.CONNECT_FAILED


async def test_names_are_looked_up_and_checked_against_what_is_allowed() -> None:
    found = await Guard(LOOPBACK).find_addresses("localhost")
    assert set(map(str, found)) <= {"127.0.0.1", "::1"}
    assert found
    with pytest.raises(NameNotFoundError):
        await Guard(LOOPBACK).find_addresses("never.invalid")
