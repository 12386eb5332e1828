"""Devices of a project: registering a phone, changing it, giving it new credentials."""

import asyncio
import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device, DeviceState, Protocol, SendLimit
from gateway_hub.domain.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
)
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.phone_posts import QuarantineRecord
from gateway_hub.services.access import check_region
from gateway_hub.services.budgets import read_budget
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.directory import Directory
from gateway_hub.services.idempotency import Once, only_once
from gateway_hub.services.phone_identity import PhoneIdentity, SigningDevice
from gateway_hub.services.removal import let_go
from gateway_hub.services.secrets import (
    SecretBox,
    generate_password,
    hash_chosen_password,
    hash_random_secret,
    is_weak,
)
from gateway_hub.services.tag_limits import check_tags_stay, choose_tags, is_within
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import inbound as inbound_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import statistics as statistics_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.devices import StoredCredential
from gateway_hub.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class DeviceDraft:
    """A device as asked for; *username* and *password* take over a phone that is set up already."""

    name: str
    protocol: Protocol
    phone_number: str | None = None
    tags: tuple[str, ...] = ()
    send_limit: SendLimit | None = None
    server_url: str | None = None
    region: str | None = None
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedCredentials:
    """What proves the device, in the clear: the only time it is seen. *weak*: easily guessed."""

    username: str | None
    password: str
    weak: bool


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device with what is known of it now.

    *backlog* counts queued messages it could be given, *budget_left* segments it may send now.
    """

    device: Device
    state: DeviceState
    online: bool
    backlog: int
    budget_left: int


@dataclass(frozen=True, slots=True)
class _Load:
    backlog: int
    budget_left: int


class Devices:
    """The devices of every project."""

    def __init__(
        self,
        database: Database,
        secret_box: SecretBox,
        *,
        identity: PhoneIdentity,
        directory: Directory,
        states: DeviceStates,
        wakeups: Wakeups,
        clock: Clock,
    ) -> None:
        self._database = database
        self._directory = directory
        self._identity = identity
        self._secret_box = secret_box
        self._states = states
        self._wakeups = wakeups
        self._clock = clock

    async def create(
        self,
        project_id: str,
        draft: DeviceDraft,
        once: Once[tuple[DeviceView, IssuedCredentials]] | None = None,
        *,
        tag: str | None = None,
    ) -> tuple[DeviceView, IssuedCredentials]:
        """Register a phone. *tag*: what the caller is limited to, here and below.

        Raises InvalidInputError, ConflictError for credentials in use, TagLimitedError.
        """
        _check_draft(draft)
        tags = choose_tags(draft.tags, tag)
        await self._check_distinct(project_id, draft)
        now = self._clock()
        device_id = new_id()
        username = draft.username or (
            _made_username() if draft.protocol is Protocol.MEDIC else None
        )
        device = Device(
            id=device_id,
            project_id=project_id,
            name=draft.name,
            protocol=draft.protocol,
            created_at=now,
            updated_at=now,
            username=username,
            phone_number=draft.phone_number,
            server_url=draft.server_url,
            region=draft.region,
            tags=tags,
            send_limit=draft.send_limit,
        )
        issued, credential = await self._issue(device, draft.password)
        view = self._view(device, _Load(0, device.effective_send_limit.segments))

        async def use_case(tx: Transaction) -> tuple[DeviceView, IssuedCredentials]:
            await device_rows.add_device(tx, device)
            await device_rows.add_credential(tx, credential)
            await self._directory.note_change(tx)
            return view, issued

        return await self._database.write(only_once(use_case, once))

    async def get(self, project_id: str, device_id: str, *, tag: str | None = None) -> DeviceView:
        """Return a device. Raises NotFoundError."""

        async def query(tx: Transaction) -> tuple[Device, _Load] | None:
            device = await device_rows.find_device(tx, project_id, device_id)
            if device is None or not is_within(device, tag):
                return None
            return device, await self._load(tx, device)

        found = await self._database.read(query)
        if found is None:
            raise _not_found()
        return self._view(*found)

    async def list_devices(
        self, project_id: str, *, before: str, limit: int, tag: str | None = None
    ) -> list[DeviceView]:
        """Return up to *limit* devices with ids below *before*, newest first."""

        async def query(tx: Transaction) -> list[tuple[Device, _Load]]:
            found = await device_rows.list_devices(
                tx, project_id, before=before, limit=limit, tag=tag
            )
            return [(device, await self._load(tx, device)) for device in found]

        return [self._view(*item) for item in await self._database.read(query)]

    async def change(
        self,
        project_id: str,
        device_id: str,
        changes: dict[str, Any],
        expected: AbstractSet[str] | None = None,
        *,
        tag: str | None = None,
    ) -> DeviceView:
        """Set the fields of *changes*: name, phone_number, tags, send_limit, server_url, region,
        paused. Raises NotFoundError, InvalidInputError, TagLimitedError, and
        PreconditionFailedError unless the device has one of the *expected* revisions."""
        check_region(changes.get("region"))
        now = self._clock()

        async def use_case(tx: Transaction) -> tuple[Device, _Load]:
            device = await device_rows.lock_device(tx, project_id, device_id)
            if device is None or not is_within(device, tag):
                raise _not_found()
            # Run again after a lost answer, it meets what it did itself.
            if not (tx.is_repeat and device.updated_at == now):
                check_revision(device, expected)
            check_tags_stay(device, changes.get("tags", device.tags), tag)
            changed = replace(device, **changes, updated_at=now)
            if changed.protocol is Protocol.ENVAYA and not changed.phone_number:
                raise _number_missing()
            await device_rows.update_device(tx, changed)
            await self._directory.note_change(tx)
            self._wakeups.let_go_after_commit(tx, device_id)
            return changed, await self._load(tx, changed)

        return self._view(*await self._database.write(use_case))

    async def delete(
        self,
        project_id: str,
        device_id: str,
        expected: AbstractSet[str] | None = None,
        *,
        tag: str | None = None,
    ) -> None:
        """Remove a device: it can no longer post; its messages stay. Raises NotFoundError, and
        PreconditionFailedError unless the device has one of the *expected* revisions.

        What waited for it or was in its hands is moved on; of many, the caretaker moves the rest.
        """
        view = await self.get(project_id, device_id, tag=tag)

        async def use_case(tx: Transaction) -> None:
            now = self._clock()
            if expected is not None:
                device = await device_rows.lock_device(tx, project_id, device_id)
                check_revision(device or view.device, expected)
            await device_rows.mark_device_deleted(tx, view.device.id, now)
            await self._directory.note_change(tx)
            self._wakeups.let_go_after_commit(tx, device_id)
            changed = await let_go(tx, self._states, [view.device.id], now)
            await message_rows.save_progress(tx, changed)
            self._wakeups.wake_after_commit(tx, changed)

        await self._database.write(use_case)

    async def renew_credentials(
        self,
        project_id: str,
        device_id: str,
        *,
        password: str | None,
        grace_seconds: int,
        once: Once[IssuedCredentials] | None = None,
        tag: str | None = None,
    ) -> IssuedCredentials:
        """Give the device new credentials; the old ones work for *grace_seconds* more."""
        view = await self.get(project_id, device_id, tag=tag)
        if password is not None:
            _check_password(password)
        issued, credential = await self._issue(view.device, password)

        async def use_case(tx: Transaction) -> IssuedCredentials:
            now = self._clock()
            until = now + timedelta(seconds=grace_seconds)
            await device_rows.expire_credentials(
                tx, view.device.id, newest=credential.id, now=now, until=until
            )
            await device_rows.add_credential(tx, credential)
            await self._directory.note_change(tx)
            self._wakeups.let_go_after_commit(tx, device_id)
            return issued

        return await self._database.write(only_once(use_case, once))

    async def list_quarantine(
        self,
        project_id: str,
        device_id: str,
        *,
        before: str,
        limit: int,
        tag: str | None = None,
    ) -> list[QuarantineRecord]:
        """Return the bad items the device sent, newest first. Raises NotFoundError."""
        view = await self.get(project_id, device_id, tag=tag)

        async def query(tx: Transaction) -> list[QuarantineRecord]:
            return await inbound_rows.list_quarantine(
                tx, view.device.id, before=before, limit=limit
            )

        return await self._database.read(query)

    async def _load(self, tx: Transaction, device: Device) -> _Load:
        budget = await read_budget(tx, device, self._clock())
        return _Load(await statistics_rows.count_backlog(tx, device), budget.left)

    def _view(self, device: Device, load: _Load) -> DeviceView:
        state = self._states.current(device)
        online = self._states.is_online(device)
        return DeviceView(
            replace(device, state=state), state, online, load.backlog, load.budget_left
        )

    async def _check_distinct(self, project_id: str, draft: DeviceDraft) -> None:
        """Raise ConflictError if no request could tell the new device from one there is.

        Phones may share a user name or a number, as long as their passwords differ.
        """
        if draft.password is None:
            return
        if draft.protocol is Protocol.MEDIC:
            usernames, passwords = (draft.username or "",), (draft.password.encode(),)
            found = await self._identity.find_by_password(usernames, passwords, project_id)
            taken = found is not None
        else:
            number = draft.phone_number or ""
            signing = await self._identity.find_signing_devices(number, project_id, fresh=True)
            taken = any(_is_same_phone(item, draft) for item in signing)
        if taken:
            raise ConflictError("A device with these credentials exists.", code="credentials_taken")

    async def _issue(
        self, device: Device, password: str | None
    ) -> tuple[IssuedCredentials, StoredCredential]:
        """Return credentials to show and to store: *password*, or a random one."""
        secret = password or generate_password()
        issued = IssuedCredentials(device.username, secret, weak=is_weak(secret))
        kind, stored = await self._seal(device, secret, chosen=password is not None)
        return issued, StoredCredential(new_id(), device.id, kind, stored, self._clock())

    async def _seal(self, device: Device, secret: str, *, chosen: bool) -> tuple[str, bytes]:
        """Return the kind and form in which *secret* is stored.

        An envaya password is part of each signature, so it must be readable again; a medic one is
        only compared.
        """
        if device.protocol is Protocol.ENVAYA:
            return "encrypted", self._secret_box.encrypt(device.id, secret)
        if chosen:
            return "argon2", await asyncio.to_thread(hash_chosen_password, secret)
        return "sha256", hash_random_secret(secret)


def revision_of(device: Device) -> str:
    """Return what stands for all that callers may change of *device*: another after each change.

    What the phone tells of itself is not in it: it would be another at each poll.
    """
    settable = replace(device, state=DeviceState())
    return hashlib.sha256(repr(settable).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def check_revision(device: Device, expected: AbstractSet[str] | None) -> None:
    """Raise PreconditionFailedError unless any is *expected*, or the one *device* has."""
    if expected is not None and revision_of(device) not in expected:
        raise PreconditionFailedError("The device was changed since; look at it again.")


def _is_same_phone(known: SigningDevice, draft: DeviceDraft) -> bool:
    device = known.device
    told = (device.phone_number, device.server_url) == (draft.phone_number, draft.server_url)
    return told and draft.password in known.passwords


def _made_username() -> str:
    return f"phone-{new_id()[-8:]}"


def _check_draft(draft: DeviceDraft) -> None:
    check_region(draft.region)
    if draft.protocol is Protocol.ENVAYA and not draft.phone_number:
        raise _number_missing()
    if draft.protocol is Protocol.ENVAYA and draft.username is not None:
        raise InvalidInputError.of_field(
            "/credentials/username",
            "not_used",
            "An envaya phone has no user name: its phone number names it.",
        )
    if draft.password is not None:
        _check_password(draft.password)


def _check_password(password: str) -> None:
    if not password:
        raise InvalidInputError.of_field("/credentials/password", "empty", "The password is empty.")


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such device.")


def _number_missing() -> InvalidInputError:
    return InvalidInputError.of_field(
        "/phone_number",
        "required",
        "An envaya phone needs the phone number as typed into the app: it names the phone.",
    )
