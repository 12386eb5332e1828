"""Signatures, against those that other programs make and take."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks

from gateway_hub.domain.webhooks.secrets import generate_webhook_secret
from gateway_hub.domain.webhooks.signing import (
    WebhookVerificationError,
    sign_webhook,
    verify_webhook,
)

# The example of Standard Webhooks' own libraries; made again with `openssl dgst -sha256 -mac HMAC`.
SPEC_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SPEC_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SPEC_TIME = datetime(2021, 2, 25, 15, 2, 10, tzinfo=UTC)
SPEC_BODY = b'{"test": 2432232314}'
SPEC_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

# Made with: printf '%s' 'ID.SECONDS.BODY' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001…1f
SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ID = "01980000-0000-7000-8000-000000000001"
NOW = datetime(2026, 3, 1, 12, 0, 0, 999_000, tzinfo=UTC)
BODY = '{"text":"Habari 😀"}'.encode()
SIGNATURE = "v1,fVN/bMtIv/rtdV3M/jDFsuDVV5BzXyQD28hzYXjRF2M="


def headers(**changes: str) -> dict[str, str]:
    given = sign_webhook(ID, NOW, BODY, [SECRET])
    return given | {name.replace("_", "-"): value for name, value in changes.items()}


def test_the_example_of_the_standard_is_signed_as_it_says() -> None:
    assert sign_webhook(SPEC_ID, SPEC_TIME, SPEC_BODY, [SPEC_SECRET]) == {
        "webhook-id": SPEC_ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SPEC_SIGNATURE,
    }


def test_what_openssl_signs_we_sign_alike() -> None:
    assert sign_webhook(ID, NOW, BODY, [SECRET]) == {
        "webhook-id": ID,
        "webhook-timestamp": "1772366400",
        "webhook-signature": SIGNATURE,
    }


def test_the_public_library_takes_what_we_sign() -> None:
    secret, now = generate_webhook_secret(), datetime.now(UTC)
    signed = sign_webhook(ID, now, BODY, [secret])
    assert standardwebhooks.Webhook(secret).verify(BODY, signed) == json.loads(BODY)


def test_we_take_what_the_public_library_signs() -> None:
    secret, now = generate_webhook_secret(), datetime.now(UTC)
    signature = standardwebhooks.Webhook(secret).sign(ID, now, BODY.decode())
    seconds = str(int(now.timestamp()))
    verify_webhook(
        {"Webhook-Id": ID, "Webhook-Timestamp": seconds, "Webhook-Signature": signature},
        BODY,
        secret,
    )


def test_while_a_secret_rotates_either_is_enough() -> None:
    old, new, now = generate_webhook_secret(), generate_webhook_secret(), datetime.now(UTC)
    signed = sign_webhook(ID, now, BODY, [new, old])
    assert signed["webhook-signature"].count(" ") == 1
    for secret in (old, new):
        verify_webhook(signed, BODY, secret)
        standardwebhooks.Webhook(secret).verify(BODY, signed)
    with pytest.raises(WebhookVerificationError):
        verify_webhook(signed, BODY, generate_webhook_secret())


def test_signatures_of_other_kinds_are_passed_over() -> None:
    given = headers(webhook_signature=f"v1a,AAAA v2,{SIGNATURE[3:]} {SIGNATURE}")
    verify_webhook(given, BODY, SECRET, now=NOW)


FORGED = [
    pytest.param({"webhook_id": ID[:-1] + "2"}, id="id"),
    pytest.param({"webhook_timestamp": "1772366401"}, id="timestamp"),
    pytest.param({"webhook_signature": ""}, id="empty"),
    pytest.param({"webhook_signature": SIGNATURE[3:]}, id="no-version"),
    pytest.param({"webhook_signature": SIGNATURE[:-1]}, id="shortened"),
    pytest.param({"webhook_signature": SIGNATURE.replace("v1,", "v2,")}, id="version"),
    pytest.param({"webhook_signature": SIGNATURE.replace("v1,", "v1a,")}, id="other-kind"),
    pytest.param({"webhook_signature": "v1,\u00e4\ud83d"}, id="not-ascii"),
    pytest.param({"webhook_signature": "v1, v1, ,,,"}, id="commas"),
]


@pytest.mark.parametrize("changes", FORGED)
def test_a_changed_header_is_refused(changes: dict[str, str]) -> None:
    with pytest.raises(WebhookVerificationError, match="no signature matches"):
        verify_webhook(headers(**changes), BODY, SECRET, now=NOW)


def test_a_changed_body_and_another_secret_are_refused() -> None:
    with pytest.raises(WebhookVerificationError):
        verify_webhook(headers(), BODY + b" ", SECRET, now=NOW)
    with pytest.raises(WebhookVerificationError):
        verify_webhook(headers(), BODY, SPEC_SECRET, now=NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(missing: str) -> None:
    given = headers()
    del given[missing]
    with pytest.raises(WebhookVerificationError, match=missing):
        verify_webhook(given, BODY, SECRET, now=NOW)


@pytest.mark.parametrize("seconds", [-301, 301, 86_400])
def test_a_timestamp_far_from_the_clock_is_refused(seconds: int) -> None:
    with pytest.raises(WebhookVerificationError, match="clock"):
        verify_webhook(headers(), BODY, SECRET, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [-300, 0, 300])
def test_five_minutes_are_tolerated(seconds: int) -> None:
    verify_webhook(headers(), BODY, SECRET, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "1e9", " 1772366400", "١٢", "9" * 5000])
def test_a_timestamp_that_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(WebhookVerificationError, match="timestamp"):
        verify_webhook(headers(webhook_timestamp=text), BODY, SECRET, now=NOW)


def test_nothing_is_signed_without_a_secret() -> None:
    with pytest.raises(ValueError, match="at least one secret"):
        sign_webhook(ID, NOW, BODY, [])
    with pytest.raises(ValueError, match="whsec_"):
        sign_webhook(ID, NOW, BODY, ["secret"])
