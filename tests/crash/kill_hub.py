"""Kill a real hub at random moments under load, then count what was lost, doubled or shared.

    python -m tests.crash.kill_hub --kills 20

Each kill is SIGKILL, 0.3 to 2 s after the hub was ready again. `--broken answer-before-commit` and
`--broken forget-receipts` start a hub with that fault planted: the run must then find it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from tests import postgres
from tests.crash.clients import PHONE_NUMBER, Backend, EnvayaPhone, MedicPhone, Place
from tests.crash.ledger import Ledger, Verdict, judge

_READY_WITHIN_SECONDS = 30.0


class HubProcess:
    """A hub in a process of its own, which can be killed and started again."""

    def __init__(
        self,
        data_dir: Path,
        database_url: str | None,
        broken: str | None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.port = _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._module = "tests.crash.broken_hub" if broken else "gateway_hub"
        self._log = (data_dir / "hub.log").open("ab")
        self._process: asyncio.subprocess.Process | None = None
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_HUB_")
        } | {
            "GATEWAY_HUB_DATA_DIR": str(data_dir),
            "GATEWAY_HUB_PORT": str(self.port),
            "GATEWAY_HUB_LONG_POLL_SECONDS": "0.2",
            "HUB_PLANTED_BUG": broken or "",
            **(settings or {}),
        }
        if database_url is not None:
            key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
            self._environment |= {
                "GATEWAY_HUB_DATABASE_URL": database_url,
                "GATEWAY_HUB_SECRET_KEYS": key,
            }

    async def run(self, *arguments: str) -> str:
        """Run a command of the hub to its end and return what it printed."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway_hub",
            *arguments,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"gateway-hub {arguments[0]} ended with {process.returncode}")
        return output.decode()

    async def start(self) -> None:
        """Start the hub and wait until it is ready."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            "serve",
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )
        deadline = time.monotonic() + _READY_WITHIN_SECONDS
        async with httpx.AsyncClient(base_url=self.base_url, trust_env=False) as http:
            while time.monotonic() < deadline:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get("/readyz")).status_code == httpx.codes.OK:
                        return
                await asyncio.sleep(0.05)
        raise RuntimeError("the hub did not become ready")

    async def end(self, how: signal.Signals) -> None:
        """Send *how* to the hub and wait for its end."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            await self._process.wait()

    def close(self) -> None:
        """Close the log."""
        self._log.close()


async def run(
    *, kills: int, data_dir: Path, database_url: str | None, broken: str | None, seed: int
) -> tuple[Ledger, Verdict]:
    """Kill the hub *kills* times while clients work; return what they noted and the verdict."""
    random.seed(seed)
    hub = HubProcess(data_dir, database_url, broken)
    try:
        await hub.run("init")
        key = json.loads(
            await hub.run("key", "create", "--name", "k", "--scope", "admin", "--json")
        )
        place = Place(hub.base_url, key["key"], Ledger())
        await hub.start()
        async with asyncio.TaskGroup() as group:
            for client in await _make_clients(place):
                group.create_task(place.work(client.step))
            await _kill_and_restart(hub, place, kills)
            place.stop.set()
        verdict = await _judge(place)
        await hub.end(signal.SIGTERM)
        return place.ledger, verdict
    finally:
        await hub.end(signal.SIGKILL)
        hub.close()


async def _kill_and_restart(hub: HubProcess, place: Place, kills: int) -> None:
    for _ in range(kills):
        await asyncio.sleep(random.uniform(0.3, 2.0))
        await hub.end(signal.SIGKILL)
        place.ledger.kills += 1
        await hub.start()
    await asyncio.sleep(1.0)


async def _make_clients(place: Place) -> list[Backend | MedicPhone | EnvayaPhone]:
    clients: list[Backend | MedicPhone | EnvayaPhone] = [Backend(place) for _ in range(4)]
    headers = {"Authorization": f"Bearer {place.key}"}
    async with httpx.AsyncClient(base_url=place.base_url, headers=headers, trust_env=False) as http:
        for number in range(3):
            draft = {"name": f"medic {number}", "protocol": "medic"}
            given = (await http.post("/v1/devices", json=draft)).json()["credentials"]
            clients.append(MedicPhone(place, draft["name"], given["username"], given["password"]))
        for number in range(2):
            draft = {"name": f"envaya {number}", "protocol": "envaya"}
            draft["phone_number"] = PHONE_NUMBER
            given = (await http.post("/v1/devices", json=draft)).json()["credentials"]
            clients.append(EnvayaPhone(place, draft["name"], given["password"]))
    return clients


async def _judge(place: Place) -> Verdict:
    outbound: list[str] = []
    inbound: list[tuple[str, tuple[str, ...]]] = []
    headers = {"Authorization": f"Bearer {place.key}"}
    async with httpx.AsyncClient(base_url=place.base_url, headers=headers, trust_env=False) as http:
        cursor: str | None = None
        while True:
            query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            page = (await http.get("/v1/messages", params=query, timeout=60)).json()
            for item in page["data"]:
                if item["direction"] == "outbound":
                    outbound.append(item["id"])
                else:
                    digests = tuple(part["sha256"] for part in item["attachments"])
                    inbound.append((item["text"], digests))
            cursor = page["next_cursor"]
            if cursor is None:
                return judge(place.ledger, outbound, inbound)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def database_of(kind: str) -> Iterator[str | None]:
    if kind == "sqlite":
        yield None
        return
    with postgres.running_server() as server, postgres.fresh_database(server) as url:
        yield url


def report(kind: str, seed: int, ledger: Ledger, verdict: Verdict) -> str:
    """Return the outcome of one run as text."""
    head = [
        f"{kind}, seed {seed}: {ledger.kills} kills, {len(ledger.submitted)} submitted, "
        f"{len(ledger.forwarded)} forwarded ({len(ledger.parts)} MMS), "
        f"{sum(ledger.handed_out.values())} offered, {ledger.unanswered} requests unanswered"
    ]
    return "\n".join([*head, *(f"  {line}" for line in verdict.lines())])


def main() -> int:
    """Run on both databases, or the one named; return 0 if nothing went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--broken", choices=["answer-before-commit", "forget-receipts"])
    given = parser.parse_args()
    kinds = ["sqlite", "postgres"] if given.database == "both" else [given.database]
    clean = True
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder, database_of(kind) as database_url:
            ledger, verdict = asyncio.run(
                run(
                    kills=given.kills,
                    data_dir=Path(folder),
                    database_url=database_url,
                    broken=given.broken,
                    seed=given.seed,
                )
            )
        print(report(kind, given.seed, ledger, verdict), flush=True)  # noqa: T201 - a program
        clean = clean and verdict.is_clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
