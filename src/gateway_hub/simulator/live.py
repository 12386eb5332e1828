"""A simulated phone on a real network and in real time, or faster."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from gateway_hub.simulator.kinds import PhoneKind
from gateway_hub.simulator.network import Exchanged, PhoneNetwork
from gateway_hub.simulator.pace import PhoneClock
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest, NoAnswer, SimulatedPhone
from gateway_hub.simulator.steps import Step

_NO_ANSWERS = {
    "refused": "the connection was refused or reset",
    "cut": "the connection was closed without an answer",
    "timeout": "none in time",
    "unknown_host": "the name of the server's host is unknown",
}


class LivePhone:
    """Runs *phone* until it is cancelled, and tells each step of it.

    *tell* is called from the event loop and must not block or raise.
    """

    def __init__(
        self,
        phone: SimulatedPhone,
        kind: PhoneKind,
        network: PhoneNetwork,
        clock: PhoneClock,
        tell: Callable[[Step], None],
    ) -> None:
        self._phone = phone
        self._kind = kind
        self._network = network
        self._clock = clock
        self._tell = tell
        self._told_departures = len(phone.air)
        self._told_losses = len(phone.lost)
        self._exchanges: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()

    @property
    def name(self) -> str:
        """What the phone is called."""
        return self._phone.name

    async def live(self) -> None:
        """Do all the phone does, until cancelled; what is under way then is given up."""
        async with asyncio.TaskGroup() as exchanges:
            while True:
                self._moved.clear()
                for request in self._phone.run(self._clock.now()):
                    exchange = exchanges.create_task(self._exchange(request))
                    self._exchanges.add(exchange)
                    exchange.add_done_callback(self._exchanges.discard)
                self._tell_departures()
                await self._wait()

    def receive_sms(self, contact: str, text: str) -> None:
        """Have an SMS come in."""
        self._tell(Step("received", contact=contact, text=text))
        self._phone.receive_sms(contact, text, self._clock.now())
        self._moved.set()

    async def _wait(self) -> None:
        """Wait until there is something to do, or the pace of the clock has changed."""
        due = self._phone.next_wakeup()
        seconds = None if due is None else self._clock.seconds_until(due)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    async def _exchange(self, request: HttpRequest) -> None:
        for step in self._kind.describe_request(request):
            self._tell(step)
        with self._clock.waiting():
            self._moved.set()
            exchanged = await self._network.exchange(request)
        self._phone.take_answer(request.token, exchanged.end, self._clock.now())
        steps = list(self._describe(request, exchanged))
        for step in (*steps, *self._take_losses()):
            self._tell(step)
        if any(step.name == "crashed" for step in steps):
            self._hang_up()
        self._moved.set()

    def _hang_up(self) -> None:
        """Cut the app's other connections: they die with it."""
        for exchange in self._exchanges - {asyncio.current_task()}:
            exchange.cancel()

    def _describe(self, request: HttpRequest, exchanged: Exchanged) -> Iterator[Step]:
        end, seconds = exchanged.end, round(exchanged.seconds, 3)
        if isinstance(end, HttpAnswer):
            yield Step("answered", http_status=end.status, seconds=seconds)
            for step in self._kind.describe_answer(request, end):
                yield replace(step, next_seconds=self._next_seconds()) if step.is_trouble else step
        else:
            yield Step(
                "no_answer",
                seconds=seconds,
                detail=_describe_silence(end, exchanged.detail),
                next_seconds=self._next_seconds(),
            )

    def _next_seconds(self) -> float | None:
        due = self._phone.next_wakeup()
        return None if due is None else round(self._clock.seconds_until(due), 3)

    def _take_losses(self) -> list[Step]:
        found = self._phone.lost[self._told_losses :]
        self._told_losses += len(found)
        return found

    def _tell_departures(self) -> None:
        for sms in self._phone.air[self._told_departures :]:
            self._tell(
                Step(
                    "on_air",
                    wire_id=sms.wire_id,
                    contact=sms.to,
                    text=sms.text,
                    parts=sms.parts,
                )
            )
        self._told_departures = len(self._phone.air)


def _describe_silence(end: NoAnswer, detail: str | None) -> str:
    return detail or _NO_ANSWERS[end.kind]
