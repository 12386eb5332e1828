"""Budgets and the order in which what waits is taken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway_hub.domain.budget import (
    Budget,
    earliest_fit,
    first_minute,
    in_fair_order,
    minute_of,
    take_what_fits,
)
from gateway_hub.domain.devices import SendLimit
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, Message, MessageType

NOW = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


def message(name: str, priority: int = 0, segments: int = 1) -> Message:
    return Message(
        id=name,
        project_id="p",
        direction=Direction.OUTBOUND,
        type=MessageType.SMS,
        status=Status.QUEUED,
        text="x",
        created_at=NOW,
        updated_at=NOW,
        priority=priority,
        segments=segments,
    )


def names(messages: list[Message]) -> str:
    return " ".join(item.id for item in messages)


def test_minutes_count_from_1970() -> None:
    assert minute_of(datetime(1970, 1, 1, 0, 2, 59, tzinfo=UTC)) == 2
    assert first_minute(SendLimit(1, 1800), NOW) == minute_of(NOW) - 30


@pytest.mark.parametrize(
    ("limit", "used", "sizes", "taken"),
    [
        (5, 0, [2, 2, 2], 2),
        (5, 4, [2, 1], 0),
        (5, 5, [1], 0),
        (5, 9, [1], 0),
        (1, 0, [3, 1], 1),
        (30, 0, [1] * 40, 10),
    ],
    ids=["as many as fit", "the first ends it", "spent", "overspent", "too large alone", "most"],
)
def test_what_fits_is_taken_from_the_head(
    limit: int, used: int, sizes: list[int], taken: int
) -> None:
    waiting = [message(str(number), segments=size) for number, size in enumerate(sizes)]
    chosen = take_what_fits(waiting, Budget(limit, used), most=10)
    assert chosen == waiting[:taken]


def test_queues_take_turns_within_a_priority() -> None:
    flood = [message("f1"), message("f2"), message("f3"), message("f4", priority=-1)]
    quiet = [message("q1", priority=5), message("q2")]
    assert names(in_fair_order([flood, quiet])) == "q1 f1 q2 f2 f3 f4"


@pytest.mark.parametrize(
    ("start", "order"), [(0, "a1 b1 c1 a2 b2"), (1, "b1 c1 a1 b2 a2"), (5, "c1 a1 b1 a2 b2")]
)
def test_the_turns_begin_with_another_queue_each_time(start: int, order: str) -> None:
    queues = [[message("a1"), message("a2")], [message("b1"), message("b2")], [message("c1")]]
    assert names(in_fair_order(queues, start=start)) == order


def test_nothing_is_lost_or_doubled_by_the_order() -> None:
    queues = [[message(f"{q}{n}", priority=n % 2) for n in range(q)] for q in range(6)]
    for queue in queues:
        queue.sort(key=lambda item: -item.priority)
    ordered = [item.id for item in in_fair_order(queues)]
    assert sorted(ordered) == sorted(item.id for queue in queues for item in queue)


def test_a_message_without_a_size_counts_as_one() -> None:
    waiting = [replace(message("a"), segments=None), message("b")]
    assert names(take_what_fits(waiting, Budget(1, 0), most=5)) == "a"


def test_the_earliest_time_is_when_enough_has_left_the_window() -> None:
    limit = SendLimit(5, 600)
    minute = minute_of(NOW)
    used = [(minute - 8, 3), (minute - 2, 2)]
    start = NOW.replace(second=0)
    assert earliest_fit(limit, [], 5, NOW) == NOW
    assert earliest_fit(limit, used, 3, NOW) == start + timedelta(minutes=3)
    assert earliest_fit(limit, used, 5, NOW) == start + timedelta(minutes=9)
