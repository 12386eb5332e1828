"""The command line, run inside the test's own process, in an empty folder."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway_hub.cli import main
from tests.ops.log_lines import untouched_logging


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    exit_code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it printed, as JSON."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without a setting in it."""
    for name in [name for name in os.environ if name.upper().startswith("GATEWAY_HUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Return a function that runs one command: its arguments, ``stdin``, and settings by name."""

    def run(*arguments: str, stdin: str = "", **settings: str) -> Ran:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            for name, value in settings.items():
                patch.setenv(f"GATEWAY_HUB_{name.upper()}", value)
            with pytest.raises(SystemExit) as exit_info:
                main(arguments)
        said = capsys.readouterr()
        return Ran(int(exit_info.value.code or 0), said.out, said.err)

    mask = os.umask(0o022)
    with untouched_logging():
        yield run
    os.umask(mask)
