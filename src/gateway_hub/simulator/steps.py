"""What a phone does and meets, step by step, in words that are the same for all protocols."""

from dataclasses import dataclass
from typing import Literal

StepName = Literal[
    "asked",
    "answered",
    "given",
    "nothing",
    "on_air",
    "reported",
    "received",
    "forwarded",
    "commanded",
    "redirected",
    "lost",
    "refused",
    "not_understood",
    "crashed",
    "no_answer",
]
"""``asked`` for work; ``answered``: by the server, with which HTTP status and after how long;
``given`` an SMS to send, or ``nothing``; ``on_air``: the SMS really left; ``reported`` a status
and ``forwarded`` an SMS, which the phone now believes the server has; ``commanded`` something else;
``lost``: an SMS or a status that the phone believes the server has, and a redirect lost;
``crashed``: the app died of the answer.
"""


@dataclass(frozen=True, slots=True)
class Step:
    """One step. *contact* is whom the phone sends to or receives from.

    *status* is in the protocol's own words. *next_seconds* is when a phone that met trouble goes on
    by itself.
    """

    name: StepName
    wire_id: str | None = None
    contact: str | None = None
    text: str | None = None
    parts: int | None = None
    status: str | None = None
    http_status: int | None = None
    seconds: float | None = None
    detail: str | None = None
    next_seconds: float | None = None

    @property
    def is_trouble(self) -> bool:
        """Whether the phone did not get what it wanted."""
        return self.name in ("refused", "not_understood", "crashed", "no_answer")
