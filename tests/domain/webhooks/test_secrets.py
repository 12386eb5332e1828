"""Secrets of webhook endpoints."""

import base64

import pytest

from gateway_hub.domain.webhooks.secrets import decode_webhook_secret, generate_webhook_secret


def test_a_new_secret_has_256_bits_and_is_never_the_same() -> None:
    first, second = generate_webhook_secret(), generate_webhook_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(decode_webhook_secret(first)) == 32
    assert base64.b64decode(first.removeprefix("whsec_")) == decode_webhook_secret(first)


def test_padding_may_be_missing() -> None:
    assert decode_webhook_secret("whsec_" + "A" * 43) == bytes(32)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_" + "A" * 42 + "!",
        "whsec_" + "A" * 42 + "ä",
        "whsec_" + "A" * 45,
    ],
    ids=["empty", "prefix", "no-prefix", "short", "long", "not-base64", "not-ascii", "odd"],
)
def test_a_malformed_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(ValueError, match=r"whsec_|24 to 64") as info:
        decode_webhook_secret(secret)
    assert len(secret) < 8 or secret not in str(info.value)
    assert info.value.__cause__ is None
