"""A lock that keeps a second process off a SQLite file."""

import fcntl
import os
from pathlib import Path


class DatabaseInUseError(Exception):
    """Another process has the database open."""


class ProcessLock:
    """An exclusive lock on ``<database file>.lock``; the system frees it when the process ends."""

    def __init__(self, database_file: Path) -> None:
        file = database_file.resolve()  # two names of one file are one database
        self._path = file.with_name(file.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise DatabaseInUseError at once."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DatabaseInUseError(
                f"{self._path.with_suffix('')} is in use by another process. A SQLite database "
                "serves one hub; use PostgreSQL for more."
            ) from None
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; harmless when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
