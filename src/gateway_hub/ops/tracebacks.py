"""Tracebacks for the log, without the values that databases and parsers quote in their errors."""

import sys
import traceback

from structlog.types import EventDict, WrappedLogger

_QUOTING = frozenset({"sqlalchemy", "asyncpg", "sqlite3", "aiosqlite", "pydantic", "pydantic_core"})
_MOST_FRAMES = 40
_LONGEST_CHAIN = 8


class TracebackRenderer:
    """A structlog processor that turns ``exc_info`` into the text ``exception``."""

    def __init__(self, *, with_values: bool) -> None:
        """Show every error's own words only *with_values*: some quote numbers and texts."""
        self._with_values = with_values

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Process one event."""
        error = _find_error(event.pop("exc_info", None))
        if error is not None:
            event["exception"] = "\n".join(self._render(item) for item in _chain(error))
        return event

    def _render(self, error: BaseException) -> str:
        frames = traceback.format_tb(error.__traceback__, limit=-_MOST_FRAMES)
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else _full_name(kind)
        hidden = kind.__module__.partition(".")[0] in _QUOTING and not self._with_values
        words = "(its words are logged at DEBUG)" if hidden else str(error)
        return "".join(frames) + (f"{name}: {words}" if words else name)


def _find_error(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None


def _chain(error: BaseException) -> list[BaseException]:
    """Return *error* and what led to it, the first cause first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain and len(chain) < _LONGEST_CHAIN:
        chain.insert(0, current)
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return chain


def _full_name(kind: type[BaseException]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
