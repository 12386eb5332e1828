"""Programs and servers that some tests need, and that not every machine has."""

import os
import shutil
from typing import NoReturn

import pytest

# Debian has servers where only root looks for programs.
_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))


def find_program(name: str) -> str:
    """Return the path of a program; a test that cannot have it ends as in `go_without`."""
    path = shutil.which(name, path=_PLACES)
    if path is None:
        go_without(f"no {name}: the program is not on PATH")
    return path


def go_without(reason: str) -> NoReturn:
    """Skip the test that needs what is missing; with ``CI`` set it fails instead."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
