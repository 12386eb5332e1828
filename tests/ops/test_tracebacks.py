from sqlite3 import IntegrityError

import pytest

from gateway_hub.ops.tracebacks import TracebackRenderer


def render(error: BaseException, *, with_values: bool = False) -> str:
    renderer = TracebackRenderer(with_values=with_values)
    return str(renderer(None, "error", {"exc_info": error})["exception"])


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    with pytest.raises(type(error)) as info:
        raise error from cause
    return info.value


def test_the_place_and_the_words_of_an_error_are_shown() -> None:
    text = render(raised(ValueError("the port is taken")))
    assert text.endswith("ValueError: the port is taken")
    assert "test_tracebacks.py" in text


def test_a_cause_is_shown_before_what_it_caused() -> None:
    text = render(raised(RuntimeError("outer"), raised(KeyError("inner"))))
    assert text.index("KeyError: 'inner'") < text.index("RuntimeError: outer")


def test_words_of_a_database_are_shown_at_debug_only() -> None:
    error = raised(IntegrityError("value +255700000001 is there"))
    assert "+255700000001" not in render(error)
    assert "sqlite3.IntegrityError" in render(error)
    assert "+255700000001" in render(error, with_values=True)


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert render(first) == "ValueError: b\nValueError: a"


@pytest.mark.parametrize(
    "exc_info", [None, False, (None, None, None)], ids=["none", "false", "empty-tuple"]
)
def test_an_event_without_an_error_stays_as_it_is(exc_info: object) -> None:
    event = TracebackRenderer(with_values=True)(None, "info", {"event": "x", "exc_info": exc_info})
    assert event == {"event": "x"}
