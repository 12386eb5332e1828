"""Times in whole milliseconds, exact both ways."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway_hub.domain.clock import format_rfc3339, from_epoch_ms, system_clock, to_epoch_ms

LAST_MS = 253_402_300_799_999


@pytest.mark.parametrize(
    ("ms", "moment"),
    [
        pytest.param(0, datetime(1970, 1, 1, tzinfo=UTC), id="epoch"),
        pytest.param(1, datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC), id="one millisecond"),
        pytest.param(1_769_851_800_000, datetime(2026, 1, 31, 9, 30, tzinfo=UTC), id="2026"),
        pytest.param(
            LAST_MS, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), id="the last"
        ),
    ],
)
def test_epoch_milliseconds_name_a_moment(ms: int, moment: datetime) -> None:
    assert from_epoch_ms(ms) == moment
    assert to_epoch_ms(moment) == ms


@given(st.integers(0, LAST_MS))
@example(1_315_847_045_001)
def test_milliseconds_come_back_exactly(ms: int) -> None:
    assert to_epoch_ms(from_epoch_ms(ms)) == ms


@pytest.mark.parametrize("ms", [-1, LAST_MS + 1, -(2**63), 2**63, 10**400])
def test_a_time_outside_the_years_1970_to_9999_is_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="outside the years 1970 to 9999"):
        from_epoch_ms(ms)


def test_microseconds_are_cut_not_rounded() -> None:
    assert to_epoch_ms(datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC)) == 1_999


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        pytest.param(
            datetime(2026, 1, 31, 9, 30, tzinfo=UTC), "2026-01-31T09:30:00.000Z", id="whole second"
        ),
        pytest.param(
            datetime(2026, 1, 31, 9, 30, 0, 7_999, tzinfo=UTC),
            "2026-01-31T09:30:00.007Z",
            id="milliseconds, cut",
        ),
        pytest.param(
            datetime(2026, 1, 31, 12, 30, tzinfo=timezone(timedelta(hours=3))),
            "2026-01-31T09:30:00.000Z",
            id="another time zone",
        ),
    ],
)
def test_a_moment_is_written_in_rfc_3339_utc(moment: datetime, text: str) -> None:
    assert format_rfc3339(moment) == text


@given(st.integers(0, LAST_MS))
def test_a_written_moment_is_read_back_by_the_standard_library(ms: int) -> None:
    assert datetime.fromisoformat(format_rfc3339(from_epoch_ms(ms))) == from_epoch_ms(ms)


def test_the_system_clock_is_utc_in_whole_milliseconds() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    now = system_clock()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta(0)
    assert now.microsecond % 1000 == 0
