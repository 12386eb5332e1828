"""Figures that come in pairs: a ratio for each round, told as their median and range."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds measured of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    def text(self, digits: int = 2, unit: str = "") -> str:
        """Return ``median [lowest to highest]``."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:,.{digits}f}{unit} [{low:,.{digits}f} to {high:,.{digits}f}]"


def spread(values: Sequence[float]) -> Spread:
    """Return *values*, one for each round, as a spread."""
    return Spread(tuple(values))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return *ours* divided by *theirs*, round by round."""
    return Spread(tuple(one / other for one, other in zip(ours, theirs, strict=True)))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which *share* (0 to 1) of *values* lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
