"""What is worth telling of a phone, and what only changes."""

from dataclasses import replace
from typing import Any

import pytest

from gateway_hub.domain.presence import ToldStatus, is_worth_telling

TOLD = ToldStatus(battery=50, power="BATTERY", network="WIFI", limit=100, told_ms=0)
MINUTE_MS = 60_000


@pytest.mark.parametrize(
    ("changes", "after_minutes", "worth"),
    [
        pytest.param({}, 60 * 24, False, id="nothing"),
        pytest.param({"battery": 41}, 60, False, id="a little battery"),
        pytest.param({"battery": 40}, 60, True, id="a step of battery"),
        pytest.param({"battery": 60}, 60, True, id="a step up"),
        pytest.param({"battery": 15}, 0, True, id="low at once"),
        pytest.param(
            {"battery": None, "power": None, "network": None, "limit": None},
            60,
            False,
            id="not known any more",
        ),
        pytest.param({"power": "AC"}, 1, True, id="plugged in"),
        pytest.param({"power": "AC"}, 0, False, id="plugged in, told a moment ago"),
        pytest.param({"limit": 200}, 1, True, id="limit"),
        pytest.param({"network": "MOBILE"}, 14, False, id="network, told a while ago"),
        pytest.param({"network": "MOBILE"}, 15, True, id="network, told long ago"),
    ],
)
def test_what_is_worth_telling(changes: dict[str, Any], after_minutes: int, *, worth: bool) -> None:
    now = replace(TOLD, told_ms=after_minutes * MINUTE_MS, **changes)
    assert is_worth_telling(TOLD, now) is worth


def test_a_battery_that_stays_low_is_told_of_in_steps_only() -> None:
    low = replace(TOLD, battery=15)
    assert not is_worth_telling(low, replace(low, battery=14, told_ms=MINUTE_MS))
    assert is_worth_telling(low, replace(low, battery=5, told_ms=MINUTE_MS))


def test_a_phone_that_empties_is_told_of_about_ten_times() -> None:
    told, times = replace(TOLD, battery=100), 0
    for minute in range(1, 601):
        now = replace(told, battery=100 - minute // 6, told_ms=minute * MINUTE_MS)
        if is_worth_telling(told, now):
            told, times = now, times + 1
    assert 9 <= times <= 12
