"""Kill the hub every second while its events go out to three endpoints, and count what arrived.

``python -m tests.crash.kill_webhooks --events 100000 --kills 60``
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gateway_hub.domain.webhooks.deliveries import MOST_UNWRITTEN_PER_ENDPOINT
from tests.crash.kill_hub import HubProcess, database_of

_ENDPOINTS = 3
_BATCH = 200
_EVERY_SECONDS = 1.0
_SETTLED_AFTER_SECONDS = 180.0
_QUIET_SECONDS = 3.0
_SETTINGS = {
    "GATEWAY_HUB_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.1",
    "GATEWAY_HUB_WEBHOOK_ALLOW_HTTP": "true",
}


@dataclass
class Heard:
    """How often an endpoint heard of each event, by the message it is about."""

    times: Counter[str] = field(default_factory=Counter)


@asynccontextmanager
async def listening(heard: Heard) -> AsyncIterator[str]:
    """Yield the URL of an endpoint that takes every event."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                await _take(heard, reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _take(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].split("\r\n")[0])
    event = json.loads(await reader.readexactly(length))
    heard.times[event["data"]["id"]] += 1
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


@dataclass
class Verdict:
    """What became of the events."""

    submitted: int
    kills: int
    missing: int
    dead: int
    twice: int

    @property
    def is_clean(self) -> bool:
        """Whether each arrived or is listed as dead, and no more came twice than were under way."""
        in_flight = MOST_UNWRITTEN_PER_ENDPOINT * _ENDPOINTS
        return not self.missing and self.twice <= self.kills * in_flight

    def __str__(self) -> str:
        """One line."""
        per_kill = self.twice / max(1, self.kills)
        return (
            f"{self.submitted} events to {_ENDPOINTS} endpoints, {self.kills} kills: "
            f"{self.missing} missing, {self.dead} dead, {self.twice} came again, "
            f"{per_kill:.1f} for each kill"
        )


async def run(*, events: int, kills: int, data_dir: Path, database_url: str | None) -> Verdict:
    """Kill the hub *kills* times while *events* are submitted and sent; return what arrived."""
    hub = HubProcess(data_dir, database_url, None, _SETTINGS)
    heard = [Heard() for _ in range(_ENDPOINTS)]
    try:
        await hub.run("init")
        made = await hub.run("key", "create", "--name", "k", "--scope", "admin", "--json")
        headers = {"Authorization": f"Bearer {json.loads(made)['key']}"}
        await hub.start()
        async with AsyncExitStack() as stack:
            urls = [await stack.enter_async_context(listening(item)) for item in heard]
            http = await stack.enter_async_context(
                httpx.AsyncClient(
                    base_url=hub.base_url, headers=headers, timeout=20, trust_env=False
                )
            )
            for url in urls:
                body = {"url": url, "events": ["message.queued"]}
                (await http.post("/v1/webhook-endpoints", json=body)).raise_for_status()
            submitting = asyncio.create_task(_submit(http, events))
            for _ in range(kills):
                await asyncio.sleep(_EVERY_SECONDS)
                await hub.end(signal.SIGKILL)
                await hub.start()
            submitted = await submitting
            await _settle(heard, submitted)
            dead = await _count_dead(http)
        await hub.end(signal.SIGTERM)
    finally:
        await hub.end(signal.SIGKILL)
        hub.close()
    missing = sum(len(submitted - item.times.keys()) for item in heard)
    twice = sum(count - 1 for item in heard for count in item.times.values())
    return Verdict(len(submitted), kills, max(0, missing - dead), dead, twice)


async def _submit(http: httpx.AsyncClient, events: int) -> set[str]:
    """Submit so many messages, each batch until it is answered; return their ids."""
    submitted: set[str] = set()
    number = 0
    while len(submitted) < events:
        number += 1
        size = min(_BATCH, events - len(submitted))
        batch = [{"to": "+255710009999", "text": f"{number}/{item}"} for item in range(size)]
        submitted |= await _submit_batch(http, batch, f"batch-{number}")
    return submitted


async def _submit_batch(http: httpx.AsyncClient, batch: list[dict[str, str]], key: str) -> set[str]:
    while True:
        try:
            answer = await http.post(
                "/v1/messages/batch", json={"messages": batch}, headers={"Idempotency-Key": key}
            )
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            continue
        if answer.status_code == httpx.codes.OK:
            return {item["message"]["id"] for item in answer.json()["data"]}
        await asyncio.sleep(0.1)


async def _settle(heard: list[Heard], submitted: set[str]) -> None:
    """Wait until all has arrived, or nothing has for longer than a lease."""
    deadline = time.monotonic() + _SETTLED_AFTER_SECONDS
    before, quiet_since = -1, time.monotonic()
    while time.monotonic() < deadline:
        if all(submitted <= item.times.keys() for item in heard):
            await asyncio.sleep(_QUIET_SECONDS)
            return
        count = sum(item.times.total() for item in heard)
        if count != before:
            before, quiet_since = count, time.monotonic()
            deadline = max(deadline, quiet_since + _SETTLED_AFTER_SECONDS / 2)
        await asyncio.sleep(0.2)


async def _count_dead(http: httpx.AsyncClient) -> int:
    dead = 0
    endpoints = (await http.get("/v1/webhook-endpoints")).json()["data"]
    for endpoint in endpoints:
        cursor: str | None = None
        while True:
            query = {"status": "dead", "limit": "200"} | ({"cursor": cursor} if cursor else {})
            path = f"/v1/webhook-endpoints/{endpoint['id']}/deliveries"
            page = (await http.get(path, params=query)).json()
            dead += len(page["data"])
            cursor = page["next_cursor"]
            if cursor is None:
                break
    return dead


def main() -> int:
    """Run on both databases, or the one named; return 0 if nothing is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    given = parser.parse_args()
    kinds = ["sqlite", "postgres"] if given.database == "both" else [given.database]
    clean = True
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder, database_of(kind) as database_url:
            verdict = asyncio.run(
                run(
                    events=given.events,
                    kills=given.kills,
                    data_dir=Path(folder),
                    database_url=database_url,
                )
            )
        print(f"{kind}: {verdict}", flush=True)  # noqa: T201 - a program
        clean = clean and verdict.is_clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
