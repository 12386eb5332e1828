import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway_hub.cli.probe import DEFAULTS
from gateway_hub.cli.running_file import RunningFile, write_running_file
from gateway_hub.settings import load_settings
from tests.cli.conftest import Run


@contextmanager
def answering_once(answer: bytes) -> Iterator[str]:
    """Yield a port on which one connection gets *answer*."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)

        def serve() -> None:
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(listener.getsockname()[1])
        thread.join()


READY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ANSWERS = [
    pytest.param(READY, 0, "ready at {url}", id="ready"),
    pytest.param(
        b"HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nWhy\n.",
        1,
        "{url} is not ready: Why\\n.",
        id="not-ready",
    ),
    pytest.param(
        b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        1,
        "{url} is not ready: HTTP 404",
        id="no-reason",
    ),
    pytest.param(b"SSH-2.0-OpenSSH\r\n", 1, "none answers at {url}", id="not-http"),
    pytest.param(b"", 1, "none answers at {url}", id="hung-up"),
]


@pytest.mark.parametrize(("answer", "exit_code", "said"), ANSWERS)
def test_the_health_check_tells_by_its_exit_code_and_a_line(
    run: Run, answer: bytes, exit_code: int, said: str
) -> None:
    with answering_once(answer) as port:
        ran = run("doctor", "--ready", port=port, host="0.0.0.0")  # noqa: S104 - as in a container
    line = said.format(url=f"http://127.0.0.1:{port}")
    assert (ran.exit_code, ran.out, ran.err) == (exit_code, f"{line}\n", "")


@pytest.mark.parametrize("port", ["1", "none"])
def test_nobody_there_is_not_ready(run: Run, port: str) -> None:
    ran = run("doctor", "--ready", "--json", port=port)
    assert ran.exit_code == 1
    assert ran.json() == {"ok": False, "detail": f"none answers at http://127.0.0.1:{port}"}


def test_the_port_may_be_in_the_file_of_settings(run: Run, folder: Path) -> None:
    with answering_once(READY) as port:
        (folder / ".env").write_text(f"gateway_hub_port={port}\nOTHER\n")
        assert run("doctor", "--ready").exit_code == 0


def test_the_environment_goes_before_the_file(run: Run, folder: Path) -> None:
    (folder / ".env").write_text("GATEWAY_HUB_PORT=1\n")
    with answering_once(READY) as port:
        assert run("doctor", "--ready", port=port).exit_code == 0


@pytest.mark.parametrize("options", [(), ("--data-dir", "other")], ids=["settings", "option"])
def test_a_hub_that_was_given_its_port_as_a_flag_is_found(
    run: Run, folder: Path, options: tuple[str, ...]
) -> None:
    place = folder / (options[-1] if options else "data")
    place.mkdir()
    with answering_once(READY) as port:
        write_running_file(place, RunningFile(f"http://127.0.0.1:{port}", 1, "t"))
        ran = run("doctor", "--ready", *options, port="1")
    assert (ran.exit_code, ran.out) == (0, f"ready at http://127.0.0.1:{port}\n")


def test_with_postgresql_no_other_hub_s_file_counts(run: Run, folder: Path) -> None:
    (folder / "data").mkdir()
    write_running_file(folder / "data", RunningFile("http://127.0.0.1:1", 1, "t"))
    with answering_once(READY) as port:
        ran = run("doctor", "--ready", port=port, database_url="postgresql://hub@db/hub")
    assert ran.exit_code == 0


def test_what_is_not_set_is_as_the_hub_has_it(folder: Path) -> None:
    settings = load_settings()
    host, port, data_dir, database_url = DEFAULTS.values()
    assert (host, port) == (settings.host, str(settings.port))
    assert Path(data_dir) == settings.data_dir
    assert settings.effective_database_url.startswith(database_url)


def test_the_health_check_imports_little() -> None:
    program = """
import sys
from gateway_hub.cli.probe import ask_if_ready
ask_if_ready()
print([name for name in ("httpx", "pydantic", "sqlalchemy") if name in sys.modules])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "GATEWAY_HUB_PORT": "1"},
    )
    assert ran.stdout.strip() == "[]"
