"""The keys of secrets at rest: given by the operator, or made once for the embedded default."""

import contextlib
import os
import tempfile
from pathlib import Path

from gateway_hub.services.secrets import SecretBox
from gateway_hub.settings import Settings


class SecretKeysMissingError(Exception):
    """No key is given and none may be made."""


def load_secret_keys(settings: Settings) -> list[str]:
    """Return the Fernet keys in force, newest first.

    With SQLite a key is made at the first start and kept beside the database. With PostgreSQL a
    key that one machine made would be missing on the next: SecretKeysMissingError.
    """
    if settings.secret_keys:
        return [key.get_secret_value() for key in settings.secret_keys]
    if not settings.is_embedded:
        raise SecretKeysMissingError(
            "GATEWAY_HUB_SECRET_KEYS is not set. With PostgreSQL every process needs the same key; "
            "make one with: gateway-hub config --new-secret-key"
        )
    return [_read_or_make(settings.key_file)]


def _read_or_make(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        _make(path)
    return path.read_text("ascii").strip()


def _make(path: Path) -> None:
    """Make a key file, whole from its first moment: another process may read it at any time."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(SecretBox.generate_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        Path(temporary).unlink()
