"""Two processes that empty one queue on PostgreSQL, and whether any message was given out twice."""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from sqlalchemy import bindparam, text

from benchmarks.databases import PostgresServer, fresh_database
from benchmarks.in_process import open_services
from benchmarks.pairs import spread
from benchmarks.results import Figure, Part
from gateway_hub.domain.clock import system_clock
from gateway_hub.domain.devices import MAX_OFFERS_PER_ANSWER, Device, Protocol, SendLimit
from gateway_hub.domain.ids import AFTER_ALL_IDS, new_id
from gateway_hub.domain.messages import MessageDraft, Route
from gateway_hub.services import offering
from gateway_hub.services.offering import Occasion
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.transactions import Transaction

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

MESSAGES = 10_000

_PROCESSES = 2
_WORKERS = 4
_TAG = "pool"
_BATCH = 1000
_START_WITHIN_SECONDS = 60.0

_HEAD = text(
    "SELECT id FROM messages WHERE status = 'queued' ORDER BY priority DESC, id LIMIT :most"
)
_TAKE = text(
    "UPDATE messages SET status = 'dispatched', device_id = :device WHERE id IN :ids"
).bindparams(bindparam("ids", expanding=True))

_Claim = Callable[[Transaction, Device], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Emptied:
    """What one run gave out, under which message ids, and in what time."""

    claimed: Sequence[str]
    seconds: float

    @property
    def doubles(self) -> int:
        """How many hand-overs were of a message given out before."""
        return len(self.claimed) - len(set(self.claimed))

    @property
    def per_second(self) -> float:
        """Messages given out in a second."""
        return len(self.claimed) / self.seconds


async def claim(tx: Transaction, device: Device) -> list[str]:
    """Claim as the hub does; a first attempt's wire id is the message's."""
    offers = await offering.offer(tx, device, Occasion(new_id()), system_clock())
    return [item.wire_id for item in offers]


async def read_then_write(tx: Transaction, device: Device) -> list[str]:
    """Claim as is often seen: read what is queued, then mark it. Two who read at once both do."""
    found = await tx.execute(_HEAD, {"most": MAX_OFFERS_PER_ANSWER})
    ids = list(found.scalars())
    if ids:
        await tx.execute(_TAKE, {"ids": ids, "device": device.id})
    return ids


def empty_queue(url: str, *, broken: bool) -> Emptied:
    """Let several processes claim until nothing is left."""
    context = multiprocessing.get_context("spawn")
    told: Queue[tuple[list[str], float, float]] = context.Queue()
    ready = context.Barrier(_PROCESSES)
    processes = [
        context.Process(target=_work_apart, args=(url, number, broken, ready, told))
        for number in range(_PROCESSES)
    ]
    for process in processes:
        process.start()
    answers = [told.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    claimed = [item for ids, _, _ in answers for item in ids]
    began, ended = min(item[1] for item in answers), max(item[2] for item in answers)
    return Emptied(claimed, ended - began)


def _work_apart(
    url: str,
    number: int,
    broken: bool,
    ready: Barrier,
    told: "Queue[tuple[list[str], float, float]]",
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(url, number, read_then_write if broken else claim, ready, told))


async def _work(
    url: str,
    number: int,
    how: _Claim,
    ready: Barrier,
    told: "Queue[tuple[list[str], float, float]]",
) -> None:
    database = Database(url)
    await database.start(migrate=False)
    devices = await database.read(_list_devices)
    own = devices[number * _WORKERS : (number + 1) * _WORKERS]
    ready.wait(_START_WITHIN_SECONDS)
    began = time.monotonic()
    found = await asyncio.gather(*(_claim_all(database, device, how) for device in own))
    told.put(([item for ids in found for item in ids], began, time.monotonic()))
    await database.stop()


async def _claim_all(database: Database, device: Device, how: _Claim) -> list[str]:
    claimed: list[str] = []

    async def use_case(tx: Transaction) -> list[str]:
        return await how(tx, device)

    async def is_more(tx: Transaction) -> bool:
        return await offering.has_work(tx, device, system_clock(), None)

    while True:
        ids = await database.write(use_case, lock_order=device.id)
        claimed += ids
        # What others have locked is passed over, so that nothing found does not mean nothing left.
        if not ids and not await database.read(is_more):
            return claimed


async def _list_devices(tx: Transaction) -> list[Device]:
    project = await project_rows.find_project_by_name(tx, "default")
    if project is None:
        raise RuntimeError("the queue was not prepared")
    return await device_rows.list_devices(tx, project.id, before=AFTER_ALL_IDS, limit=100)


async def prepare_queue(url: str, folder: Path) -> None:
    """Make the devices, and messages that any of them may send."""
    hub = await open_services(url, folder)
    project = await hub.access.ensure_default_project()

    async def use_case(tx: Transaction) -> None:
        for number in range(_PROCESSES * _WORKERS):
            await device_rows.add_device(tx, _device(number, project.id))

    await hub.database.write(use_case)
    for first in range(0, MESSAGES, _BATCH):
        drafts = [
            MessageDraft(f"+2557{number:08}", "hello", Route(tag=_TAG))
            for number in range(first, first + _BATCH)
        ]
        await hub.outbox.submit_batch(project.id, drafts)
    await hub.database.stop()


def _device(number: int, project_id: str) -> Device:
    now = system_clock()
    return Device(
        id=new_id(),
        project_id=project_id,
        name=f"phone {number}",
        protocol=Protocol.MEDIC,
        created_at=now,
        updated_at=now,
        username=f"phone-{number}",
        tags=(_TAG,),
        send_limit=SendLimit(1_000_000, 1800),
    )


def measure_claims(server: PostgresServer, folder: Path, *, rounds: int, broken: bool) -> Part:
    """Return what *rounds* runs gave out, each of a queue of its own."""
    runs: list[Emptied] = []
    for _ in range(rounds):
        with fresh_database("postgres", folder, server) as url:
            asyncio.run(prepare_queue(url, folder))
            runs.append(empty_queue(url, broken=broken))
    missing = sum(MESSAGES - len(set(item.claimed)) for item in runs)
    doubles = sum(item.doubles for item in runs)
    speed = spread([item.per_second for item in runs])
    flag = " --broken" if broken else ""
    return Part(
        key=f"claims{flag}",
        title="Two processes, one queue" + (": reading first, then writing" if broken else ""),
        command=f"python -m benchmarks claims --rounds {rounds}{flag}",
        figures=[
            Figure("messages waiting, all runs", f"{rounds * MESSAGES:,}"),
            Figure("never claimed", f"{missing:,}", "0", met=missing == 0),
            Figure(
                "claimed twice",
                f"{doubles:,}",
                "more than 0: the fault must be seen" if broken else "0",
                met=doubles > 0 if broken else doubles == 0,
            ),
            Figure("messages claimed in a second, both processes", speed.text(0)),
        ],
        notes=[f"{_PROCESSES} processes with {_WORKERS} workers each, ten messages at a time."],
    )
