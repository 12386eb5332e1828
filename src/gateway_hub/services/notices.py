"""What processes on one database tell one another, in words: ids and counts, never what a message
says or to whom."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import orjson

from gateway_hub.storage.notice_line import NoticeLine


class About(StrEnum):
    """What a notice is about, and what its subject and number are."""

    QUEUED = "queued"
    """Messages were queued: the queue, and how many."""
    HELD = "held"
    """A device was handed messages: its id, and when the first lease ends (epoch milliseconds)."""
    ASKED_BACK = "asked_back"
    """A device is to be asked to give a message back: its id."""
    DEVICE = "device"
    """A device was changed or removed: its id."""
    DIRECTORY = "directory"
    """Something that the directory keeps in memory was changed."""
    EVENTS = "events"
    """There are new events in the log."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One fact that others do well to know at once."""

    about: About
    subject: str = ""
    number: int = 0

    def as_text(self) -> str:
        """Return it as one line."""
        return orjson.dumps([self.about, self.subject, self.number]).decode()


Tell = Callable[[Notice], None]
"""Lets the other processes know; never waits, and may fail unseen."""


def tell_nobody(_notice: Notice) -> None:
    """Do nothing: there is no other process."""


def tell_over(line: NoticeLine) -> Tell:
    """Return the way to tell those who hear *line*."""
    if line.is_silent:
        return tell_nobody
    return lambda notice: line.send(notice.as_text())


def parse_notice(text: str) -> Notice | None:
    """Return what *text* says; None for the words of another version."""
    try:
        about, subject, number = orjson.loads(text)
        return Notice(About(about), str(subject), int(number))
    except (ValueError, TypeError):
        return None
