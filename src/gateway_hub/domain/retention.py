"""How long things are kept, and what is over so that it may be removed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

KEEP_RECEIPTS = timedelta(days=400)
"""How long a message is known again when a phone repeats it, also after it has been removed."""

LEAST_RETENTION = timedelta(days=7)
"""Phones speak of a message, and are asked about it, for six days after they were given it."""

DELIVERY_REPORT_WITHIN = timedelta(days=30)
"""How long a delivery report may be awaited. Networks try to deliver an SMS for a few days, and the
CHT app forgets it after seven: what is only ``sent`` after that is all there will ever be."""


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Since when what is to be removed must have been quiet: in general, and if only ``sent``."""

    quiet_since: datetime
    sent_since: datetime


def cutoffs_at(now: datetime, keep: timedelta) -> Cutoffs:
    """Return the cutoffs of whoever keeps things for *keep*."""
    return Cutoffs(now - keep, now - max(keep, DELIVERY_REPORT_WITHIN))
