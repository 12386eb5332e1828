"""The line between processes: who hears what, and what becomes of what could not be said."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.storage.engines import normalise_url
from gateway_hub.storage.notice_line import MISSED, NoticeLine, pack
from tests.pgbouncer import running_pooler

on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

_SOON = 10.0
_PAYLOAD_LIMIT = 8000
"""PostgreSQL's own: "in the default configuration it must be shorter than 8000 bytes"."""


class Process:
    """One end of the line, as a process has it."""

    def __init__(self, url: str) -> None:
        self.line = NoticeLine(normalise_url(url))
        self.heard: list[str] = []
        self.opened = 0

    async def run(self) -> None:
        await self.line.keep_open(self.heard.append, self._note_open)

    def _note_open(self) -> None:
        self.opened += 1


@asynccontextmanager
async def _running(url: str, *, opens: bool = True) -> AsyncIterator[Process]:
    process = Process(url)
    task = asyncio.create_task(process.run())
    try:
        await _until(lambda: process.line.is_open or not opens)
        yield process
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(_SOON):
        while not condition():
            await asyncio.sleep(0.005)


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg", "postgresql"))
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


_KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'gateway-hub notices' AND datname = current_database()"
)


@pytest.mark.postgres
@on_postgres
async def test_all_others_hear_a_notice_and_who_sent_it_does_not(database_url: str) -> None:
    async with (
        _running(database_url) as speaker,
        _running(database_url) as first,
        _running(database_url) as second,
    ):
        speaker.line.send("hello")
        await _until(lambda: first.heard and second.heard)
        first.line.send("and you")
        await _until(lambda: speaker.heard)
    assert (speaker.heard, first.heard) == (["and you"], ["hello"])
    assert second.heard == ["hello", "and you"]


@pytest.mark.postgres
@on_postgres
async def test_what_is_said_at_one_moment_goes_together_and_arrives_whole(
    database_url: str,
) -> None:
    notices = [f"notice {number} é {'x' * (number % 300)}" for number in range(500)]
    async with _running(database_url) as speaker, _running(database_url) as listener:
        for notice in [*notices, *notices]:
            speaker.line.send(notice)
        await _until(lambda: notices[-1] in listener.heard)
    assert listener.heard == notices


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=3000)
    )
)
def test_every_notice_is_in_a_payload_that_postgresql_takes(notices: list[str]) -> None:
    payloads = pack(notices)
    assert all(0 < len(payload.encode()) < _PAYLOAD_LIMIT for payload in payloads)
    unpacked = [line for payload in payloads for line in payload.split("\n")]
    fits = [notice if len(notice.encode()) < 7900 else MISSED for notice in notices]
    assert unpacked == fits


@pytest.mark.postgres
@on_postgres
async def test_a_line_that_was_cut_comes_back_and_others_hear_that_they_missed_something(
    database_url: str,
) -> None:
    async with _running(database_url) as speaker, _running(database_url) as listener:
        await _execute(database_url, _KILL)
        await _until(lambda: not speaker.line.is_open and not listener.line.is_open)
        speaker.line.send("lost")
        await _until(lambda: speaker.opened == 2 and listener.opened == 2)
        # Whichever was back first: the speaker says so, or the listener looks when it opens.
        speaker.line.send("heard again")
        await _until(lambda: "heard again" in listener.heard)
    assert set(listener.heard) <= {MISSED, "heard again"}


@pytest.mark.postgres
@on_postgres
async def test_more_than_can_wait_is_heard_as_something_missed(database_url: str) -> None:
    async with _running(database_url) as speaker, _running(database_url) as listener:
        for number in range(20_000):
            speaker.line.send(str(number))
        await _until(lambda: MISSED in listener.heard)
        assert len(listener.heard) <= 10_001


@pytest.mark.postgres
async def test_without_a_database_a_line_tries_again_and_keeps_nothing() -> None:
    tries: list[object] = []

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"postgresql://hub@127.0.0.1:{port}/hub?sslmode=disable"
    async with server, _running(url, opens=False) as process:
        process.line.send("lost")
        await _until(lambda: len(tries) > 1)
        assert not process.line.is_open
        assert len(process.line._waiting) == 0


async def test_on_sqlite_there_is_no_line() -> None:
    line = NoticeLine(None)
    assert line.is_silent
    line.send("hello")
    await line.keep_open(print, print)
    assert not await line.can_open()


@pytest.mark.postgres
@on_postgres
async def test_a_line_behind_a_pooler_stays_silent_and_says_so(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_pooler(database_url) as pooled:
        assert NoticeLine(normalise_url(f"{pooled}?pgbouncer=true")).is_silent
        undeclared = NoticeLine(normalise_url(pooled))
        assert not await undeclared.can_open()
        async with asyncio.timeout(_SOON):
            await undeclared.keep_open(print, print)
    assert undeclared.is_silent
    assert "a connection pooler stands before PostgreSQL" in capsys.readouterr().out
