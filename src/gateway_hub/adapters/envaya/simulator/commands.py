"""What a server can tell an EnvayaSMS phone to do (the app calls these events)."""

from dataclasses import dataclass


class AnswerError(Exception):
    """Where the app stops reading; its text is what the app logs."""


@dataclass(frozen=True, slots=True)
class CommandSend:
    """Send an SMS; without an id nothing is reported of it."""

    id: str | None
    to: str
    text: str
    priority: int = 0


@dataclass(frozen=True, slots=True)
class CommandCancel:
    """Give back a message that was not sent yet."""

    id: str


@dataclass(frozen=True, slots=True)
class CommandCancelAll:
    """Give back all of them."""


@dataclass(frozen=True, slots=True)
class CommandLog:
    """Write a line into the app's log."""

    message: str


@dataclass(frozen=True, slots=True)
class CommandSettings:
    """Change settings; *refused* have values of a type that the app does not store."""

    settings: dict[str, str | bool | int]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PassedOver:
    """No command, but an answer of which the app only logs a *warning* and makes nothing."""

    warning: str


Command = CommandSend | CommandCancel | CommandCancelAll | CommandLog | CommandSettings | PassedOver
