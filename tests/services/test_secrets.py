"""Secrets: what is only compared cannot be read back, what must be read opens for its owner."""

import hashlib

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.services.secrets import (
    SecretBox,
    SecretUnreadableError,
    VerifiedPasswords,
    find_chosen_password,
    generate_api_key,
    generate_password,
    hash_chosen_password,
    hash_random_secret,
    is_weak,
    verify_random_secret,
)

_BOX = SecretBox([SecretBox.generate_key()])


@given(
    owner=st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1),
    secret=st.text(st.characters(exclude_categories=[])),
)
def test_a_secret_opens_for_its_owner(owner: str, secret: str) -> None:
    assert _BOX.decrypt(owner, _BOX.encrypt(owner, secret)) == secret


@pytest.mark.parametrize(
    ("owner", "secret", "reader"),
    [
        ("device-1", "secret", "device-2"),
        ("device-1", "secret", "device-1\0secret"),
        ("device-1", "secret", "device"),
        ("device-1", "2\0secret", "device-1\0" + "2"),
        ("device-1", "secret", ""),
    ],
)
def test_a_secret_opens_for_no_other_row(owner: str, secret: str, reader: str) -> None:
    with pytest.raises(SecretUnreadableError):
        _BOX.decrypt(reader, _BOX.encrypt(owner, secret))


def test_equal_secrets_do_not_look_equal_at_rest() -> None:
    tokens = {_BOX.encrypt("device-1", "secret") for _ in range(10)}
    assert len(tokens) == 10
    assert not any(b"secret" in token or b"device" in token for token in tokens)


def test_the_newest_key_encrypts_and_every_key_in_force_decrypts() -> None:
    old, new = SecretBox.generate_key(), SecretBox.generate_key()
    before = SecretBox([old]).encrypt("device-1", "secret")
    rotated = SecretBox([new, old])
    after = rotated.encrypt("device-1", "secret")
    assert rotated.decrypt("device-1", before) == rotated.decrypt("device-1", after) == "secret"
    assert SecretBox([new]).decrypt("device-1", after) == "secret"
    with pytest.raises(SecretUnreadableError):
        SecretBox([new]).decrypt("device-1", before)
    with pytest.raises(SecretUnreadableError):
        SecretBox([old]).decrypt("device-1", after)


def test_a_secret_that_was_tampered_with_does_not_open() -> None:
    token = bytearray(_BOX.encrypt("device-1", "secret"))
    token[-10] ^= 1
    for broken in (bytes(token), b"", b"not a token", bytes(token[:20])):
        with pytest.raises(SecretUnreadableError):
            _BOX.decrypt("device-1", broken)


@pytest.mark.parametrize("keys", [[], ["short"], [""], [Fernet.generate_key().decode(), "x" * 44]])
def test_a_key_that_is_none_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        SecretBox(keys)


def test_a_made_password_has_128_bits_in_characters_every_keyboard_has() -> None:
    made = {generate_password() for _ in range(100)}
    assert len(made) == 100
    assert {len(password) for password in made} == {26}
    assert set("".join(made)) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert not any(map(is_weak, made))


def test_a_made_api_key_has_256_bits_and_says_what_it_is() -> None:
    made = {generate_api_key() for _ in range(100)}
    assert len(made) == 100
    assert {(key[:4], len(key)) for key in made} == {("ghk_", 47)}


@pytest.mark.parametrize(
    ("password", "weak"),
    [
        ("", True),
        ("topSecret", True),
        ("12345678901", True),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", True),
        ("abababababababab", True),
        ("ababcdcdefef", False),
        ("correct horse battery", False),
    ],
)
def test_a_password_that_is_short_or_monotonous_is_weak(password: str, weak: bool) -> None:
    assert is_weak(password) is weak


def test_a_made_secret_is_kept_as_its_sha256() -> None:
    digest = hashlib.sha256(b"secret").digest()
    assert hash_random_secret("secret") == digest
    assert verify_random_secret((b"wrong", b"secret"), digest)
    assert not verify_random_secret((b"wrong", b"Secret"), digest)
    assert not verify_random_secret((), digest)


def test_a_chosen_password_is_kept_as_a_salted_argon2id_hash() -> None:
    stored = hash_chosen_password("pässword")
    assert stored.startswith(b"$argon2id$")
    assert stored != hash_chosen_password("pässword")
    candidates = (b"wrong", "pässword".encode("latin-1"), "pässword".encode())
    assert find_chosen_password(candidates, stored) == "pässword".encode()
    assert find_chosen_password(candidates[:2], stored) is None
    assert find_chosen_password(candidates, b"not a hash") is None
    assert find_chosen_password((), stored) is None


def test_only_the_password_that_opened_a_credential_is_remembered_for_it() -> None:
    verified = VerifiedPasswords()
    verified.remember("credential-1", b"secret")
    assert verified.knows("credential-1", (b"wrong", b"secret"))
    assert not verified.knows("credential-1", (b"wrong",))
    assert not verified.knows("credential-2", (b"secret",))
    assert not verified.knows("credential-", (b"1\0secret",))
    assert not VerifiedPasswords().knows("credential-1", (b"secret",))


def test_what_is_remembered_does_not_grow_without_end() -> None:
    verified = VerifiedPasswords()
    for number in range(25_000):
        verified.remember("credential", str(number).encode())
        assert verified.knows("credential", (str(number).encode(),))
    assert len(verified._known) <= 10_000


def test_no_password_can_be_read_from_what_is_remembered() -> None:
    verified = VerifiedPasswords()
    verified.remember("credential", b"secret")
    plain = hashlib.sha256(b"credential\0secret").digest()
    assert all(b"secret" not in item and item != plain for item in verified._known)
