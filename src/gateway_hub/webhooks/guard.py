"""No way in: a webhook reaches the public internet and what the operator allows, nothing else.

The connection is made to the very address that was checked, and each new one is checked again, so
a name that means another address a moment later leads nowhere.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address

import httpcore2

from gateway_hub.domain.networks import Network
from gateway_hub.domain.webhooks.addresses import Address, find_refusal
from gateway_hub.webhooks.names import NameLookup
from gateway_hub.webhooks.streams import BoundedStream

Resolve = Callable[[str], Awaitable[Sequence[Address]]]
"""Returns a name's addresses, best first, or raises NameNotFoundError."""

_MOST_TRIED = 4
_SocketOptions = Iterable[httpcore2.SOCKET_OPTION] | None


class ForbiddenAddressError(Exception):
    """A host with an address that no webhook may go to."""


class Guard:
    """Judges hosts. *allowed* opens networks besides the public internet."""

    def __init__(self, allowed: Sequence[Network] = (), *, resolve: Resolve | None = None) -> None:
        self._allowed = tuple(allowed)
        self._resolve = NameLookup() if resolve is None else resolve

    async def find_addresses(self, host: str) -> Sequence[Address]:
        """Return the addresses of *host*, a name or an address, all of them checked.

        Raises ForbiddenAddressError if a single one may not be reached: a server on the public
        internet has no private address beside it. Raises NameNotFoundError.
        """
        addresses = await self._look_up(host)
        for address in addresses:
            refusal = find_refusal(address, self._allowed)
            if refusal is not None:
                raise ForbiddenAddressError(refusal)
        return addresses

    async def _look_up(self, host: str) -> Sequence[Address]:
        try:
            return (ip_address(host),)
        except ValueError:
            return await self._resolve(host)


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Connections for an HTTP client, each to an address that *guard* has just checked.

    TLS and the ``Host`` header keep the name: they are made from the URL, above this.
    """

    def __init__(self, guard: Guard, answer_bytes: int) -> None:
        self._guard = guard
        self._answer_bytes = answer_bytes
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface of httpcore2
        local_address: str | None = None,
        socket_options: _SocketOptions = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Return a connection to *host*, its lookup included in the time limit.

        Raises ForbiddenAddressError, NameNotFoundError and the errors of httpcore2.
        """
        try:
            async with asyncio.timeout(timeout) as limit:
                addresses = (await self._guard.find_addresses(host))[:_MOST_TRIED]
                options = (local_address, socket_options)
                return await self._connect(addresses, port, limit.when(), options)
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout("no connection in time") from error

    async def _connect(
        self,
        addresses: Sequence[Address],
        port: int,
        deadline: float | None,
        options: tuple[str | None, _SocketOptions],
    ) -> BoundedStream:
        """Return a connection to the first of *addresses* that answers."""
        met: Exception = httpcore2.ConnectError("the name has no address")
        for number, address in enumerate(addresses):
            share = _share(deadline, len(addresses) - number)
            try:
                stream = await self._network.connect_tcp(str(address), port, share, *options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                met = error
            else:
                return BoundedStream(stream, self._answer_bytes)
        raise met


def _share(deadline: float | None, tries_left: int) -> float | None:
    """Return a try's share of the time that is left, so that a dead address leaves some over."""
    if deadline is None:
        return None
    return max(0.0, deadline - asyncio.get_running_loop().time()) / tries_left
