"""Fixtures of the operator's edge."""

from collections.abc import Callable, Iterator

import pytest

from gateway_hub.ops.logging import LineFormat
from tests.ops.log_lines import LogLines, untouched_logging

CatchLines = Callable[..., LogLines]


@pytest.fixture
def catch_lines() -> Iterator[CatchLines]:
    """Return a function that catches log lines from now on; logging is put back after the test."""

    def catch(level: str = "INFO", line_format: LineFormat = "json") -> LogLines:
        return LogLines(level, line_format)

    with untouched_logging():
        yield catch
