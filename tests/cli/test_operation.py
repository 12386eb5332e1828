import base64
import re
import socket
import stat
from pathlib import Path

import pytest

from gateway_hub.settings import PREFIX, Settings
from gateway_hub.storage.process_lock import ProcessLock
from tests.cli.conftest import Run


def test_init_prepares_a_hub_that_its_owner_alone_can_read(run: Run, folder: Path) -> None:
    ran = run("init")
    assert (ran.exit_code, ran.err) == (0, "")
    assert "ghk_" in ran.out
    made = {item.name: item.stat().st_mode for item in (folder / "data").iterdir()}
    assert {"gateway-hub.sqlite3", "secret.key", "attachments"} <= made.keys()
    assert not any(mode & (stat.S_IRWXG | stat.S_IRWXO) for mode in made.values())


def test_the_first_key_is_shown_once(run: Run) -> None:
    assert run("init", "--json").json()["key"].startswith("ghk_")
    assert run("init", "--json").json()["key"] is None
    again = run("init")
    assert again.exit_code == 0
    assert "ghk_" not in again.out
    assert "gateway-hub key create" in again.out


def test_init_leaves_a_hub_alone_that_has_a_key(run: Run) -> None:
    made = run("key", "create", "--name", "n", "--scope", "admin", "--json")
    assert made.exit_code == 0
    assert run("init", "--json").json()["key"] is None


def test_config_tells_every_setting_and_no_secret(run: Run) -> None:
    ran = run(
        "config",
        "--json",
        secret_keys="s3cret,s3cret",
        api_key="s3cret",
        url="http://hub.example",
        database_url="postgresql://hub:s3cret@db/sms",
        public_urls="https://a.example, https://u:s3cret@b.example",
    )
    shown = ran.json()
    assert set(shown) == {PREFIX + name.upper() for name in Settings.model_fields}
    assert "s3cret" not in ran.out
    assert shown["GATEWAY_HUB_SECRET_KEYS"] == ["[hidden]", "[hidden]"]
    assert shown["GATEWAY_HUB_DATABASE_URL"] == "postgresql://[hidden]@db/sms"
    assert shown["GATEWAY_HUB_PUBLIC_URLS"][0] == "https://a.example"


def test_config_works_out_what_depends_on_the_rest(run: Run) -> None:
    shown = run("config", "--data-dir", "elsewhere", "--json").json()
    assert shown["GATEWAY_HUB_DATABASE_URL"] == "sqlite+aiosqlite:///elsewhere/gateway-hub.sqlite3"
    assert shown["GATEWAY_HUB_MIGRATE_AT_START"] is True


def test_config_in_text_says_what_is_not_set(run: Run) -> None:
    lines = run("config").out.splitlines()
    assert len(lines) == len(Settings.model_fields)
    assert [line.split()[1:] for line in lines if "GATEWAY_HUB_API_KEY" in line] == [
        ["(not", "set)"]
    ]


def test_a_new_secret_key_is_a_fernet_key_and_always_another(run: Run) -> None:
    keys = {run("config", "--new-secret-key").out for _ in range(2)}
    assert [len(base64.urlsafe_b64decode(key.strip())) for key in keys] == [32, 32]


# A secret in a command line can be read by every user of the machine, and the last two are not
# for the server.
NO_FLAG = {"secret_keys", "url", "api_key"}


def test_every_other_setting_is_a_flag_of_serve(run: Run) -> None:
    shown = run("serve", "--help").out
    negations = {"no-migrate-at-start", "no-webhook-allow-http"}
    flags = set(re.findall(r"--([a-z-]+)", shown)) - {"help"} - negations
    assert flags == {name.replace("_", "-") for name in Settings.model_fields.keys() - NO_FLAG}


def test_serve_refuses_a_port_in_use(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        ran = run("serve", "--port", str(port))
    assert (ran.exit_code, ran.out) == (1, "")
    assert ran.err == (
        f"gateway-hub: cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Choose another with --host and --port.\n"
    )


def test_a_second_process_on_the_file_is_refused(run: Run, folder: Path) -> None:
    (folder / "data").mkdir()
    lock = ProcessLock(folder / "data" / "gateway-hub.sqlite3")
    lock.acquire()
    ran = run("serve", "--port", "0")
    lock.release()
    assert (ran.exit_code, ran.out) == (3, "")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.endswith(
        "data/gateway-hub.sqlite3 is in use by another process. "
        "A SQLite database serves one hub; use PostgreSQL for more.\n"
    )


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["key", "list"], ["init"]])
def test_a_file_that_is_no_database_is_told(run: Run, folder: Path, command: list[str]) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "gateway-hub.sqlite3").write_text("something else " * 100)
    ran = run(*command)
    assert (ran.exit_code, ran.out) == (3, "")
    assert ran.err == (
        "gateway-hub: the database sqlite+aiosqlite:///data/gateway-hub.sqlite3 cannot be used: "
        "file is not a database\n"
    )


@pytest.mark.parametrize("keys", ["s3cret", "s3cret,s3cret"])
def test_a_malformed_secret_key_is_told_but_not_repeated(run: Run, keys: str) -> None:
    ran = run("serve", "--port", "0", secret_keys=keys)
    assert ran.exit_code == 1
    assert "GATEWAY_HUB_SECRET_KEYS" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert "s3cret" not in ran.err


def test_a_folder_that_cannot_be_made_is_told(run: Run, folder: Path) -> None:
    (folder / "data").write_text("a file where a folder is needed")
    ran = run("serve", "--port", "0")
    assert ran.exit_code in {1, 3}
    assert len(ran.err.splitlines()) == 1
    assert "data" in ran.err
