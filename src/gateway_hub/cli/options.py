"""Options that many commands share."""

import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
InProject = Annotated[
    str | None,
    typer.Option("--project", metavar="NAME", help="Act in this project (needs an admin key)."),
]
DataDir = Annotated[Path | None, typer.Option(help="Data folder, instead of GATEWAY_HUB_DATA_DIR.")]
DatabaseUrl = Annotated[
    str | None, typer.Option(help="Database, instead of GATEWAY_HUB_DATABASE_URL.")
]
Limit = Annotated[int, typer.Option(min=1, help="Show no more than this many.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def read_secret(given: str | None) -> str | None:
    """Return *given*, or for ``-`` a line of standard input: no other user sees that one.

    Nor does who looks on, if a person types it.
    """
    if given != "-":
        return given
    return getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
