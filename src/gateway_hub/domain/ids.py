"""UUIDv7 ids in lower-case text: time-ordered, so new rows land at the end of every index."""

import os
import random
import threading
import time
import uuid
from collections.abc import Callable

_RAND_A_BITS = 12
_RAND_B_BITS = 62
_COUNTER_BITS = _RAND_A_BITS + _RAND_B_BITS
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_STEP_BITS = 32

AFTER_ALL_IDS = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""Greater than every id, in any collation: where a list that goes newest first begins."""


# It has to tell ids apart, not to keep a secret: a system call for each cost more than the rest.
# Our own, for what others seed is not random; and one a forked process does not share.
_generator = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_generator.seed)


def _system_ms() -> int:
    return time.time_ns() // 1_000_000


class IdSource:
    """Makes UUIDv7s (RFC 9562 §5.7, method 3), each greater than every earlier one of it."""

    def __init__(
        self,
        now_ms: Callable[[], int] = _system_ms,
        random_bits: Callable[[int], int] = _generator.getrandbits,
    ) -> None:
        self._now_ms = now_ms
        self._random_bits = random_bits
        self._lock = threading.Lock()
        self._last_ms = 0
        self._counter = 0

    def make(self) -> str:
        """Return the next id."""
        with self._lock:
            self._count()
            ms, counter = self._last_ms, self._counter
        rand_a = counter >> _RAND_B_BITS
        rand_b = counter & ((1 << _RAND_B_BITS) - 1)
        value = (ms << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b
        return _to_text(value)

    def _count(self) -> None:
        now_ms = self._now_ms()
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            self._counter = self._random_bits(_COUNTER_BITS - 1)
            return
        self._counter += 1 + self._random_bits(_STEP_BITS)
        if self._counter > _COUNTER_MASK:
            self._last_ms += 1
            self._counter = self._random_bits(_COUNTER_BITS - 1)


def first_id_at(moment_ms: int) -> str:
    """Return what is less than every id made at that time, in epoch milliseconds, or later."""
    return _to_text(moment_ms << 80)


def made_at_ms(made: str) -> int:
    """Return when the id *made* was made, in epoch milliseconds. Raises ValueError for no id."""
    return uuid.UUID(made).int >> 80


def _to_text(value: int) -> str:
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_source = IdSource()


def new_id() -> str:
    """Return an id greater than every earlier one of this process.

    The time of making can be read from it: never use an id as a secret.
    """
    return _source.make()


def use_source(source: IdSource) -> IdSource:
    """Have ids made by *source* from now on, for a simulation; return what made them before."""
    global _source
    before, _source = _source, source
    return before
