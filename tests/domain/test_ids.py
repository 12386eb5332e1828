"""Ids are UUIDv7 (RFC 9562 §5.7), read back by the standard library."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from gateway_hub.domain.ids import new_id


def many_ids(count: int) -> list[str]:
    """Make ids as fast as one thread can, so that most share a millisecond."""
    return [new_id() for _ in range(count)]


def test_an_id_is_a_version_7_uuid_in_lower_case_text() -> None:
    for text in many_ids(100):
        parsed = uuid.UUID(text)
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
        assert str(parsed) == text


def test_an_id_begins_with_the_millisecond_of_its_making() -> None:
    before_ms = time.time_ns() // 1_000_000
    made_ms = uuid.UUID(new_id()).int >> 80
    after_ms = time.time_ns() // 1_000_000
    assert before_ms <= made_ms <= after_ms


def test_every_id_is_greater_than_the_one_before() -> None:
    ids = many_ids(10_000)
    assert all(earlier < later for earlier, later in pairwise(ids))


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(max_workers=8) as threads:
        batches = list(threads.map(many_ids, [2_000] * 8))
    assert len({text for batch in batches for text in batch}) == 16_000
    assert all(batch == sorted(batch) for batch in batches)
