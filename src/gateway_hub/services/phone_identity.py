"""Which device a phone is: by user name and password, or by number and a secret it signs with."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway_hub.domain.access import Project
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.numbers import MAX_NUMBER_LENGTH, number_key
from gateway_hub.domain.text import is_storable
from gateway_hub.services.directory import Directory
from gateway_hub.services.secrets import (
    SecretBox,
    SecretUnreadableError,
    VerifiedPasswords,
    find_chosen_password,
    verify_random_secret,
)
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.devices import StoredCredential
from gateway_hub.storage.transactions import Transaction

_PASSWORD_CHECKS_AT_ONCE = 2
# A phone that is refused while the database restarts loses what it had to say: EnvayaSMS never
# repeats a status that met an error, but waits 60 s for an answer. The CHT app waits for ever and
# does nothing else meanwhile.
_MEDIC_PATIENCE_SECONDS = 10.0
_ENVAYA_PATIENCE_SECONDS = 30.0
_NOBODY = b"\0" * 32


@dataclass(frozen=True, slots=True)
class SigningDevice:
    """A device that may have signed a request, with the passwords it may have signed with."""

    device: Device
    passwords: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _KnownCredential:
    stored: StoredCredential
    password: str | None

    def is_valid_at(self, now: datetime) -> bool:
        return self.stored.expires_at is None or now < self.stored.expires_at


@dataclass(frozen=True, slots=True)
class _KnownDevice:
    """A device as the directory keeps it, with the credentials it had when it was found."""

    device: Device
    credentials: tuple[_KnownCredential, ...]

    def credentials_at(self, now: datetime) -> list[StoredCredential]:
        return [item.stored for item in self.credentials if item.is_valid_at(now)]

    def passwords_at(self, now: datetime) -> tuple[str, ...]:
        return tuple(
            item.password
            for item in self.credentials
            if item.password is not None and item.is_valid_at(now)
        )


class PhoneIdentity:
    """Finds the device behind a request. *project* narrows the search to one, by name or id."""

    def __init__(self, directory: Directory, secret_box: SecretBox, clock: Clock) -> None:
        self._directory = directory
        self._secret_box = secret_box
        self._clock = clock
        self._verified = VerifiedPasswords()
        self._password_checks = asyncio.Semaphore(_PASSWORD_CHECKS_AT_ONCE)

    @property
    def may_be_outdated(self) -> bool:
        """Whether a phone that is not found may be found afresh."""
        return self._directory.may_be_outdated

    async def find_by_password(
        self, usernames: tuple[str, ...], passwords: tuple[bytes, ...], project: str | None
    ) -> Device | None:
        """Return the device with one of *usernames* that one of *passwords* opens.

        The spellings are what the same bytes may mean; see the adapter that made them.
        """
        found = await self._find_opened(usernames, passwords, project, fresh=False)
        if found is None and self.may_be_outdated:
            found = await self._find_opened(usernames, passwords, project, fresh=True)
        return found

    async def _find_opened(
        self,
        usernames: tuple[str, ...],
        passwords: tuple[bytes, ...],
        project: str | None,
        *,
        fresh: bool,
    ) -> Device | None:
        async def query(tx: Transaction) -> list[_KnownDevice]:
            names = tuple(name for name in usernames if is_storable(name))
            found = await device_rows.find_medic_candidates(tx, names)
            return await self._with_credentials(tx, found, project)

        known = await self._directory.look_up(
            ("medic", usernames, project),
            query,
            patience_seconds=_MEDIC_PATIENCE_SECONDS,
            fresh=fresh,
        )
        if not known:
            verify_random_secret(passwords, _NOBODY)
        now = self._clock()
        for item in known:
            if await self._opens_one(item.credentials_at(now), passwords):
                return item.device
        return None

    async def find_signing_devices(
        self, phone_number: str, project: str | None, *, fresh: bool = False
    ) -> list[SigningDevice]:
        """Return the devices whose number is *phone_number*, however it is spelled."""

        if len(phone_number) > MAX_NUMBER_LENGTH or not is_storable(phone_number):
            return []

        async def query(tx: Transaction) -> list[_KnownDevice]:
            found = await device_rows.find_envaya_candidates(tx, phone_number)
            return await self._with_credentials(tx, found, project)

        known = await self._directory.look_up(
            # One entry for all spellings: anybody may think of more, and has proved nothing yet.
            ("envaya", number_key(phone_number), project),
            query,
            patience_seconds=_ENVAYA_PATIENCE_SECONDS,
            fresh=fresh,
        )
        now = self._clock()
        return [SigningDevice(item.device, item.passwords_at(now)) for item in known]

    async def _with_credentials(
        self, tx: Transaction, found: list[Device], project: str | None
    ) -> list[_KnownDevice]:
        if project is not None:
            wanted = await _find_project(tx, project)
            found = [item for item in found if wanted and item.project_id == wanted.id]
        if not found:
            return []
        ids = [device.id for device in found]
        credentials = await device_rows.find_credentials(tx, ids, self._clock())
        return [
            _KnownDevice(
                device,
                tuple(
                    _KnownCredential(item, self._decrypt(item))
                    for item in credentials
                    if item.device_id == device.id
                ),
            )
            for device in found
        ]

    async def _opens_one(
        self, credentials: Iterable[StoredCredential], passwords: tuple[bytes, ...]
    ) -> bool:
        for credential in credentials:
            if credential.kind == "sha256" and verify_random_secret(passwords, credential.secret):
                return True
            if credential.kind == "argon2" and await self._opens_chosen(credential, passwords):
                return True
        return False

    async def _opens_chosen(
        self, credential: StoredCredential, passwords: tuple[bytes, ...]
    ) -> bool:
        if self._verified.knows(credential.id, passwords):
            return True
        async with self._password_checks:
            opened_by = await asyncio.to_thread(find_chosen_password, passwords, credential.secret)
        if opened_by is None:
            return False
        self._verified.remember(credential.id, opened_by)
        return True

    def _decrypt(self, credential: StoredCredential) -> str | None:
        """Return the password, if it is kept readable; one that no key opens proves nothing."""
        if credential.kind != "encrypted":
            return None
        try:
            return self._secret_box.decrypt(credential.device_id, credential.secret)
        except SecretUnreadableError:
            return None


async def _find_project(tx: Transaction, name_or_id: str) -> Project | None:
    if not is_storable(name_or_id):
        return None
    by_id = await project_rows.find_project(tx, name_or_id)
    return by_id or await project_rows.find_project_by_name(tx, name_or_id)
