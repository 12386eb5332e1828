"""A PgBouncer in transaction mode before the tests' PostgreSQL, where there is that program."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy.engine import URL, make_url

from tests.real_parts import find_program

_CONNECTIONS = 3


@contextmanager
def running_pooler(server_url: str, settings: str = "") -> Iterator[str]:
    """Yield the URL of a pooler before the server of *server_url*.

    *settings* are lines of its configuration. It takes its few connections in turns, so that no
    two transactions after one another are likely to meet on the same.
    """
    program = find_program("pgbouncer")
    server = make_url(server_url)
    folder = Path(tempfile.mkdtemp(prefix="gateway-hub-pgbouncer-"))
    folder.chmod(0o755)
    port = _free_port()
    config = folder / "pgbouncer.ini"
    config.write_text(_config(server, port) + settings)
    config.chmod(0o644)
    with (folder / "log").open("wb") as log:
        command = [program, str(config)]
        process = subprocess.Popen(command, stderr=log, user=_find_user(server))
    try:
        _wait_until_open(port, process, folder / "log")
        yield f"postgresql+asyncpg://anybody@127.0.0.1:{port}/{server.database}"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def _config(server: URL, port: int) -> str:
    place = {
        "host": server.query.get("host") or server.host or "127.0.0.1",
        "port": server.port or 5432,
        "user": server.username or "postgres",
        "password": server.password,
    }
    known = " ".join(f"{name}={value}" for name, value in place.items() if value)
    return f"""
[databases]
* = {known}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {_CONNECTIONS}
server_round_robin = 1
"""


def _find_user(server: URL) -> int | None:
    """Return whom to run it as: it refuses root, and the server's socket lets its owner in."""
    if os.geteuid() != 0:
        return None
    socket_folder = server.query.get("host")
    if isinstance(socket_folder, str) and socket_folder.startswith("/"):
        return Path(socket_folder).stat().st_uid
    return 65534


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _wait_until_open(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail(f"PgBouncer does not start: {log.read_text()}")
