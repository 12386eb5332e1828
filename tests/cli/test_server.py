"""`gateway-hub serve` as a process of its own: its start, its stop, and commands beside it."""

import base64
import hashlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx

from tests.cli.conftest import Run

KEY = re.compile(r"^ {2}(ghk_\S+)$", re.MULTILINE)
HALF_A_POST = (
    b"POST /envaya HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"
)


class Serving:
    """A hub in a process of its own, and what it said up to now."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self.said = ""
        for line in process.stdout:
            self.said += line
            if line.startswith("  data "):
                break
        self.url = re.search(r"is ready at (\S+)", self.said + " is ready at nothing")[1]  # type: ignore[index]

    def wait(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and what was on standard error."""
        # Not communicate(): it passes over what the file object has read ahead.
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        exit_code = self.process.wait(timeout=15)
        self.said += self.process.stdout.read()
        return exit_code, self.process.stderr.read()


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Serving]:
    command = [sys.executable, "-m", "gateway_hub", "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.communicate()


def test_a_hub_lives_from_its_first_key_to_a_clean_stop(run: Run, folder: Path) -> None:
    with serving(folder) as hub:
        running = folder / "data" / "running.json"
        answer = httpx.get(f"{hub.url}/readyz")
        assert (answer.status_code, answer.headers.get("Server")) == (200, None)
        assert json.loads(running.read_text())["pid"] == hub.process.pid

        # Commands beside it reach it over HTTP: the file is locked.
        made = run("key", "create", "--name", "n", "--scope", "messages:read", "--json").json()
        bearer = {"Authorization": f"Bearer {made['key']}"}
        assert httpx.get(f"{hub.url}/v1/messages", headers=bearer).status_code == 200
        assert run("doctor").exit_code == 0
        assert run("init", "--json").json()["key"] is None

        refused = run("serve", "--port", "0")
        assert (refused.exit_code, len(refused.err.splitlines())) == (3, 1)

        hub.process.terminate()
        exit_code, err = hub.wait()
        assert exit_code == 0
        assert "Traceback" not in err
        assert not running.exists()
        (first,) = KEY.findall(hub.said)

    with serving(folder) as again:
        bearer = {"Authorization": f"Bearer {first}"}
        assert httpx.get(f"{again.url}/v1/projects", headers=bearer).status_code == 200
        elsewhere = {"url": again.url, "api_key": first}
        assert run("project", "create", "north", **elsewhere).exit_code == 0
        assert run("message", "list", "--project", "north", **elsewhere).exit_code == 0
        again.process.send_signal(signal.SIGINT)
        assert again.wait()[0] == 0
        assert KEY.findall(again.said) == []


def sign(url: str, fields: dict[str, str], password: str) -> str:
    """Return EnvayaSMS's signature: URL, fields by name, password, joined by commas."""
    parts = [url, *(f"{name}={fields[name]}" for name in sorted(fields)), password]
    return base64.b64encode(hashlib.sha1(",".join(parts).encode()).digest()).decode()  # noqa: S324 - the app's choice


def hold_poll(url: str, phone_number: str, password: str) -> http.client.HTTPConnection:
    """Let an EnvayaSMS phone ask for work; return the connection on which it waits."""
    fields = {
        "action": "outgoing",
        "phone_number": phone_number,
        "now": str(int(time.time() * 1000)),
        "version": "30",
    }
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Request-Signature": sign(f"{url}/envaya", fields, password),
    }
    connection.request("POST", "/envaya", urlencode(fields), headers)
    return connection


def is_held(connection: http.client.HTTPConnection) -> bool:
    """Say whether no byte of an answer comes within a second."""
    assert connection.sock is not None
    connection.sock.settimeout(1)
    try:
        connection.sock.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        connection.sock.settimeout(30)
    return False


def test_a_stop_answers_held_polls_and_does_not_wait_for_ever(run: Run, folder: Path) -> None:
    with ExitStack() as stack:
        hub = stack.enter_context(serving(folder, "--log-level", "debug"))
        number = "+255700000001"
        device = run(
            *("device", "create", "--name", "x", "--protocol", "envaya", "--json"),
            *("--phone-number", number),
        ).json()
        poll = hold_poll(hub.url, number, device["credentials"]["password"])
        held = stack.enter_context(closing(poll))
        assert is_held(held)
        address = ("127.0.0.1", int(hub.url.rpartition(":")[2]))
        idle = stack.enter_context(socket.create_connection(address, timeout=5))
        half = stack.enter_context(socket.create_connection(address, timeout=5))
        half.sendall(HALF_A_POST)
        assert half.recv(100).startswith(b"HTTP/1.1 100 ")

        began = time.monotonic()
        hub.process.terminate()
        with held.getresponse() as answer:
            assert (answer.status, time.monotonic() - began < 2) == (200, True)
        assert idle.recv(1) == b""
        exit_code, err = hub.wait()
        assert time.monotonic() - began < 10
        assert exit_code == 0
        assert "Traceback" not in err, err


def test_commands_at_the_same_time_wait_for_each_other(run: Run, folder: Path) -> None:
    run("init")
    arguments = ["key", "create", "--name", "n", "--scope", "messages:read"]
    command = [sys.executable, "-m", "gateway_hub", *arguments]
    both = [subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert len(run("key", "list", "--json").json()["data"]) == 3


def test_what_hangs_in_the_stop_is_ended() -> None:
    program = """
import time
from gateway_hub.cli.deadline import end_after
end_after(0.2)
time.sleep(60)
"""
    began = time.monotonic()
    ran = subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    assert ran.returncode == 1
    assert time.monotonic() - began < 20
