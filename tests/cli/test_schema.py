"""The database commands, on databases of both kinds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from gateway_hub.storage.process_lock import ProcessLock
from tests import postgres
from tests.cli.conftest import Run
from tests.conftest import DATABASES
from tests.pgbouncer import running_pooler

VERSIONS = Path(__file__).parents[2] / "alembic" / "versions"
HEAD = max(file.name for file in VERSIONS.glob("0*.py")).partition("_")[0]


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a schema, of each kind in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'hub.sqlite3'}"
        return
    with postgres.empty_database(request.getfixturevalue("postgres_server")) as url:
        yield url


def test_a_schema_goes_up_and_down(run: Run, empty_url: str) -> None:
    assert run("db", "current", "--json", database_url=empty_url).json() == {
        "current": None,
        "head": HEAD,
        "at_head": False,
    }
    behind = run("db", "check", database_url=empty_url)
    assert (behind.exit_code, behind.out) == (1, "")
    assert behind.err.endswith("Run: gateway-hub db upgrade\n")

    up = run("db", "upgrade", "--database-url", empty_url)
    assert (up.exit_code, up.out) == (0, f"The schema went from nothing to {HEAD}.\n")
    assert run("db", "check", database_url=empty_url).exit_code == 0
    again = run("db", "upgrade", database_url=empty_url)
    assert again.out == f"The schema is at {HEAD} already.\n"

    down = run("db", "downgrade", "base", "--yes", database_url=empty_url)
    assert (down.exit_code, down.out) == (0, "The schema is at nothing.\n")
    assert run("db", "check", database_url=empty_url).exit_code == 1


def test_looking_makes_no_database(run: Run, folder: Path) -> None:
    assert run("db", "current").out == f"nothing (this version needs {HEAD})\n"
    assert list(folder.iterdir()) == []


def test_going_back_is_asked_for(run: Run) -> None:
    assert run("db", "upgrade").exit_code == 0
    refused = run("db", "downgrade", "base", stdin="n\n")
    assert refused.exit_code == 1
    assert run("db", "check").exit_code == 0


def test_an_unknown_revision_is_refused(run: Run) -> None:
    assert run("db", "upgrade").exit_code == 0
    ran = run("db", "downgrade", "nosuch", "--yes")
    assert ran.exit_code == 1
    assert "Can't locate revision identified by 'nosuch'" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize("command", [["upgrade"], ["downgrade", "base", "--yes"]])
def test_a_file_in_use_is_left_alone(run: Run, folder: Path, command: list[str]) -> None:
    assert run("db", "upgrade").exit_code == 0
    lock = ProcessLock(folder / "data" / "gateway-hub.sqlite3")
    lock.acquire()
    ran = run("db", *command)
    lock.release()
    assert ran.exit_code == 3
    assert "is in use by another process" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.postgres
def test_a_hub_on_postgresql_waits_for_its_schema(
    run: Run, folder: Path, postgres_server: str
) -> None:
    keys = run("config", "--new-secret-key").out.strip()
    with postgres.empty_database(postgres_server) as url:
        for command in (["serve"], ["key", "list"]):
            ran = run(*command, database_url=url, secret_keys=keys)
            assert (ran.exit_code, ran.out) == (1, "")
            assert ran.err == (
                f"gateway-hub: the database schema is at nothing and this version needs {HEAD}. "
                "Run: gateway-hub db upgrade\n"
            )
        first = run("init", "--json", database_url=url, secret_keys=keys).json()["key"]
        assert first.startswith("ghk_")
        assert run("key", "list", database_url=url, secret_keys=keys).exit_code == 0
    assert not (folder / "data" / "running.json").exists()


@pytest.mark.parametrize(
    "command", [["serve"], ["key", "list"], ["db", "upgrade"], ["db", "check"]]
)
def test_postgresql_out_of_reach_exits_with_3(run: Run, command: list[str]) -> None:
    keys = run("config", "--new-secret-key").out.strip()
    ran = run(*command, database_url="postgresql://hub:s3cret@127.0.0.1:1/sms", secret_keys=keys)
    assert ran.exit_code == 3
    assert ran.err == (
        "gateway-hub: PostgreSQL at 127.0.0.1:1/sms cannot be reached: Connection refused\n"
    )


@pytest.mark.parametrize("command", [["serve"], ["key", "list"]])
def test_postgresql_needs_secret_keys(run: Run, command: list[str]) -> None:
    ran = run(
        *command, database_url="postgresql://hub:s3cret@127.0.0.1:1/sms", migrate_at_start="1"
    )
    assert ran.exit_code == 1
    assert ran.err.startswith("gateway-hub: GATEWAY_HUB_SECRET_KEYS is not set.")


@pytest.mark.parametrize("command", [["serve"], ["key", "list"], ["db", "current"], ["doctor"]])
@pytest.mark.parametrize("url", ["mysql://hub:s3cret@db/sms", "s3cret"])
def test_any_other_database_is_refused(run: Run, command: list[str], url: str) -> None:
    ran = run(*command, database_url=url)
    assert ran.exit_code == 1
    assert "GATEWAY_HUB_DATABASE_URL must begin with" in ran.out + ran.err
    assert "s3cret" not in ran.out + ran.err


@pytest.mark.postgres
def test_a_pooler_nobody_spoke_of_is_told(run: Run, postgres_server: str) -> None:
    keys = run("config", "--new-secret-key").out.strip()
    with running_pooler(postgres_server) as pooled, postgres.empty_database(postgres_server) as url:
        through = make_url(pooled).set(database=make_url(url).database).render_as_string()
        ran = run("serve", "--port", "0", database_url=through, secret_keys=keys)
        assert (ran.exit_code, ran.out) == (1, "")
        assert ran.err == (
            "gateway-hub: a connection pooler stands before PostgreSQL: "
            "add ?pgbouncer=true to GATEWAY_HUB_DATABASE_URL\n"
        )
        pooled_url = f"{through}?pgbouncer=true"
        assert run("db", "upgrade", database_url=pooled_url).exit_code == 0
        examined = run("doctor", database_url=pooled_url, secret_keys=keys)
        assert "✓ postgresql" in examined.out
        assert "! notices: a pooler swallows what processes tell one another" in examined.out
        examined = run("doctor", database_url=pooled_url, direct_database_url=url, secret_keys=keys)
        assert "✓ notices" in examined.out


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sslmode=yes", "GATEWAY_HUB_DATABASE_URL: sslmode in the database URL must be one of"),
        ("pgbouncer=1", "GATEWAY_HUB_DATABASE_URL: pgbouncer in the database URL must be true"),
        ("sslmod=require", "GATEWAY_HUB_DATABASE_URL: the database URL has an unknown parameter"),
    ],
)
def test_a_parameter_of_the_url_that_cannot_be_is_told(run: Run, query: str, told: str) -> None:
    ran = run("db", "current", database_url=f"postgresql://hub:s3cret@db/sms?{query}")
    assert (ran.exit_code, len(ran.err.splitlines())) == (1, 1)
    assert told in ran.err
    assert "s3cret" not in ran.err


def test_a_direct_url_of_another_kind_is_told(run: Run) -> None:
    urls = {"database_url": "postgresql://db/sms", "direct_database_url": "mysql://:s3cret@db/sms"}
    ran = run("db", "current", **urls)
    assert ran.exit_code == 1
    assert "GATEWAY_HUB_DIRECT_DATABASE_URL must begin with" in ran.err
    assert "s3cret" not in ran.err
