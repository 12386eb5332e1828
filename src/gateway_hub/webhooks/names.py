"""Names looked up without letting one slow name server hold up anything else."""

import asyncio
import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address

from gateway_hub.domain.webhooks.addresses import Address

Addresses = tuple[Address, ...]
_Lookup = asyncio.Future[Addresses | OSError]

MOST_LOOKUPS = 32


class NameNotFoundError(Exception):
    """A name that has no address, as far as name servers say."""


def ask_system(host: str) -> Addresses:
    """Return the addresses of *host*, best first. Blocks, perhaps for long; raises OSError."""
    try:
        found = socket.getaddrinfo(host.encode("ascii"), None, type=socket.SOCK_STREAM)
        return tuple(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
    except ValueError as error:
        raise OSError(socket.EAI_NONAME, "not a name") from error


class NameLookup:
    """Lookups in threads of their own.

    A lookup cannot be stopped and may take half a minute. The event loop's threads are few and
    shared with everything else, and an ordinary pool is waited for when the process ends. So each
    lookup has a daemon thread; there are *most_at_once* at most, and one for each name.
    """

    def __init__(
        self, most_at_once: int = MOST_LOOKUPS, ask: Callable[[str], Addresses] = ask_system
    ) -> None:
        self._free = asyncio.Semaphore(most_at_once)
        self._ask = ask
        self._under_way: dict[str, _Lookup] = {}

    async def __call__(self, host: str) -> Addresses:
        """Return the addresses of *host*, best first. Raises NameNotFoundError.

        May be cancelled, and should have a time limit; whoever asks meanwhile shares the answer.
        """
        if host not in self._under_way:
            await self._free.acquire()
            self._start(host)
        found = await asyncio.shield(self._under_way[host])
        if isinstance(found, OSError):
            raise NameNotFoundError(found.strerror or "not found") from found
        return found

    def _start(self, host: str) -> None:
        if host in self._under_way:
            self._free.release()
            return
        loop = asyncio.get_running_loop()
        lookup: _Lookup = loop.create_future()
        self._under_way[host] = lookup
        thread = threading.Thread(target=self._run, args=(host, loop, lookup), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            error = OSError(socket.EAI_AGAIN, "no thread is free")
            loop.call_soon(self._finish, host, lookup, error)

    def _run(self, host: str, loop: asyncio.AbstractEventLoop, lookup: _Lookup) -> None:
        found: Addresses | OSError
        try:
            found = self._ask(host)
        except OSError as error:
            found = error
        try:
            loop.call_soon_threadsafe(self._finish, host, lookup, found)
        except RuntimeError:  # the loop has ended, and with it whoever asked
            return

    def _finish(self, host: str, lookup: _Lookup, found: Addresses | OSError) -> None:
        del self._under_way[host]
        self._free.release()
        lookup.set_result(found)
