"""How a command fails: one clear message on standard error, and an exit code that means something."""

from enum import IntEnum

import typer


class ExitCode(IntEnum):
    """What the exit code of a failed command says."""

    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


class CommandFailure(Exception):  # noqa: N818 - an outcome of a command, not a fault of ours
    """The command cannot do what was asked; *message* may have more lines than one."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.REFUSED) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code

    def show(self) -> None:
        """Print the message where errors go."""
        typer.echo(f"gateway-hub: {self.message}", err=True)
