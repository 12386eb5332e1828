"""Secrets: made, hashed when only compared, encrypted when needed in the clear."""

import base64
import hashlib
import hmac
import secrets
import string

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

API_KEY_PREFIX = "ghk_"
_PASSWORD_BYTES = 16
_KEY_ALPHABET = string.ascii_letters + string.digits
_KEY_CHARACTERS = 43
_WEAK_BELOW_CHARACTERS = 12
# OWASP's smaller profile: 19 MiB and 35 ms, so that a few at once do not hurt.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)


class SecretUnreadableError(Exception):
    """A stored secret cannot be decrypted with the keys in force."""


class SecretBox:
    """Encrypts secrets at rest; the newest key encrypts, every key decrypts."""

    def __init__(self, keys: list[str]) -> None:
        """Take Fernet *keys*, newest first. Raises ValueError for a malformed one, or none."""
        if not keys:
            raise ValueError("no secret key is given")
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    @staticmethod
    def generate_key() -> str:
        """Return a new key."""
        return Fernet.generate_key().decode("ascii")

    def encrypt(self, owner_id: str, secret: str) -> bytes:
        """Return *secret* encrypted for *owner_id*; it opens for no other row."""
        return self._fernet.encrypt(f"{owner_id}\0{secret}".encode("utf-8", "surrogatepass"))

    def decrypt(self, owner_id: str, token: bytes) -> str:
        """Return the secret of *owner_id*. Raises SecretUnreadableError."""
        try:
            plain = self._fernet.decrypt(token).decode("utf-8", "surrogatepass")
        except InvalidToken as error:
            raise SecretUnreadableError("no key in force opens this secret") from error
        owner, _, secret = plain.partition("\0")
        if owner != owner_id:
            raise SecretUnreadableError("this secret belongs to another row")
        return secret


def generate_password() -> str:
    """Return a password of 128 bits in characters that survive every phone keyboard and app."""
    return (
        base64.b32encode(secrets.token_bytes(_PASSWORD_BYTES)).decode("ascii").rstrip("=").lower()
    )


def generate_api_key() -> str:
    """Return an API key of 256 bits: letters and digits, so that a double click selects it."""
    return API_KEY_PREFIX + "".join(secrets.choice(_KEY_ALPHABET) for _ in range(_KEY_CHARACTERS))


def is_weak(password: str) -> bool:
    """Say whether *password* could be guessed from one recorded request."""
    return (
        len(password) < _WEAK_BELOW_CHARACTERS or len(set(password)) < _WEAK_BELOW_CHARACTERS // 2
    )


def hash_random_secret(secret: str) -> bytes:
    """Return the SHA-256 of a secret the hub made: too random to be guessed, so fast is fine."""
    return hashlib.sha256(secret.encode("utf-8")).digest()


def hash_chosen_password(password: str) -> bytes:
    """Return the Argon2id hash of a password a person chose. Takes 35 ms: not on the loop."""
    return _HASHER.hash(password).encode("ascii")


def verify_random_secret(candidates: tuple[bytes, ...], digest: bytes) -> bool:
    """Say whether one of *candidates* has that SHA-256; takes the same time either way."""
    matches = [hmac.compare_digest(hashlib.sha256(item).digest(), digest) for item in candidates]
    return any(matches)


def find_chosen_password(candidates: tuple[bytes, ...], stored: bytes) -> bytes | None:
    """Return which of *candidates* has that Argon2id hash. Slow: not on the loop."""
    return next((item for item in candidates if _opens(stored, item)), None)


def _opens(stored: bytes, candidate: bytes) -> bool:
    try:
        return _HASHER.verify(stored, candidate)
    except (Argon2Error, InvalidHashError):
        return False


class VerifiedPasswords:
    """Remembers which password opened which credential, so that Argon2 runs once for each.

    Holds keyed digests only, and only for this process. A credential that is replaced has a new
    id, which no remembered digest names; wrong passwords are not remembered.
    """

    _MOST = 10_000

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._known: set[bytes] = set()

    def remember(self, credential_id: str, password: bytes) -> None:
        """Note that *password* opens that credential."""
        if len(self._known) >= self._MOST:
            self._known.clear()
        self._known.add(self._digest(credential_id, password))

    def knows(self, credential_id: str, passwords: tuple[bytes, ...]) -> bool:
        """Say whether one of *passwords* opened that credential before."""
        return any(self._digest(credential_id, password) in self._known for password in passwords)

    def _digest(self, credential_id: str, password: bytes) -> bytes:
        return hmac.digest(self._key, credential_id.encode("ascii") + b"\0" + password, "sha256")
