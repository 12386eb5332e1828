"""Secrets that webhooks are signed with: ``whsec_`` and base64, as Standard Webhooks has them."""

import base64
import binascii
import secrets

PREFIX = "whsec_"
_BYTES = 32
_SHORTEST, _LONGEST = 24, 64


def generate_webhook_secret() -> str:
    """Return a new secret of 256 bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode("ascii")


def decode_webhook_secret(secret: str) -> bytes:
    """Return the key within *secret*. Raises ValueError, which does not repeat it."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a webhook secret begins with {PREFIX}")
    encoded = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"a webhook secret holds {_SHORTEST} to {_LONGEST} bytes")
    return key
