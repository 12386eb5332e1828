import logging
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ops.conftest import CatchLines

log = structlog.get_logger()


def test_a_line_tells_when_how_important_and_what_first(catch_lines: CatchLines) -> None:
    lines = catch_lines()
    log.info("message_submitted", segments=2)
    (event,) = lines.events
    assert list(event) == ["timestamp", "level", "event", "segments"]
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


def test_lines_below_the_level_are_not_written(catch_lines: CatchLines) -> None:
    lines = catch_lines("WARNING")
    log.info("small")
    logging.getLogger("other").info("small")
    log.warning("large")
    assert [event["event"] for event in lines.events] == ["large"]


def test_other_libraries_log_in_the_same_form(catch_lines: CatchLines) -> None:
    lines = catch_lines()
    logging.getLogger("some.library").warning("took %d s\nforged line", 3)
    (event,) = lines.events
    assert event["event"] == "took 3 s\\nforged line"
    assert event["logger"] == "some.library"


def test_libraries_that_tell_what_we_tell_are_heard_from_warnings_on(
    catch_lines: CatchLines,
) -> None:
    lines = catch_lines("DEBUG")
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("aiosqlite").debug("executing INSERT … +255700000001")
    logging.getLogger("uvicorn.error").error("broken")
    assert [event["event"] for event in lines.events] == ["broken"]


def test_secrets_are_hidden_by_name_and_by_look_at_any_depth(catch_lines: CatchLines) -> None:
    lines = catch_lines()
    log.info(
        "start",
        api_key="s3cret",
        url="postgresql://hub:s3cret@db/hub",
        nested={"Authorization": "Basic s3cret", "list": [{"password": "s3cret"}, "ghk_s3cret"]},
        key_id="kept",
    )
    assert "s3cret" not in lines.text
    assert lines.events[0]["key_id"] == "kept"


def test_a_secret_in_an_error_is_hidden(catch_lines: CatchLines) -> None:
    lines = catch_lines()
    try:
        raise RuntimeError("cannot reach postgresql://hub:" + "s3cret" + "@db/hub")  # noqa: TRY301 - only to log it
    except RuntimeError:
        log.exception("start_failed")
    assert "postgresql://[hidden]@db/hub" in lines.events[0]["exception"]
    assert ":s3cret@" not in lines.text


def test_an_error_is_one_line_of_json(catch_lines: CatchLines) -> None:
    lines = catch_lines()
    logging.getLogger("some.library").error("failed", exc_info=ValueError("a\nb\x1b"))
    (event,) = lines.events
    assert event["exception"] == "ValueError: a\nb\\x1b"


def test_a_traceback_on_a_console_cannot_pass_for_an_event(catch_lines: CatchLines) -> None:
    lines = catch_lines(line_format="console")
    log.error("failed", exc_info=ValueError("x\n2026-01-01T00:00:00Z [info] all is well\x1b[0m"))
    first, *others = lines.text.splitlines()
    assert "failed" in first
    assert others
    assert all(line.startswith("    | ") for line in others)
    assert "\x1b" not in lines.text


def test_bound_values_are_on_every_line(catch_lines: CatchLines) -> None:
    lines = catch_lines()
    with structlog.contextvars.bound_contextvars(request_id="request-1"):
        log.info("ours")
        logging.getLogger("some.library").warning("theirs")
    assert [event["request_id"] for event in lines.events] == ["request-1", "request-1"]


def test_a_stream_that_is_no_terminal_gets_json(catch_lines: CatchLines) -> None:
    lines = catch_lines(line_format="auto")
    log.info("x")
    assert lines.events[0]["event"] == "x"


def test_configuring_again_does_not_write_lines_twice(catch_lines: CatchLines) -> None:
    catch_lines()
    lines = catch_lines()
    logging.getLogger("some.library").warning("once")
    assert len(lines.events) == 1


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.binary()
    | st.just(Path("/x")),
    lambda children: st.lists(children) | st.dictionaries(st.text() | st.integers(), children),
    max_leaves=20,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_whatever_is_logged_is_one_line(catch_lines: CatchLines, value: object) -> None:
    lines = catch_lines()
    log.info("x", value=value)
    assert lines.text.count("\n") == 1
    assert len(lines.events) == 1


def test_a_very_long_value_is_cut(catch_lines: CatchLines) -> None:
    lines = catch_lines()
    log.info("x", value="a" * 1_000_000)
    assert len(lines.text) < 10_000


@pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING", "ERROR"])
def test_every_level_of_the_settings_is_known(catch_lines: CatchLines, level: str) -> None:
    lines = catch_lines(level)
    log.error("x")
    assert len(lines.events) == 1
