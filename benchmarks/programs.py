"""The hub and the programs it is measured beside, each a server in a process of its own."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.prepared import Prepared
from benchmarks.usage import cpu_seconds

HUB = "hub"

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_READY = re.compile(r" is ready at http://127\.0\.0\.1:([0-9]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Program:
    """A server that runs, and the database behind it."""

    name: str
    pid: int
    port: int
    prepared: Prepared


def cpu_of(programs: Collection[Program]) -> float:
    """Return the seconds of a processor that *programs*, and PostgreSQL for them, have used."""
    pids = {program.pid for program in programs}
    for program in programs:
        pids.update(program.prepared.backends())
    return cpu_seconds(pids)


@contextmanager
def running(
    name: str,
    prepared: Prepared,
    *,
    long_poll_seconds: int = 0,
    settings: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Run the hub, or the comparison *name*, on *prepared*, with *settings*; stop it after."""
    log = prepared.folder / f"{name}-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(name),
            env=_environment(prepared, long_poll_seconds) | dict(settings or {}),
            cwd=prepared.folder,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Program(name, process.pid, _wait_for_port(process, log), prepared)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(name: str) -> list[str]:
    if name == HUB:
        return [sys.executable, "-m", "gateway_hub", "serve"]
    return [sys.executable, "-m", "benchmarks.comparisons", name]


def _environment(prepared: Prepared, long_poll_seconds: int) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GATEWAY_HUB_")}
    return {
        **kept,
        **prepared.environment,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "GATEWAY_HUB_PORT": "0",
        "GATEWAY_HUB_LOG_LEVEL": "WARNING",
        "GATEWAY_HUB_LONG_POLL_SECONDS": str(long_poll_seconds),
    }


def _wait_for_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        found = _READY.search(log.read_text(encoding="utf-8"))
        if found:
            return int(found.group(1))
        time.sleep(0.05)
    raise RuntimeError(f"a program did not start:\n{log.read_text(encoding='utf-8')}")
