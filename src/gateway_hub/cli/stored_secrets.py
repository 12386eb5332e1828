"""What ``gateway-hub doctor`` reads of the database: whether secrets open, URLs of devices."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TypeVar

from gateway_hub.domain.devices import Device, Protocol
from gateway_hub.domain.ids import AFTER_ALL_IDS
from gateway_hub.secret_keys import load_secret_keys
from gateway_hub.services.secrets import SecretBox, SecretUnreadableError
from gateway_hub.settings import Settings
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage import webhook_endpoints as endpoint_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.devices import StoredCredential
from gateway_hub.storage.transactions import Transaction, UseCase

T = TypeVar("T")

_PAGE = 500


async def count_unreadable(settings: Settings) -> int:
    """Return how many stored secrets no key in force opens."""
    box = SecretBox(load_secret_keys(settings))

    async def query(tx: Transaction) -> int:
        found = 0
        for endpoint_id, sealed in await endpoint_rows.list_sealed(tx):
            found += sum(not _is_readable(box, endpoint_id, item) for item in sealed)
        async for page in _pages(tx):
            ids = [device.id for device in page]
            credentials = await device_rows.find_credentials(tx, ids, datetime.now(UTC))
            found += sum(not _opens(box, item) for item in credentials)
        return found

    return await _read(settings, query)


async def has_envaya_without_url(settings: Settings) -> bool:
    """Say whether a phone signs a URL that nobody told the hub."""

    async def query(tx: Transaction) -> bool:
        async for page in _pages(tx):
            if any(item.protocol is Protocol.ENVAYA and not item.server_url for item in page):
                return True
        return False

    return await _read(settings, query)


async def _read(settings: Settings, query: UseCase[T]) -> T:
    database = Database(settings.effective_database_url)
    try:
        return await database.read(query)
    finally:
        await database.stop()


async def _pages(tx: Transaction) -> AsyncIterator[list[Device]]:
    """Yield the devices of all projects."""
    for project in await project_rows.list_projects(tx, before=AFTER_ALL_IDS, limit=1_000_000):
        before = AFTER_ALL_IDS
        while page := await device_rows.list_devices(tx, project.id, before=before, limit=_PAGE):
            yield page
            before = page[-1].id


def _opens(box: SecretBox, credential: StoredCredential) -> bool:
    if credential.kind != "encrypted":
        return True
    return _is_readable(box, credential.device_id, credential.secret)


def _is_readable(box: SecretBox, owner_id: str, sealed: bytes) -> bool:
    try:
        box.decrypt(owner_id, sealed)
    except SecretUnreadableError:
        return False
    return True
