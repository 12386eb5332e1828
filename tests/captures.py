"""Requests recorded from the real apps: the outside oracle of the adapters' tests.

The full set lies beside the repository; a checkout alone uses the small copy in ``tests/captures``.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
_FULL_SET = _HERE.parent.parent / "shared" / "captures"
_SMALL_SET = _HERE / "captures"


@dataclass(frozen=True)
class Capture:
    """One recorded request: *raw* as it came off the socket, *entry* its row of the manifest."""

    name: str
    protocol: str
    raw: bytes
    entry: dict[str, Any]

    @property
    def id(self) -> str:
        """The name a test is shown under; names alone repeat between protocols."""
        return f"{self.protocol}-{self.name}"

    @property
    def head(self) -> str:
        """The request line and headers, one character per byte."""
        return self.raw.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        """The bytes after the blank line."""
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def method(self) -> str:
        """The method of the request line."""
        return self.head.split(" ", 1)[0]

    @property
    def target(self) -> str:
        """The target of the request line: path and query as the phone sent them."""
        return self.head.split(" ", 2)[1]

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers in order, names as sent, one character per byte."""
        lines = self.head.split("\r\n")[1:]
        pairs = (line.partition(":") for line in lines)
        return [(name, value.strip()) for name, _, value in pairs]

    def find_header(self, name: str) -> str | None:
        """Return the first header called *name* in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @property
    def expect(self) -> str:
        """What a hub that knows the device answers: a status, or a word that says why none."""
        return str(self.entry["expect"])

    @property
    def server_url(self) -> str:
        """The URL as typed into the app."""
        return str(self.entry["server_url"])


def captures_dir() -> Path:
    """Return the directory the captures are read from."""
    return _FULL_SET if (_FULL_SET / "manifest.json").is_file() else _SMALL_SET


def load_captures(protocol: str | None = None) -> list[Capture]:
    """Return the captures of *protocol* (None: all) in the order of the manifest."""
    return [c for c in read_captures(captures_dir()) if protocol in (None, c.protocol)]


def get_capture(protocol: str, name: str) -> Capture:
    """Return one capture; raises LookupError if the set at hand does not hold it."""
    for capture in load_captures(protocol):
        if capture.name == name:
            return capture
    raise LookupError(f"no capture {protocol}/{name}")


@cache
def read_captures(directory: Path) -> tuple[Capture, ...]:
    """Read and verify a set of captures; raises ValueError if a file is not as recorded."""
    manifest = json.loads((directory / "manifest.json").read_bytes())
    return tuple(_read_capture(directory, entry) for entry in manifest)


def _read_capture(directory: Path, entry: dict[str, Any]) -> Capture:
    raw = (directory / entry["file"]).read_bytes()
    if hashlib.sha256(raw).hexdigest() != entry["sha256"]:
        raise ValueError(f"{entry['file']} is not the recorded request")
    return Capture(entry["name"], entry["protocol"], raw, entry)
