"""Keeps the hub's logs out of the terminal and puts them into the trace of the world that runs."""

import logging
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog

_POOL = "sqlalchemy.pool"  # tells of each connection that was lost


class _Listening:
    tell: Callable[[str], None] | None = None


def listen(tell: Callable[[str], None] | None) -> None:
    """Have *tell* called with each line the hub logs from now on."""
    _Listening.tell = tell


@contextmanager
def quiet() -> Iterator[None]:
    """Keep logs away from everything but `listen`."""
    before = structlog.get_config()
    pool = logging.getLogger(_POOL)
    level = pool.level
    structlog.configure(processors=[_swallow])
    pool.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        structlog.configure(**before)
        pool.setLevel(level)


def _swallow(_logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    if _Listening.tell is not None:
        failure = traceback.format_exc() if event.pop("exc_info", False) else ""
        _Listening.tell(f"log {method} {event} {failure}".rstrip())
    raise structlog.DropEvent
