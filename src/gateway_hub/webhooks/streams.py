"""A connection that takes in no more than so many bytes for each answer."""

import ssl
from typing import Any

import httpcore2

# What is read at once is parsed at once: a thousand tiny pieces must not hold up everybody else.
_MOST_AT_ONCE = 4 << 10


class AnswerTooLargeError(Exception):
    """An answer that goes on and on: its headers, its interim answers or its body."""


class BoundedStream(httpcore2.AsyncNetworkStream):
    """Passes *stream* on, and counts what is read since the last write: a request was sent then."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream, answer_bytes: int) -> None:
        self._stream = stream
        self._answer_bytes = answer_bytes
        self._left = answer_bytes

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Return what has come. Raises AnswerTooLargeError."""
        if self._left <= 0:
            raise AnswerTooLargeError(f"the answer is larger than {self._answer_bytes} bytes")
        data = await self._stream.read(min(max_bytes, self._left, _MOST_AT_ONCE), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send *buffer*; what is read from now on belongs to another answer."""
        self._left = self._answer_bytes
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """Return the same connection with TLS, counted as well."""
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return BoundedStream(stream, self._answer_bytes)

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore2 asks of a connection: whether a peer has hung up, for one."""
        return self._stream.get_extra_info(info)
