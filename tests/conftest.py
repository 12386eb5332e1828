"""Fixtures: real databases, a clock that is set by hand, a started hub, a hub behind a socket."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis
import pytest

from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.ids import IdSource, use_source
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox
from gateway_hub.storage.database import Database
from tests import postgres

# With `CI` set, Hypothesis would otherwise try the same examples each time.
hypothesis.settings.register_profile("shared-machine", deadline=None, derandomize=False)
hypothesis.settings.load_profile("shared-machine")

DATABASES = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **parts: float) -> None:
        """Move forward by ``timedelta(**parts)``."""
        self.now += timedelta(**parts)


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    """A clock set to noon of 2026-03-01, UTC; ids are made by it too."""
    clock = FakeClock()
    before = use_source(IdSource(lambda: to_epoch_ms(clock.now)))
    yield clock
    use_source(before)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server whose template database is at head."""
    with postgres.running_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> Iterator[str]:
    """The URL of the database that the tests use one after another."""
    with postgres.fresh_database(postgres_server) as url:
        yield url


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with its schema at head, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    database = Database(f"sqlite+aiosqlite:///{path}")
    await database.start(migrate=True)
    await database.stop()
    return path


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path, sqlite_template: Path) -> str:
    """The URL of a database of each kind in turn, its schema at head, with no rows."""
    if request.param == "sqlite":
        path = shutil.copy(sqlite_template, tmp_path / "hub.sqlite3")
        return f"sqlite+aiosqlite:///{path}"
    url: str = request.getfixturevalue("postgres_database")
    postgres.remove_all_rows(url)
    return url


MakeHub = Callable[..., Awaitable[Hub]]


@pytest.fixture
async def make_hub(database_url: str, tmp_path: Path, clock: FakeClock) -> AsyncIterator[MakeHub]:
    """Return a function that starts a hub on the test's database; all end with the test."""
    key = SecretBox.generate_key()
    async with AsyncExitStack() as stack:

        async def make(*, url: str = database_url, direct_url: str | None = None) -> Hub:
            options = HubOptions(
                database_url=url,
                direct_database_url=direct_url,
                attachments_folder=tmp_path / "attachments",
                secret_keys=[key],
                migrate=True,
                operator_token="operator-token-of-the-tests",
            )
            hub = Hub(options, clock)
            await hub.start()
            stack.push_async_callback(hub.stop)
            return hub

        yield make


@pytest.fixture
async def hub(make_hub: MakeHub) -> Hub:
    """A started hub on a fresh database."""
    return await make_hub()
