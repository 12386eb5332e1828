"""The HTTP stack under a simulated CHT gateway app: okhttp as of Android 7.1, without time limits.

After ``HttpEngine.java`` and ``HttpHandler.java`` of Android: it repeats a request by itself on a
connection found closed, and follows redirects of a POST as a GET without its body.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import urljoin, urlsplit

from gateway_hub.simulator.phone import Headers, HttpAnswer, NoAnswer, Outgoing

_POST_FOLLOWS = frozenset({301, 302, 303})
_GET_FOLLOWS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 20


@dataclass(slots=True)
class Exchange:
    """A request and what became of it on its way."""

    method: str
    url: str
    headers: Headers
    body: bytes
    on_used_connection: bool = False
    redirects: int = 0


E = TypeVar("E", bound=Exchange)


class OkHttp(Generic[E]):
    """Exchanges under way, by the token of the request that is out for each."""

    def __init__(self) -> None:
        self.outgoing = Outgoing()
        self._exchanges: dict[int, E] = {}
        self._idle_connections = 0

    @property
    def is_busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._exchanges)

    def send(self, exchange: E, now: datetime) -> None:
        """Send the request of *exchange*, on a connection that is still open if there is one."""
        exchange.on_used_connection = self._idle_connections > 0
        if exchange.on_used_connection:
            self._idle_connections -= 1
        self._put_on_network(exchange, now)

    def take_answer(self, token: int, end: HttpAnswer | NoAnswer, now: datetime) -> E | None:
        """Return the exchange that *end* ends; None if it goes on, or is not known any more."""
        exchange = self._exchanges.pop(token, None)
        if exchange is None:
            return None
        if isinstance(end, NoAnswer):
            goes_on = self._repeat(exchange, end, now)
        else:
            self._idle_connections += 1
            goes_on = self._follow(exchange, end, now)
        return None if goes_on else exchange

    def forget(self) -> None:
        """Give up all exchanges and connections."""
        self.outgoing.take()
        self._exchanges.clear()
        self._idle_connections = 0

    def _put_on_network(self, exchange: E, now: datetime) -> None:
        request = (exchange.method, exchange.url, exchange.headers, exchange.body)
        self._exchanges[self.outgoing.add(*request, now)] = exchange

    def _repeat(self, exchange: E, end: NoAnswer, now: datetime) -> bool:
        """Try a fresh connection if an old one was closed; on a fresh one that is an error."""
        if end.kind != "cut" or not exchange.on_used_connection:
            return False
        exchange.on_used_connection = False
        self._put_on_network(exchange, now)
        return True

    def _follow(self, exchange: E, answer: HttpAnswer, now: datetime) -> bool:
        location = _find_location(exchange, answer)
        if location is None or exchange.redirects >= _MAX_REDIRECTS:
            return False
        exchange.redirects += 1
        exchange.url = location
        if exchange.method == "POST":
            exchange.method, exchange.body = "GET", b""
            exchange.headers = tuple(pair for pair in exchange.headers if pair[0] != "Content-Type")
        self.send(exchange, now)
        return True


def _find_location(exchange: Exchange, answer: HttpAnswer) -> str | None:
    followed = _GET_FOLLOWS if exchange.method == "GET" else _POST_FOLLOWS
    if answer.status not in followed or not answer.location:
        return None
    location = urljoin(exchange.url, answer.location)
    return location if urlsplit(location).scheme == urlsplit(exchange.url).scheme else None
