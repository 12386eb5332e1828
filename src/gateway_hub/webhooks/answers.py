"""What a webhook endpoint answers, taken in with bounds and judged."""

from contextlib import aclosing
from datetime import datetime

import httpcore2

from gateway_hub.domain.webhooks.outcomes import EXCERPT_BYTES, Answer, Outcome, parse_retry_after
from gateway_hub.webhooks.faults import find_fault
from gateway_hub.webhooks.streams import AnswerTooLargeError

MOST_BODY_BYTES = 64 << 10
_MOST_HEADER_BYTES = 32 << 10


class IncomingAnswer:
    """An answer as far as it has come."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._headers: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._is_whole = False

    async def read(self, response: httpcore2.Response) -> None:
        """Take in the head and the first 64 KiB of the body; 1 KiB of one that says it is longer.

        Raises what find_fault explains.
        """
        try:
            self._read_head(response)
            self._is_whole = await self._read_body(response)
        finally:
            await response.aclose()

    def judge(self, now: datetime, error: Exception | None = None) -> Outcome:
        """Return how the attempt ended; *error* is what ended it, if anything did.

        An error outweighs a 2xx: the rest of the answer may have held a reply, so the event is to
        be sent again. Any other status has said all there is to say.
        """
        given = None if self._status is None else self._judge_head(self._status, now)
        if given is not None and (error is None or not given.is_delivered):
            return given
        if error is None:
            raise ValueError("there is neither an answer nor an error")
        fault, detail = find_fault(error)
        if given is not None:
            detail = f"the answer began with {given.status}. {detail}".strip()
        return Outcome.unreachable(fault, detail)

    def keep(self) -> Answer | None:
        """Return what is worth keeping of the body, or None if there was no answer."""
        if self._status is None:
            return None
        encoding = self._find_header(b"content-encoding")
        return Answer(bytes(self._body), is_whole=self._is_whole, content_encoding=encoding)

    def _read_head(self, response: httpcore2.Response) -> None:
        if sum(len(name) + len(value) for name, value in response.headers) > _MOST_HEADER_BYTES:
            raise AnswerTooLargeError(f"its headers are larger than {_MOST_HEADER_BYTES} bytes")
        self._status = response.status
        self._headers = {name.lower(): value for name, value in response.headers}

    async def _read_body(self, response: httpcore2.Response) -> bool:
        """Return whether the body ended within the bound."""
        bound = EXCERPT_BYTES if self._says_it_is_too_long() else MOST_BODY_BYTES
        try:
            async with aclosing(response.aiter_stream()) as pieces:
                async for piece in pieces:
                    self._body += piece
                    if len(self._body) > bound:
                        del self._body[bound:]
                        return False
        except AnswerTooLargeError:
            return False
        return True

    def _says_it_is_too_long(self) -> bool:
        """Whether what is read could only be shown: to read on would cost all others."""
        length = self._find_header(b"content-length") or ""
        return length.isascii() and length.isdigit() and int(length[:20]) > MOST_BODY_BYTES

    def _judge_head(self, status: int, now: datetime) -> Outcome:
        wait = self._find_header(b"retry-after")
        return Outcome.of_status(
            status,
            retry_after=None if wait is None else parse_retry_after(wait, now),
            location=self._find_header(b"location"),
        )

    def _find_header(self, name: bytes) -> str | None:
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")
