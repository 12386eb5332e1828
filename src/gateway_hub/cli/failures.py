"""How a command fails: a clear message on standard error, and an exit code with a meaning."""

from enum import IntEnum

import typer


class ExitCode(IntEnum):
    """What the exit code of a failed command says."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


class CommandError(Exception):
    """The command cannot do what was asked; *message* may have more lines than one."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code

    def show(self) -> None:
        """Print the message where errors go."""
        typer.echo(f"gateway-hub: {self.message}", err=True)


class DatabaseBusyError(CommandError):
    """Another process of this machine has the SQLite file."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ExitCode.UNREACHABLE)
