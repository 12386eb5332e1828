"""What must never be, looked for in all that was seen and in what is on disk at the end.

Nothing here asks the hub for its rules: they are written down once more, from its documents.
"""

from tests.simulation import (
    rules_of_ends,
    rules_of_events,
    rules_of_inbound,
    rules_of_offers,
    rules_of_statuses,
    rules_of_takes,
)
from tests.simulation.case import Case

KINDS = {
    "lost": "answered for with success, and not on disk at that moment or at the end",
    "stuck": "never came to an end, or expired although a phone was there",
    "unexpected": "stored, offered or sent, and nobody asked for it, or not like this, or twice",
    "backward": "a status fell back within one attempt",
    "early": "offered before its time, or once more inside its lease",
    "left out": "put into a phone's hands, and left out of the answer to it",
    "late": "offered after it expired, or after its cancel was confirmed",
    "two holders": "another phone got it, and no rule gave a reason",
    "sent twice": "taken anew by a phone that knew it, or one attempt or offer too many",
    "over budget": "a phone got more segments in a window than it may send",
    "untrue": "a status says sent what never left, or not sent what did",
    "miscounted": "a number that is kept is not what counting gives",
    "mistold": "an event is missing, told twice, or out of order",
    "refused": "a phone was answered anything but 200 and 503",
}
"""The kinds of fault, and what each means."""


def judge(case: Case) -> None:
    """Note in the ledger all that is wrong."""
    rules_of_ends.judge(case)
    rules_of_statuses.judge(case)
    rules_of_offers.judge(case)
    rules_of_takes.judge(case)
    rules_of_inbound.judge(case)
    rules_of_events.judge(case)
