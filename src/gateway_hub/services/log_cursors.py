"""Cursors: places in the event log as those outside see them.

A place counts the events of all projects. Sealed it says nothing to anybody, and opens only for the
project that it was given to.
"""

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_KEY_BYTES = 16
_PLACE_BYTES = 8
_PADDING = b"=="


class LogCursors:
    """Seals places with the newest key; every key opens."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the secret *keys* of the hub, newest first."""
        self._ciphers = [_make_cipher(key) for key in keys]

    def seal(self, project_id: str, place: int) -> str:
        """Return the cursor that stands for *place* to that project; always the same one."""
        block = _digest(project_id) + place.to_bytes(_PLACE_BYTES, "big")
        sealed = self._ciphers[0].encryptor().update(block)
        return urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii")

    def find_place(self, project_id: str, cursor: str) -> int | None:
        """Return the place that *cursor* stands for; None if it was never given to that project."""
        try:
            sealed = b64decode(cursor.encode("ascii") + _PADDING, altchars=b"-_", validate=True)
        except ValueError:
            return None
        if len(sealed) != 2 * _PLACE_BYTES:
            return None
        expected = _digest(project_id)
        for cipher in self._ciphers:
            block = cipher.decryptor().update(sealed)
            if hmac.compare_digest(block[:_PLACE_BYTES], expected):
                return int.from_bytes(block[_PLACE_BYTES:], "big")
        return None


def _make_cipher(key: str) -> Cipher[modes.ECB]:
    """Return a cipher for one block: a single block is all that is ever sealed."""
    derived = hmac.digest(key.encode("ascii"), b"event log cursors", "sha256")[:_KEY_BYTES]
    return Cipher(algorithms.AES(derived), modes.ECB())  # noqa: S305 - one block has no pattern


def _digest(project_id: str) -> bytes:
    return hashlib.sha256(project_id.encode("utf-8")).digest()[:_PLACE_BYTES]
