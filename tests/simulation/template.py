"""The database every seed begins with: devices of both kinds, with what proves their phones."""

import random
import sqlite3
from pathlib import Path

from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.ids import IdSource, new_id, use_source
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub
from gateway_hub.services.secrets import hash_random_secret
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage.devices import StoredCredential
from gateway_hub.storage.transactions import Transaction
from tests.simulation.apps import ENVAYA_URL, PASSWORD, number_of, username_of
from tests.simulation.database import greet_engines, make_schema
from tests.simulation.faulty_sqlite import Disk
from tests.simulation.process import HubProcess, track_tasks
from tests.simulation.virtual_time import START, VirtualLoop

NAMES = "abcd"


def make_template(path: Path) -> None:
    """Write the database to *path*."""
    make_schema(path)
    before = use_source(IdSource())
    loop = VirtualLoop()
    loop.set_task_factory(track_tasks)
    try:
        loop.run_until_complete(_register(path, loop))
    finally:
        loop.close()
        use_source(before)
    with sqlite3.connect(path, isolation_level=None) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()


def warm_up(path: Path) -> None:
    """Make this process ready for seeds that begin with the database at *path*."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(greet_engines(Disk(path, loop, random.Random("warm-up"))))
    finally:
        loop.close()


async def _register(path: Path, loop: VirtualLoop) -> None:
    rng = random.Random("template")
    process = HubProcess(Disk(path, loop, rng), loop, rng, long_poll_seconds=0)
    await process.call(_add_devices)
    await process.stop()


async def _add_devices(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    for name in NAMES:
        await hub.devices.create(project.id, _envaya(name))
        view, _ = await hub.devices.create(project.id, _medic(name))
        device_id = view.device.id

        async def add_password(tx: Transaction, device_id: str = device_id) -> None:
            # A password the hub made is compared by its SHA-256, which takes no thread.
            secret = hash_random_secret(PASSWORD)
            credential = StoredCredential(new_id(), device_id, "sha256", secret, START)
            await device_rows.add_credential(tx, credential)

        await hub.database.write(add_password)


def _envaya(name: str) -> DeviceDraft:
    return DeviceDraft(
        f"envaya-{name}",
        Protocol.ENVAYA,
        phone_number=number_of(name),
        server_url=ENVAYA_URL,
        password=PASSWORD,
    )


def _medic(name: str) -> DeviceDraft:
    return DeviceDraft(f"medic-{name}", Protocol.MEDIC, username=username_of(name))
