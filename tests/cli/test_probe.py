import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.conftest import Run


@contextmanager
def answering_once(answer: bytes) -> Iterator[str]:
    """Yield a port on which one connection gets *answer*."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(listener.getsockname()[1])
        thread.join()


ANSWERS = [
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, id="ready"),
    pytest.param(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 1, id="not-ready"),
    pytest.param(b"SSH-2.0-OpenSSH\r\n", 1, id="not-http"),
    pytest.param(b"", 1, id="hung-up"),
]


@pytest.mark.parametrize(("answer", "exit_code"), ANSWERS)
def test_the_health_check_tells_by_its_exit_code(run: Run, answer: bytes, exit_code: int) -> None:
    with answering_once(answer) as port:
        ran = run("doctor", "--ready", port=port, host="0.0.0.0")  # noqa: S104 - as in a container
    assert (ran.exit_code, ran.out, ran.err) == (exit_code, "", "")


@pytest.mark.parametrize("port", ["1", "none"])
def test_nobody_there_is_not_ready(run: Run, port: str) -> None:
    assert run("doctor", "--ready", port=port).exit_code == 1


def test_the_health_check_needs_the_standard_library_only() -> None:
    program = """
import sys
from gateway_hub.cli.probe import is_ready
is_ready()
print([name for name in ("httpx", "pydantic_settings", "sqlalchemy") if name in sys.modules])
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"GATEWAY_HUB_PORT": "1"},
    )
    assert ran.stdout.strip() == "[]"
