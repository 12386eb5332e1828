"""What processes use of the machine, as Linux tells it."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time these processes have used; one that has ended has used none."""
    return sum(_ticks(pid) for pid in pids) / _TICKS_PER_SECOND


def memory_mb(pid: int) -> float:
    """Return the memory of a process that is not swapped out, in 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(":")
        if name == "VmRSS":
            return int(rest.split()[0]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has ended")


def _ticks(pid: int) -> int:
    try:
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0
    user, system = told.rpartition(")")[2].split()[11:13]
    return int(user) + int(system)
