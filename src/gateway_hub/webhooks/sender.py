"""One signed HTTP POST to a webhook endpoint, through the guard; what comes back is a value.

Built on httpcore2, the lower half of httpx2: what the upper half adds (redirects, cookies, proxies
from the environment, unpacking) is what must not happen here.
"""

import asyncio
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpcore2

from gateway_hub import __version__
from gateway_hub.domain.clock import Clock, system_clock
from gateway_hub.domain.errors import InvalidInputError
from gateway_hub.domain.webhooks.outcomes import Answer, AttemptResult, Fault, Outcome
from gateway_hub.domain.webhooks.signing import sign_webhook
from gateway_hub.domain.webhooks.urls import WebhookUrl, parse_webhook_url
from gateway_hub.webhooks.answers import IncomingAnswer
from gateway_hub.webhooks.faults import ENDPOINT_ERRORS
from gateway_hub.webhooks.guard import Guard, GuardedNetwork

USER_AGENT = f"gateway-hub/{__version__}"

# Head, body and the framing of chunks; also all interim (1xx) answers, which have no other bound.
_MOST_RAW_BYTES = 128 << 10
_IDLE_SECONDS = 4.0  # Node.js closes a connection that was idle for five


@dataclass(frozen=True, slots=True)
class SendLimits:
    """How long an attempt may take, the connection included, and how many there are at once.

    What waits for its turn has not begun: no webhook endpoint is blamed for our load.
    """

    total_seconds: float = 15.0
    connect_seconds: float = 5.0
    most_at_once: int = 128
    most_idle_connections: int = 32


class WebhookSender:
    """Sends webhooks, many at once; connections to the same host are used again."""

    def __init__(
        self,
        guard: Guard,
        *,
        limits: SendLimits = SendLimits(),
        tls: ssl.SSLContext | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """Take *tls* to trust others than the system's authorities."""
        self._limits = limits
        self._clock = clock
        self._turns = asyncio.Semaphore(limits.most_at_once)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpcore2.default_ssl_context() if tls is None else tls,
            max_connections=None,  # bounded by the turns; a wait here would count as the endpoint's
            max_keepalive_connections=limits.most_idle_connections,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=GuardedNetwork(guard, _MOST_RAW_BYTES),
        )

    async def aclose(self) -> None:
        """Close what is idle. Attempts under way are to be ended, or cancelled, before."""
        await self._pool.aclose()

    async def send(
        self, url: str, event_id: str, body: bytes, secrets: Sequence[str]
    ) -> AttemptResult:
        """Post the event in *body* to *url*, signed with each of *secrets*; say what became of it.

        Nothing the endpoint does raises; ValueError means that we have no secret to sign with. May
        be cancelled: then the endpoint has the event or not.
        """
        async with self._turns:
            began = time.monotonic()
            signed = sign_webhook(event_id, self._clock(), body, secrets)
            try:
                request = self._make_request(parse_webhook_url(url), body, signed)
            except InvalidInputError as error:
                outcome, answer = Outcome.unreachable(Fault.BAD_URL, error.detail), None
            else:
                outcome, answer = await self._exchange(request)
            return AttemptResult(outcome, round((time.monotonic() - began) * 1000), answer)

    def _make_request(
        self, url: WebhookUrl, body: bytes, signed: Mapping[str, str]
    ) -> httpcore2.Request:
        headers = {
            "Host": url.authority,
            "User-Agent": USER_AGENT,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Accept": "application/json, */*;q=0.5",
            "Accept-Encoding": "identity",
            **signed,
        }
        return httpcore2.Request(
            "POST",
            httpcore2.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target),
            headers=list(headers.items()),
            content=body,
            extensions={"timeout": {"connect": self._limits.connect_seconds}},
        )

    async def _exchange(self, request: httpcore2.Request) -> tuple[Outcome, Answer | None]:
        incoming = IncomingAnswer()
        error: Exception | None = None
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                await incoming.read(await self._pool.handle_async_request(request))
        except ENDPOINT_ERRORS as met:
            error = met
        return incoming.judge(self._clock(), error), incoming.keep()
