"""Notices from process to process over PostgreSQL's LISTEN and NOTIFY. Any of them may be lost.

They never go with a write: a commit that notifies holds a lock that all such commits wait for.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy.engine import URL

from gateway_hub.storage.engines import POOLER_FOUND, connect_arguments
from gateway_hub.storage.postgres_urls import read_address

if TYPE_CHECKING:
    import asyncpg

MISSED = "*"
"""Heard in the place of notices that could not be sent."""

_CHANNEL = "gateway_hub"
_MOST_WAITING = 10_000
_MOST_BYTES = 7_900  # PostgreSQL takes a payload of less than 8,000
_GAP_SECONDS = 0.02
_PULSE_SECONDS = 20.0
_ANSWER_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_NAME = {"application_name": "gateway-hub notices"}
# What is sent is worth no flush to disk: others' notices would wait for it.
_WITHOUT_FLUSH = "SET synchronous_commit = off"
_NOTIFY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload"

Hear = Callable[[str], None]
OnOpen = Callable[[], None]

log = structlog.get_logger(__name__)


class NoticeLine:
    """One connection that sends what this process has to say and hears what the others say."""

    def __init__(self, url: URL | None) -> None:
        """Speak over the database at *url*; with None, or a pooled one, stay silent for ever."""
        usable = url is not None and not read_address(url).pooled
        self._url = url if usable else None
        self._waiting: dict[str, None] = {}
        self._missed = False
        self._stirred = asyncio.Event()
        self.is_open = False
        """Whether it is connected now."""

    @property
    def is_silent(self) -> bool:
        """Whether it can never be open."""
        return self._url is None

    def send(self, notice: str) -> None:
        """Let the other processes hear *notice*, a text of one line, within milliseconds.

        Never waits. While the line is down, or too much is waiting, they hear `MISSED` later.
        """
        if not self.is_open or len(self._waiting) >= _MOST_WAITING:
            self._missed = True
            return
        self._waiting[notice] = None
        self._stirred.set()

    async def can_open(self) -> bool:
        """Say whether notices pass over the database's address; raise if it cannot be reached."""
        if self._url is None:
            return False
        connection = await _connect(self._url)
        try:
            return await _is_direct(connection)
        finally:
            await _close(connection)

    async def keep_open(self, hear: Hear, on_open: OnOpen) -> None:
        """Stay connected until cancelled; return only if the line can never be open.

        *hear* is called with each notice of another process, *on_open* at each connect, when what
        was said before was not heard.
        """
        pause = _FIRST_PAUSE_SECONDS
        while self._url is not None:
            try:
                await self._use(self._url, hear, on_open)
                pause = _FIRST_PAUSE_SECONDS
            except Exception as error:  # noqa: BLE001 - whatever it was, the net is below
                log.warning("notice_line_down", reason=type(error).__name__, retry_in_seconds=pause)
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads the load
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _use(self, url: URL, hear: Hear, on_open: OnOpen) -> None:
        """Connect, and send until the connection is lost."""
        connection = await _connect(url)
        try:
            if not await self._listen(connection, hear):
                return
            self.is_open = True
            log.info("notice_line_open")
            on_open()
            await self._send_until_lost(connection)
            log.warning("notice_line_lost")
        finally:
            self.is_open = False
            self._missed = self._missed or bool(self._waiting)
            self._waiting.clear()
            await _close(connection)

    async def _listen(self, connection: "asyncpg.Connection[Any]", hear: Hear) -> bool:
        """Hear what others send from now on; say whether that is possible here."""
        if not await _is_direct(connection):
            log.warning("notice_line_off", reason=f"{POOLER_FOUND}, and would swallow notices")
            self._url = None
            return False

        def on_notify(_connection: object, sender: int, _channel: str, payload: object) -> None:
            if sender != connection.get_server_pid():
                for notice in str(payload).split("\n"):
                    hear(notice)

        await connection.execute(_WITHOUT_FLUSH, timeout=_ANSWER_SECONDS)
        connection.add_termination_listener(lambda _connection: self._stirred.set())
        await connection.add_listener(_CHANNEL, on_notify)
        return True

    async def _send_until_lost(self, connection: "asyncpg.Connection[Any]") -> None:
        while not connection.is_closed():
            await self._send_waiting(connection)
            await asyncio.sleep(_GAP_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(_PULSE_SECONDS):
                    await self._stirred.wait()
            self._stirred.clear()

    async def _send_waiting(self, connection: "asyncpg.Connection[Any]") -> None:
        notices = [*([MISSED] if self._missed else []), *self._waiting]
        self._missed = False
        self._waiting = {}
        try:
            # Without any it is only the pulse: a connection that is dead may look alive for hours.
            payloads = pack(notices)
            await connection.execute(_NOTIFY, _CHANNEL, payloads, timeout=_ANSWER_SECONDS)
        except BaseException:
            self._missed = bool(notices)
            raise


def pack(notices: Iterable[str]) -> list[str]:
    """Return *notices* as lines of as few payloads as they fit into."""
    payloads: list[str] = []
    room = 0
    for notice in notices:
        size = len(notice.encode()) + 1
        if size <= room:
            payloads[-1] += f"\n{notice}"
            room -= size
        else:
            payloads.append(notice if size <= _MOST_BYTES else MISSED)
            room = max(0, _MOST_BYTES - size)
    return payloads


async def _connect(url: URL) -> "asyncpg.Connection[Any]":
    import asyncpg  # noqa: PLC0415 - an extra that SQLite does without

    connection: asyncpg.Connection[Any] = await asyncpg.connect(
        **connect_arguments(url), server_settings=_NAME
    )
    return connection


async def _is_direct(connection: "asyncpg.Connection[Any]") -> bool:
    """Say whether the process that answers is the one that was named at the connect."""
    answering = await connection.fetchval("SELECT pg_backend_pid()", timeout=_ANSWER_SECONDS)
    return bool(answering == connection.get_server_pid())


async def _close(connection: "asyncpg.Connection[Any]") -> None:
    try:
        await connection.close(timeout=1)
    except Exception:  # noqa: BLE001 - it may be lost already
        connection.terminate()
