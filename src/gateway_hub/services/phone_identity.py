"""Which device a phone is: by user name and password, or by number and a secret it signs with."""

import asyncio
from dataclasses import dataclass

from gateway_hub.domain.access import Project
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.text import is_storable
from gateway_hub.services.secrets import (
    SecretBox,
    SecretUnreadableError,
    VerifiedPasswords,
    find_chosen_password,
    verify_random_secret,
)
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.database import Database
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


class PhoneIdentity:
    """Finds the device behind a request. *project* narrows the search to one, by name or id."""

    def __init__(self, database: Database, secret_box: SecretBox, clock: Clock) -> None:
        self._database = database
        self._secret_box = secret_box
        self._clock = clock
        self._verified = VerifiedPasswords()
        self._password_checks = asyncio.Semaphore(_PASSWORD_CHECKS_AT_ONCE)

    async def find_by_password(
        self, usernames: tuple[str, ...], passwords: tuple[bytes, ...], project: str | None
    ) -> Device | None:
        """Return the device with one of *usernames* that one of *passwords* opens.

        The spellings are what the same bytes may mean; see the adapter that made them.
        """

        async def query(tx: Transaction) -> tuple[list[Device], list[StoredCredential]]:
            names = tuple(name for name in usernames if is_storable(name))
            found = await device_rows.find_medic_candidates(tx, names)
            return await self._with_credentials(tx, found, project)

        devices, credentials = await self._database.read(
            query, patience_seconds=_MEDIC_PATIENCE_SECONDS
        )
        if not devices:
            verify_random_secret(passwords, _NOBODY)
        for device in devices:
            own = [item for item in credentials if item.device_id == device.id]
            if await self._opens_one(own, passwords):
                return device
        return None

    async def find_signing_devices(
        self, phone_number: str, project: str | None
    ) -> list[SigningDevice]:
        """Return the devices whose number is *phone_number*, however it is spelled."""

        async def query(tx: Transaction) -> tuple[list[Device], list[StoredCredential]]:
            if not is_storable(phone_number):
                return [], []
            found = await device_rows.find_envaya_candidates(tx, phone_number)
            return await self._with_credentials(tx, found, project)

        devices, credentials = await self._database.read(
            query, patience_seconds=_ENVAYA_PATIENCE_SECONDS
        )
        return [SigningDevice(device, self._decrypt(device, credentials)) for device in devices]

    async def _with_credentials(
        self, tx: Transaction, found: list[Device], project: str | None
    ) -> tuple[list[Device], list[StoredCredential]]:
        if project is not None:
            wanted = await _find_project(tx, project)
            found = [item for item in found if wanted and item.project_id == wanted.id]
        if not found:
            return [], []
        ids = [device.id for device in found]
        return found, await device_rows.find_credentials(tx, ids, self._clock())

    async def _opens_one(
        self, credentials: list[StoredCredential], passwords: tuple[bytes, ...]
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

    def _decrypt(self, device: Device, credentials: list[StoredCredential]) -> tuple[str, ...]:
        """Return the passwords of *device*; one that no key opens is left out, the others work."""
        passwords: list[str] = []
        for credential in credentials:
            if credential.device_id == device.id and credential.kind == "encrypted":
                try:
                    passwords.append(self._secret_box.decrypt(device.id, credential.secret))
                except SecretUnreadableError:
                    continue
        return tuple(passwords)


async def _find_project(tx: Transaction, name_or_id: str) -> Project | None:
    if not is_storable(name_or_id):
        return None
    by_id = await project_rows.find_project(tx, name_or_id)
    return by_id or await project_rows.find_project_by_name(tx, name_or_id)
