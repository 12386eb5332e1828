"""Times in requests and answers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.api.times import parse_rfc3339
from gateway_hub.domain.clock import format_rfc3339, from_epoch_ms, to_epoch_ms

LAST_MS = 253_402_300_799_999
A_DAY_MS = 86_400_000
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        pytest.param("2026-01-31T12:00:00Z", NOON, id="UTC"),
        pytest.param("2026-01-31t12:00:00z", NOON, id="lower case"),
        pytest.param("2026-01-31 12:00:00Z", NOON, id="space for T"),
        pytest.param("2026-01-31T15:00:00+03:00", NOON, id="east"),
        pytest.param("2026-01-31T07:30:00-04:30", NOON, id="west"),
        pytest.param("2026-01-31T12:00:00-00:00", NOON, id="unknown offset"),
        pytest.param("2026-01-31T12:00:00.5Z", NOON + timedelta(milliseconds=500), id="tenths"),
        pytest.param("2026-01-31T12:00:00.0019999Z", NOON + timedelta(milliseconds=1), id="cut"),
        pytest.param("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC), id="first"),
    ],
)
def test_an_rfc_3339_time_is_read(text: str, moment: datetime) -> None:
    assert parse_rfc3339(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("2026-01-31T12:00:00", id="no offset"),
        pytest.param("2026-01-31", id="date alone"),
        pytest.param("20260131T120000Z", id="basic form"),
        pytest.param("2026-W05-6T12:00:00Z", id="week date"),
        pytest.param("2026-01-31T12:00Z", id="no seconds"),
        pytest.param("2026-02-30T12:00:00Z", id="no such day"),
        pytest.param("2026-01-31T24:30:00Z", id="no such hour"),
        pytest.param("2026-01-31T12:00:60Z", id="leap second"),
        pytest.param("2026-01-31T12:00:00+24:00", id="offset of a day"),
        pytest.param("2026-01-31T12:00:00Z\n", id="line end"),
        pytest.param("٢٠٢٦-01-31T12:00:00Z", id="digits of another script"),
        pytest.param("1969-12-31T23:59:59Z", id="before 1970"),
        pytest.param("1970-01-01T00:00:00+01:00", id="before 1970 in UTC"),
        pytest.param("0001-01-01T00:00:00+23:59", id="before the first year"),
        pytest.param("9999-12-31T23:59:59-23:59", id="after the last year"),
        pytest.param("1769860800", id="number"),
        pytest.param("", id="empty"),
    ],
)
def test_any_other_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever its words
        parse_rfc3339(text)


@given(
    st.integers(0, LAST_MS).map(from_epoch_ms),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_what_is_told_can_be_given_back(moment: datetime, zone: timezone) -> None:
    assert parse_rfc3339(format_rfc3339(moment)) == moment
    if to_epoch_ms(moment) < LAST_MS - A_DAY_MS:
        assert parse_rfc3339(moment.astimezone(zone).isoformat()) == moment
