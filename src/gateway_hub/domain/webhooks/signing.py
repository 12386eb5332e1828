"""Signatures of webhooks, made and checked as Standard Webhooks 1.0 has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.webhooks.secrets import decode_webhook_secret

ID_HEADER = "webhook-id"
TIMESTAMP_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
TOLERANCE = timedelta(minutes=5)

_VERSION = "v1"
_MOST_DIGITS = 12


class WebhookVerificationError(Exception):
    """A webhook that is not from the hub, or too old, or was changed on its way."""


def sign_webhook(
    event_id: str, now: datetime, body: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """Return the headers that sign *body*, exactly as it is sent, with each of *secrets*.

    While a secret rotates there are two, and a receiver that knows either is content. Raises
    ValueError for a malformed secret, or none.
    """
    if not secrets:
        raise ValueError("a webhook is signed with at least one secret")
    timestamp = str(to_epoch_ms(now) // 1000)
    signatures = [_signature(event_id, timestamp, body, secret) for secret in secrets]
    return {
        ID_HEADER: event_id,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: " ".join(f"{_VERSION},{signature}" for signature in signatures),
    }


def verify_webhook(
    headers: Mapping[str, str],
    body: bytes,
    secret: str,
    *,
    now: datetime | None = None,
    tolerance: timedelta = TOLERANCE,
) -> None:
    """Check that *body*, exactly as it was received, was signed with *secret* just now.

    Raises WebhookVerificationError, and ValueError for a malformed secret.
    """
    given = {name.lower(): value for name, value in headers.items()}
    try:
        event_id, timestamp = given[ID_HEADER], given[TIMESTAMP_HEADER]
        signatures = given[SIGNATURE_HEADER].split(" ")
    except KeyError as error:
        raise WebhookVerificationError(f"the header {error} is missing") from None
    _check_time(timestamp, now or datetime.now(UTC), tolerance)
    expected = f"{_VERSION},{_signature(event_id, timestamp, body, secret)}".encode()
    # Bytes, since text with other than ASCII makes compare_digest raise; and no early end.
    matches = [hmac.compare_digest(_to_bytes(item), expected) for item in signatures]
    if not any(matches):
        raise WebhookVerificationError("no signature matches")


def _signature(event_id: str, timestamp: str, body: bytes, secret: str) -> str:
    signed = _to_bytes(f"{event_id}.{timestamp}.") + body
    digest = hmac.digest(decode_webhook_secret(secret), signed, "sha256")
    return base64.b64encode(digest).decode("ascii")


def _check_time(timestamp: str, now: datetime, tolerance: timedelta) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MOST_DIGITS):
        raise WebhookVerificationError("the timestamp is not a number of seconds")
    age = timedelta(seconds=to_epoch_ms(now) // 1000 - int(timestamp))
    if abs(age) > tolerance:
        raise WebhookVerificationError("the timestamp is too far from this machine's clock")


def _to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
