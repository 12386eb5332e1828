"""Log lines caught in a test, and the logging of the process put back as it was."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import structlog

from gateway_hub.ops.logging import LineFormat, configure_logging

_OTHERS = (
    "asyncio",
    "uvicorn",
    "alembic",
    "sqlalchemy",
    "aiosqlite",
    "httpx",
    "httpcore",
    "httpcore2",
    "python_multipart",
)


class LogLines:
    """What was logged since the start, in the form asked for."""

    def __init__(self, level: str, line_format: LineFormat) -> None:
        self._stream = io.StringIO()
        configure_logging(level, line_format, self._stream)

    @property
    def text(self) -> str:
        """All of it, as written."""
        return self._stream.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Each line as an object; only for JSON."""
        return [orjson.loads(line) for line in self.text.splitlines()]


@contextmanager
def untouched_logging() -> Iterator[None]:
    """Undo in the end whatever the block does to the process's logging."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in _OTHERS}
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
