"""A database with phones and an API key in it, ready for a hub, and what the load knows of them."""

import asyncio
import base64
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.databases import PostgresServer, fresh_database
from benchmarks.in_process import open_services
from benchmarks.requests import ENVAYA_URL, EnvayaPhone, Known
from gateway_hub.domain.access import Scope
from gateway_hub.domain.clock import system_clock
from gateway_hub.domain.devices import Device, Protocol
from gateway_hub.domain.ids import new_id
from gateway_hub.services.hub import Hub
from gateway_hub.services.secrets import SecretBox, generate_password, hash_random_secret
from gateway_hub.storage.devices import StoredCredential, _changeable
from gateway_hub.storage.inserts import insert_all_if_absent
from gateway_hub.storage.tables import device_credentials, devices
from gateway_hub.storage.transactions import Transaction

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Phones:
    """How many phones of each kind there are."""

    medic: int
    envaya: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A database, the key of the secrets in it, a folder for files, and who may post."""

    url: str
    server: PostgresServer | None
    secret_key: str
    folder: Path
    known: Known

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a hub on it."""
        return {
            "GATEWAY_HUB_DATA_DIR": str(self.folder),
            "GATEWAY_HUB_DATABASE_URL": self.url,
            "GATEWAY_HUB_SECRET_KEYS": self.secret_key,
        }

    def backends(self) -> list[int]:
        """Return the processes of PostgreSQL that serve it; none for SQLite."""
        if self.server is None:
            return []
        name = self.url.rpartition("/")[2].partition("?")[0]
        pids = self.server.fetch(
            f"SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - a name of our own
        )
        return [int(pid) for pid in pids.split()]


@contextmanager
def prepared(kind: str, server: PostgresServer | None, phones: Phones) -> Iterator[Prepared]:
    """Yield a database of *kind* that holds *phones*, and an API key of a project without any.

    So no phone is ever given what backends submit.
    """
    with (
        tempfile.TemporaryDirectory(prefix="gateway-hub-benchmark-") as name,
        fresh_database(kind, Path(name), server) as url,
    ):
        secret_key = SecretBox.generate_key()
        folder = Path(name)
        known = asyncio.run(_fill(url, folder, secret_key, phones))
        yield Prepared(url, server if kind == "postgres" else None, secret_key, folder, known)


async def _fill(url: str, folder: Path, secret_key: str, phones: Phones) -> Known:
    hub = await open_services(url, folder, secret_key=secret_key)
    try:
        project = await hub.access.ensure_default_project()
        await hub.access.create_project("backend", None)
        key = await hub.access.create_key(
            name="load", scopes=frozenset({Scope.ADMIN}), project="backend"
        )
        medic = [_make_medic(project.id, number) for number in range(phones.medic)]
        box = SecretBox([secret_key])
        envaya = [_make_envaya(project.id, number, box) for number in range(phones.envaya)]
        await _store(hub, [*medic, *envaya])
    finally:
        await hub.database.stop()
    return Known(
        key.secret,
        tuple(_basic_token(f"{made.device.username}:{made.password}") for made in medic),
        tuple(
            EnvayaPhone(made.device.id, made.device.phone_number or "", made.password)
            for made in envaya
        ),
    )


@dataclass(frozen=True, slots=True)
class _MadePhone:
    device: Device
    password: str
    credential: StoredCredential


def _make_medic(project_id: str, number: int) -> _MadePhone:
    password = generate_password()
    device = _device(project_id, number, Protocol.MEDIC)
    device = replace(device, username=f"phone-{number}")
    return _MadePhone(device, password, _credential(device, "sha256", hash_random_secret(password)))


def _make_envaya(project_id: str, number: int, box: SecretBox) -> _MadePhone:
    password = generate_password()
    device = _device(project_id, number, Protocol.ENVAYA)
    device = replace(device, phone_number=f"+2556{number:08}", server_url=ENVAYA_URL)
    sealed = box.encrypt(device.id, password)
    return _MadePhone(device, password, _credential(device, "encrypted", sealed))


def _device(project_id: str, number: int, protocol: Protocol) -> Device:
    now = system_clock()
    return Device(
        id=new_id(),
        project_id=project_id,
        name=f"phone {number}",
        protocol=protocol,
        created_at=now,
        updated_at=now,
    )


def _credential(device: Device, kind: str, secret: bytes) -> StoredCredential:
    return StoredCredential(new_id(), device.id, kind, secret, device.created_at)


async def _store(hub: Hub, made: Sequence[_MadePhone]) -> None:
    for first in range(0, len(made), _AT_ONCE):
        some = made[first : first + _AT_ONCE]

        async def use_case(tx: Transaction, some: Sequence[_MadePhone] = some) -> None:
            await insert_all_if_absent(tx, devices, [_to_row(phone.device) for phone in some])
            credentials = [asdict(phone.credential) for phone in some]
            await insert_all_if_absent(tx, device_credentials, credentials)

        await hub.database.write(use_case)


def _to_row(device: Device) -> dict[str, Any]:
    fixed = ("id", "project_id", "protocol", "created_at")
    return {name: getattr(device, name) for name in fixed} | _changeable(device)


def _basic_token(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
