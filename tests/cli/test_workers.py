"""`gateway-hub serve --workers`: several processes on one port, with PostgreSQL."""

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests import postgres
from tests.cli.conftest import Run
from tests.cli.test_server import KEY, Serving, hold_poll, is_held, serving

pytestmark = pytest.mark.postgres

WORKERS = 2


@pytest.fixture
def settings(
    run: Run, postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a hub on an empty PostgreSQL database, to be added to."""
    keys = run("config", "--new-secret-key").out.strip()
    with postgres.empty_database(postgres_server) as url:
        monkeypatch.setenv("GATEWAY_HUB_DATABASE_URL", url)
        monkeypatch.setenv("GATEWAY_HUB_SECRET_KEYS", keys)
        monkeypatch.setenv("GATEWAY_HUB_MIGRATE_AT_START", "true")
        monkeypatch.setenv("GATEWAY_HUB_WORKERS", str(WORKERS))
        yield monkeypatch


class Log:
    """What a hub has logged up to now."""

    def __init__(self, hub: Serving) -> None:
        assert hub.process.stderr is not None
        self._stream = hub.process.stderr
        self.lines: list[dict[str, Any]] = []

    def read_until(self, enough: Callable[[list[dict[str, Any]]], object]) -> None:
        """Read lines until they are *enough*."""
        while not enough(self.lines):
            line = self._stream.readline()
            assert line, self.lines
            self.lines.append(orjson.loads(line))

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the lines of the event *name*."""
        return [line for line in self.lines if line["event"] == name]

    def find_worker(self, request_id: str) -> int:
        """Return which worker answered a request."""
        self.read_until(lambda lines: request_id == lines[-1].get("request_id"))
        worker: int = self.lines[-1]["worker"]
        return worker

    def pids(self) -> dict[int, int]:
        """Return the newest process id of each worker."""
        return {line["worker"]: line["pid"] for line in self.of("worker_ready")}


def _ready(times: int) -> Callable[[list[dict[str, Any]]], bool]:
    def enough(lines: list[dict[str, Any]]) -> bool:
        return len([line for line in lines if line["event"] == "worker_ready"]) >= times

    return enough


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_workers_share_the_port_and_what_they_know(
    run: Run, folder: Path, settings: pytest.MonkeyPatch
) -> None:
    with serving(folder) as hub:
        log = Log(hub)
        log.read_until(_ready(WORKERS))
        assert sorted(log.pids()) == [1, 2]
        assert hub.process.pid not in log.pids().values()
        assert not (folder / "data" / "running.json").exists()
        (first,) = KEY.findall(hub.said)

        bearer = {"Authorization": f"Bearer {first}"}
        answered_by: set[int] = set()
        while len(answered_by) < WORKERS:
            answer = httpx.get(f"{hub.url}/v1/projects", headers=bearer)
            assert answer.status_code == 200
            answered_by.add(log.find_worker(answer.headers["X-Request-Id"]))
        assert answered_by == {1, 2}

        elsewhere = {"url": hub.url, "api_key": first}
        number = "+255700000001"
        device = run(
            *("device", "create", "--name", "x", "--protocol", "envaya", "--json"),
            *("--phone-number", number),
            **elsewhere,
        ).json()
        poll = hold_poll(hub.url, number, device["credentials"]["password"])
        with closing(poll) as held:
            assert is_held(held)
            began = time.monotonic()
            hub.process.terminate()
            with held.getresponse() as last:
                assert last.status == 200
            exit_code, err = hub.wait()
        assert (exit_code, time.monotonic() - began < 10) == (0, True)
        assert "Traceback" not in err


def test_a_worker_that_dies_is_started_again_and_the_others_serve_on(
    folder: Path, settings: pytest.MonkeyPatch
) -> None:
    with serving(folder) as hub:
        log = Log(hub)
        log.read_until(_ready(WORKERS))
        before = log.pids()
        os.kill(before[2], signal.SIGKILL)
        assert httpx.get(f"{hub.url}/livez").status_code == 200
        log.read_until(_ready(WORKERS + 1))
        after = log.pids()
        assert after[1] == before[1]
        assert after[2] != before[2]
        (ended,) = log.of("worker_ended")
        assert (ended["worker"], ended["exit_code"]) == (2, -signal.SIGKILL)
        hub.process.send_signal(signal.SIGINT)
        assert hub.wait()[0] == 0
        assert not any(map(_runs, after.values()))


def test_workers_do_not_outlive_who_looks_after_them(
    folder: Path, settings: pytest.MonkeyPatch
) -> None:
    with serving(folder) as hub:
        log = Log(hub)
        log.read_until(_ready(WORKERS))
        hub.process.kill()
        try:
            # It ends when nobody is left who could write to the log.
            _, rest = hub.process.communicate(timeout=30)
        finally:
            for pid in log.pids().values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        assert rest.count('"event":"stopped"') == WORKERS


def test_what_keeps_workers_from_starting_is_told_once(
    run: Run, folder: Path, settings: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ran = run("serve", "--port", port)
    assert (ran.exit_code, ran.out) == (1, "")
    assert ran.err.startswith(f"gateway-hub: cannot listen on 127.0.0.1:{port}")
    settings.setenv("GATEWAY_HUB_MIGRATE_AT_START", "false")
    ran = run("serve", "--port", "0")
    assert (ran.exit_code, ran.out) == (1, "")
    assert re.fullmatch(r"gateway-hub: the database schema is at nothing .*\n", ran.err)


@pytest.mark.parametrize("url", [None, "sqlite+aiosqlite:///other.sqlite3"])
def test_sqlite_has_one_process(run: Run, folder: Path, url: str | None) -> None:
    given = {} if url is None else {"database_url": url}
    ran = run("serve", "--port", "0", "--workers", "2", **given)
    assert (ran.exit_code, ran.out) == (1, "")
    assert ran.err == (
        "gateway-hub: a setting is wrong: GATEWAY_HUB_WORKERS: this needs PostgreSQL: "
        "a SQLite file serves one process, directly\n"
    )
    assert list(folder.iterdir()) == []
