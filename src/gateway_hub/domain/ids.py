"""UUIDv7 ids in lower-case text: time-ordered, so new rows land at the end of every index."""

import secrets
import threading
import time

_RAND_A_BITS = 12
_RAND_B_BITS = 62
_COUNTER_BITS = _RAND_A_BITS + _RAND_B_BITS
_COUNTER_MASK = (1 << _COUNTER_BITS) - 1
_MAX_STEP = 1 << 32

AFTER_ALL_IDS = "ffffffff-ffff-ffff-ffff-ffffffffffff"
"""Greater than every id, in any collation: where a list that goes newest first begins."""

_lock = threading.Lock()
_last_ms = 0
_counter = 0


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562 §5.7, method 3) greater than every earlier one of this process.

    The time of making can be read from it: never use an id as a secret.
    """
    global _last_ms, _counter  # noqa: PLW0603 - one monotonic counter per process is the point
    with _lock:
        now_ms = time.time_ns() // 1_000_000
        if now_ms > _last_ms:
            _last_ms = now_ms
            _counter = secrets.randbits(_COUNTER_BITS - 1)
        else:
            _counter += 1 + secrets.randbelow(_MAX_STEP)
            if _counter > _COUNTER_MASK:
                _last_ms += 1
                _counter = secrets.randbits(_COUNTER_BITS - 1)
        ms, counter = _last_ms, _counter
    rand_a = counter >> _RAND_B_BITS
    rand_b = counter & ((1 << _RAND_B_BITS) - 1)
    value = (ms << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
