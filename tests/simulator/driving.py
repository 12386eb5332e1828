"""A clock and a network for simulated phones: what a test says the server answers, at once."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from gateway_hub.simulator.phone import HttpAnswer, HttpRequest, NoAnswer, SimulatedPhone

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

End = HttpAnswer | NoAnswer | None
"""How a request ends; None is never."""

Serve = Callable[[HttpRequest], End]


class Driver:
    """Moves a phone through time and keeps what it asked, and when."""

    def __init__(self, phone: SimulatedPhone, serve: Serve, now: datetime = START) -> None:
        self.phone = phone
        self.serve = serve
        self.now = now
        self.seen: list[tuple[datetime, HttpRequest]] = []

    def advance(self, **parts: float) -> list[HttpRequest]:
        """Do all that happens in ``timedelta(**parts)`` and return the requests in it."""
        return self.advance_to(self.now + timedelta(**parts))

    def advance_to(self, until: datetime) -> list[HttpRequest]:
        """Do all that happens until then and return the requests in it."""
        before = len(self.seen)
        while True:
            due = self.phone.next_wakeup()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            for request in self.phone.run(self.now):
                self.seen.append((self.now, request))
                end = self.serve(request)
                if end is not None:
                    self.phone.take_answer(request.token, end, self.now)
        self.now = until
        return [request for _, request in self.seen[before:]]

    def answer_now(self, request: HttpRequest, end: HttpAnswer | NoAnswer) -> None:
        """Bring the answer to a request that `serve` left open."""
        self.phone.take_answer(request.token, end, self.now)

    def seconds_of(self, requests: Iterable[HttpRequest], since: datetime = START) -> list[int]:
        """Return at which second after *since* each was made."""
        wanted = {request.token for request in requests}
        return [int((at - since).total_seconds()) for at, r in self.seen if r.token in wanted]


def json_answer(body: bytes, status: int = 200) -> HttpAnswer:
    """Return an answer with a JSON body."""
    return HttpAnswer(status, "application/json", body)


def xml_answer(body: str, status: int = 200) -> HttpAnswer:
    """Return an answer with an XML body."""
    return HttpAnswer(status, "text/xml", body.encode())
