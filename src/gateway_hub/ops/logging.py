"""Logs: one event is one line, for people or for machines, without secrets.

Lines of other libraries take the same way. On a console a traceback stands below its line, indented
so that nothing in it can pass for an event.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from gateway_hub.ops.escaping import escape_controls
from gateway_hub.ops.redaction import HIDDEN, is_secret_name, redact
from gateway_hub.ops.tracebacks import TracebackRenderer

LineFormat = Literal["auto", "console", "json"]

_LONGEST_VALUE = 8_000
_DEEPEST = 6
_ORJSON_BITS = 64
# What neither is nor holds a secret or a control character, as most of what is logged.
_PLAIN = re.compile(r"[A-Za-z0-9./:+{}-]*")
_FIRST_FIELDS = ("timestamp", "level", "event")
# These tell what our own lines tell already, or at DEBUG show every statement with its values.
_CHATTY = (
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


class _LineHandler(logging.StreamHandler[TextIO]):
    """Our handler of the root logger, told from those that others put there."""


def configure_logging(
    level: str = "INFO", line_format: LineFormat = "auto", stream: TextIO | None = None
) -> None:
    """Write log lines of *level* and above to *stream* (standard error if not given).

    May be called again; the last call counts.
    """
    stream = sys.stderr if stream is None else stream
    threshold = logging.getLevelNamesMapping()[level]
    render = _renderer(line_format, stream)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        TracebackRenderer(with_values=threshold <= logging.DEBUG),
    ]
    structlog.configure(
        processors=[*shared, clean_event, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _route_other_logs(stream, threshold, shared, render)


def clean_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Hide secrets and escape what could break the line, in names and values at any depth."""
    names = [name for name in _FIRST_FIELDS if name in event]
    names += [name for name in event if name not in _FIRST_FIELDS]
    return {_clean_text(name): _clean_named(name, event[name]) for name in names}


def _route_other_logs(
    stream: TextIO, threshold: int, shared: list[Processor], render: Processor
) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            clean_event,
            render,
        ],
    )
    handler = _LineHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in [item for item in root.handlers if isinstance(item, _LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _renderer(line_format: LineFormat, stream: TextIO) -> Processor:
    terminal = stream.isatty()
    if line_format == "json" or (line_format == "auto" and not terminal):
        return _render_json
    console = structlog.dev.ConsoleRenderer(
        colors=terminal and "NO_COLOR" not in os.environ,
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )

    def render(logger: WrappedLogger, method: str, event: EventDict) -> str:
        if "exception" in event:
            lines = str(event["exception"]).split("\n")
            event["exception"] = "\n".join(f"    | {line}" for line in lines)
        return console(logger, method, event)

    return render


def _render_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event).decode()


def _clean_named(name: object, value: object, depth: int = 0) -> object:
    if isinstance(name, str) and is_secret_name(name) and value is not None:
        return HIDDEN
    if name == "exception" and isinstance(value, str):
        return "\n".join(_clean_text(line) for line in value.split("\n"))
    return _clean(value, depth)


def _clean(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and value.bit_length() < _ORJSON_BITS:
        return int(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {
            _clean_name(str(key)): _clean_named(key, item, depth + 1) for key, item in value.items()
        }
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth + 1) for item in value]
    return _clean_text(str(value))


@lru_cache(maxsize=1024)
def _clean_name(name: str) -> str:
    return _clean_text(name)


def _clean_text(text: str) -> str:
    if len(text) < _LONGEST_VALUE and _PLAIN.fullmatch(text):
        return text
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}… ({len(text)} characters)"
    return escape_controls(redact(text))
