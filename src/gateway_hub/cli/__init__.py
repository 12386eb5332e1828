"""The command line. What a command needs is imported when it runs, so that ``--help`` is quick."""

import io
import os
import sys
from collections.abc import Sequence

from gateway_hub.cli.application import app
from gateway_hub.cli.failures import CommandError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit: 0 done, 1 refused, 2 wrong usage, 3 hub or database unreachable."""
    os.umask(0o077)  # the database, the keys and the attachments are their owner's alone
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments, prog_name="gateway-hub")
    except Exception as error:  # noqa: BLE001 - whatever it was, the user gets one clear line
        failure = _explain(error)
        failure.show()
        sys.exit(failure.exit_code)


def _explain(error: Exception) -> CommandError:
    if isinstance(error, CommandError):
        return error
    from gateway_hub.cli.explanations import explain

    return explain(error)
