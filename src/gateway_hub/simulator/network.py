"""The real network under simulated phones: their requests as they are, and how each ends."""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx

from gateway_hub.simulator.kinds import HttpHabits
from gateway_hub.simulator.phone import HttpAnswer, HttpRequest, NoAnswer, NoAnswerKind

_MAX_ANSWER_BYTES = 16 << 20
_LIMITS = httpx.Limits(max_connections=16, keepalive_expiry=300.0)
_LAST_PORT = 65_535
_TYPED = re.compile(r"[^:/?#]+://(?P<authority>[^/?#]*)(?P<target>.*)", re.DOTALL)
_WRITABLE = re.compile(r"[!-~]+")
_NOT_A_BYTE = "Server disconnected without sending a response"


@dataclass(frozen=True, slots=True)
class Exchanged:
    """How a request ended, and after how long; *detail* is what NoAnswer's kind leaves unsaid."""

    end: HttpAnswer | NoAnswer
    seconds: float
    detail: str | None = None


class BadUrlError(ValueError):
    """No URL of a web server."""


class _AnswerTooLargeError(Exception):
    """More than any phone would hold."""


class PhoneNetwork:
    """One phone's connections. No redirect is followed, no proxy is used, no cookie is kept.

    A request without a whole answer ends after *timeout_seconds*, even if bytes still drip in.
    """

    def __init__(
        self, timeout_seconds: float, tls: ssl.SSLContext, habits: HttpHabits | None = None
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._habits = habits or HttpHabits()
        transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False, limits=_LIMITS)
        # No credentials either but those that the app itself sends.
        self._client = httpx.AsyncClient(
            transport=transport, auth=httpx.Auth(), trust_env=False, timeout=timeout_seconds
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def exchange(self, request: HttpRequest) -> Exchanged:
        """Put *request* on the network and return how it ended."""
        began = time.monotonic()
        detail = None
        end: HttpAnswer | NoAnswer
        try:
            async with asyncio.timeout(self._timeout_seconds):
                end = await self._fetch(request)
        except TimeoutError:
            end = NoAnswer("timeout")
        except (httpx.HTTPError, BadUrlError, _AnswerTooLargeError) as error:
            kind, detail = _judge(error)
            end = NoAnswer(kind)
        return Exchanged(end, time.monotonic() - began, detail)

    async def _fetch(self, request: HttpRequest) -> HttpAnswer:
        outgoing = self.make_request(request)
        response = await self._client.send(outgoing, stream=True, follow_redirects=False)
        try:
            body = await _read(response, takes_torn=self._habits.takes_torn)
        finally:
            await response.aclose()
        given = response.headers
        return HttpAnswer(
            response.status_code, given.get("Content-Type"), body, given.get("Location")
        )

    def make_request(self, request: HttpRequest) -> httpx.Request:
        """Return *request* as the app's library writes it. Raises BadUrlError."""
        headers = [
            (name.encode("ascii"), value.encode("latin-1", "replace"))
            for name, value in request.headers
        ]
        extensions = {}
        url = parse_url(request.url)
        typed = _find_typed(request.url) if self._habits.keeps_url else None
        if typed is not None:
            host, extensions["target"] = typed
            headers = [(b"Host", host), *headers]
        return httpx.Request(
            request.method, url, headers=headers, content=request.body, extensions=extensions
        )


def make_tls() -> ssl.SSLContext:
    """Return how phones check a server; ``SSL_CERT_FILE`` names another authority to trust."""
    return httpx.create_ssl_context()


def parse_url(text: str) -> httpx.URL:
    """Return *text* as the URL of a web server. Raises BadUrlError."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise BadUrlError(f"not a URL: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise BadUrlError("not the URL of a web server")
    if (url.port or 0) > _LAST_PORT:
        raise BadUrlError(f"there is no port {url.port}")
    return url


def _find_typed(url: str) -> tuple[bytes, bytes] | None:
    """Return host and target just as they stand in *url*; None if no request can hold them so."""
    found = _TYPED.fullmatch(url)
    if found is None:
        return None
    host, target = found["authority"].rpartition("@")[2], found["target"]
    if not target.startswith("/"):
        target = f"/{target}"
    is_writable = _WRITABLE.fullmatch(host) and _WRITABLE.fullmatch(target)
    return (host.encode(), target.encode()) if is_writable else None


async def _read(response: httpx.Response, *, takes_torn: bool) -> bytes:
    body = bytearray()
    asked_for_encoding = "Accept-Encoding" in response.request.headers
    pieces = response.aiter_bytes() if asked_for_encoding else response.aiter_raw()
    try:
        async for piece in pieces:
            body += piece
            if len(body) > _MAX_ANSWER_BYTES:
                raise _AnswerTooLargeError(f"the answer is larger than {_MAX_ANSWER_BYTES} bytes")
    except httpx.RemoteProtocolError:
        # Torn chunks are no answer: what the apps' libraries make of those was not seen.
        if not takes_torn or "Content-Length" not in response.headers:
            raise
    return bytes(body)


def _judge(error: Exception) -> tuple[NoAnswerKind, str | None]:
    """Return what an app would take *error* for, and its words if they say more than that."""
    if isinstance(error, httpx.RemoteProtocolError) and _NOT_A_BYTE in str(error):
        return "cut", None
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return "unknown_host", None
    if any(isinstance(cause, TimeoutError | httpx.TimeoutException) for cause in causes):
        return "timeout", None
    is_plain = isinstance(error, httpx.NetworkError)
    says_more = not is_plain or any(isinstance(cause, ssl.SSLError) for cause in causes)
    return "refused", (str(error) or type(error).__name__) if says_more else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and what it was raised from, also where several attempts failed together."""
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None:
            continue
        yield cause
        waiting += [cause.__cause__ or cause.__context__]
        if isinstance(cause, BaseExceptionGroup):
            waiting += cause.exceptions
