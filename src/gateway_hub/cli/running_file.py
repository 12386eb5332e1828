"""``running.json`` in the data folder: how commands on the same machine find the running hub."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

_NAME = "running.json"


@dataclass(frozen=True, slots=True)
class RunningFile:
    """Where the hub listens, and the token that makes its owner an admin while it runs."""

    url: str
    pid: int
    operator_token: str


def write_running_file(data_dir: Path, content: RunningFile) -> None:
    """Write the file, readable by its owner alone; nobody ever sees half of it."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{_NAME}-", dir=data_dir)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(content), file)
    Path(temporary).replace(data_dir / _NAME)


def find_running_file(data_dir: Path) -> RunningFile | None:
    """Return what the file says, also if its hub is long gone; None if there is none."""
    try:
        return RunningFile(**json.loads((data_dir / _NAME).read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def remove_running_file(data_dir: Path) -> None:
    """Remove the file; harmless when it is gone."""
    (data_dir / _NAME).unlink(missing_ok=True)
