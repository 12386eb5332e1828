from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text
from starlette.applications import Starlette

import gateway_hub
from gateway_hub.ops.health import create_health_routes
from gateway_hub.services.hub import Hub
from gateway_hub.storage.transactions import Transaction


class Seconds:
    """A count of seconds that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
async def client(hub: Hub, seconds: Seconds) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=create_health_routes(hub, monotonic=seconds))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://hub"
    ) as client:
        yield client


async def break_attachments(tmp_path: Path) -> None:
    (tmp_path / "attachments").rmdir()
    (tmp_path / "attachments").write_text("a file where a folder is needed")


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_a_hub_that_works_passes(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "pass"})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/version"])
async def test_a_probe_may_use_head(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.head(path)).status_code == 200


async def test_the_version_is_told(client: httpx.AsyncClient) -> None:
    answer = await client.get("/version")
    assert answer.json() == {"version": gateway_hub.__version__}
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_store_that_cannot_be_written_is_named(
    client: httpx.AsyncClient, hub: Hub, tmp_path: Path
) -> None:
    await hub.check()
    await break_attachments(tmp_path)
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json() == {
        "status": "fail",
        "failing": {"attachments": "The attachment store cannot be written now."},
    }


@asynccontextmanager
async def schema_at(hub: Hub, revision: str) -> AsyncIterator[None]:
    async def read(tx: Transaction) -> str:
        return str((await tx.execute(text("SELECT version_num FROM alembic_version"))).scalar_one())

    async def note(tx: Transaction, version: str) -> None:
        await tx.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})

    before = await hub.database.read(read)
    await hub.database.write(partial(note, version=revision))
    yield
    await hub.database.write(partial(note, version=before))


async def test_a_schema_that_is_not_at_head_is_named(client: httpx.AsyncClient, hub: Hub) -> None:
    async with schema_at(hub, "0000"):
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["failing"] == {"database": "The database schema is not at head."}


async def test_the_hub_is_asked_once_a_second(
    client: httpx.AsyncClient, tmp_path: Path, seconds: Seconds
) -> None:
    assert (await client.get("/readyz")).status_code == 200
    await break_attachments(tmp_path)
    seconds.now += 0.9
    assert (await client.get("/readyz")).status_code == 200
    seconds.now += 0.2
    assert (await client.get("/readyz")).status_code == 503


async def test_a_hub_that_stops_is_alive_but_not_ready(client: httpx.AsyncClient, hub: Hub) -> None:
    assert (await client.get("/readyz")).status_code == 200
    hub.wakeups.stop()
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["failing"]) == (503, {"process": "stopping"})
    assert (await client.get("/livez")).status_code == 200


async def test_a_broken_hub_is_still_alive(client: httpx.AsyncClient, tmp_path: Path) -> None:
    await break_attachments(tmp_path)
    assert (await client.get("/livez")).json() == {"status": "pass"}


async def test_a_hub_that_does_not_say_is_not_ready(hub: Hub) -> None:
    app = Starlette(routes=create_health_routes(hub, patience_seconds=0))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["failing"] == {"process": "no answer within 0 s"}
