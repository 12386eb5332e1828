"""What a figure depends on besides the code: the machine, Python, libraries and databases."""

import os
import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = (
    "fastapi",
    "starlette",
    "uvicorn",
    "pydantic",
    "sqlalchemy",
    "aiosqlite",
    "asyncpg",
)


def facts(postgres_version: str | None) -> list[str]:
    """Return the facts, one a line; without a date, so that equal machines tell the same."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    databases = [f"SQLite {sqlite3.sqlite_version}"]
    if postgres_version is not None:
        databases.append(f"PostgreSQL {postgres_version}")
    return [
        f"{len(os.sched_getaffinity(0))} cores, {_memory_gib():.0f} GiB of memory, "
        f"{platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}; {libraries}",
        "; ".join(databases),
    ]


def _memory_gib() -> float:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal":
            return int(rest.split()[0]) / 1024**2
    raise RuntimeError("the size of the memory cannot be read")
