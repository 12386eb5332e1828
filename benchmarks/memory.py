"""What ten thousand phones cost in memory once each has asked for work."""

import time
from contextlib import ExitStack

from benchmarks.databases import PostgresServer
from benchmarks.load import loader, send
from benchmarks.prepared import Phones, prepared
from benchmarks.programs import HUB, running
from benchmarks.requests import Kind
from benchmarks.results import Figure, Part
from benchmarks.usage import memory_mb

_PHONES = 10_000
_FIRST = 100
_MOST_MB = 60.0
_UNTIL_WRITTEN_SECONDS = 7.0
"""The hub writes what phones told every five seconds; that takes memory too."""


def measure_memory(kind: str, *, server: PostgresServer | None) -> Part:
    """Return by how much the hub grows when all phones have polled once."""
    with ExitStack() as stack:
        load = stack.enter_context(loader())
        database = stack.enter_context(prepared(kind, server, Phones(medic=_PHONES, envaya=0)))
        hub = stack.enter_context(running(HUB, database))
        load.call(send, hub.port, Kind.MEDIC_POLL, database.known, _FIRST)
        time.sleep(_UNTIL_WRITTEN_SECONDS)
        before = memory_mb(hub.pid)
        load.call(send, hub.port, Kind.MEDIC_POLL, database.known, _PHONES)
        time.sleep(_UNTIL_WRITTEN_SECONDS)
        growth = memory_mb(hub.pid) - before
    return Part(
        key=f"memory {kind}",
        title=f"Memory of known phones, {kind}",
        command=f"python -m benchmarks memory --database {kind}",
        figures=[
            Figure(
                f"{_PHONES:,} CHT phones that have polled once",
                f"{growth:,.0f} MB more than {before:,.0f} MB",
                f"≤ {_MOST_MB:g} MB",
                growth <= _MOST_MB,
            )
        ],
        notes=["One run; resident memory of the process, what it wrote of them included."],
    )
