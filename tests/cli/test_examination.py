from pathlib import Path

import pytest

from gateway_hub.cli.examination import Finding, Verdict, is_well, judge_sqlite_version
from tests.cli.conftest import Ran, Run

VERSIONS = [
    pytest.param((3, 6, 23), Verdict.OK, id="before-the-log"),
    pytest.param((3, 7, 0), Verdict.WARNING, id="first-with-the-log"),
    pytest.param((3, 40, 1), Verdict.WARNING, id="debian-12"),
    pytest.param((3, 44, 5), Verdict.WARNING, id="3.44-not-mended"),
    pytest.param((3, 44, 6), Verdict.OK, id="3.44-mended"),
    pytest.param((3, 45, 0), Verdict.WARNING, id="after-3.44"),
    pytest.param((3, 50, 6), Verdict.WARNING, id="3.50-not-mended"),
    pytest.param((3, 50, 7), Verdict.OK, id="3.50-mended"),
    pytest.param((3, 51, 0), Verdict.WARNING, id="3.51-not-mended"),
    pytest.param((3, 51, 2), Verdict.WARNING, id="3.51-not-yet-mended"),
    pytest.param((3, 51, 3), Verdict.OK, id="3.51-mended"),
    pytest.param((3, 52, 0), Verdict.OK, id="newer"),
    pytest.param((4, 0, 0), Verdict.OK, id="next"),
]


@pytest.mark.parametrize(("version", "verdict"), VERSIONS)
def test_sqlite_versions_that_can_corrupt_the_file_are_warned_of(
    version: tuple[int, int, int], verdict: Verdict
) -> None:
    assert judge_sqlite_version(version)[0] is verdict


def test_a_warning_is_no_problem() -> None:
    assert is_well([Finding("a", Verdict.OK, ""), Finding("b", Verdict.WARNING, "")])
    assert not is_well([Finding("a", Verdict.OK, ""), Finding("b", Verdict.PROBLEM, "")])


def verdicts(ran: Ran) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in ran.json()["checks"]}


def detail_of(ran: Ran, name: str) -> str:
    return str(next(item["detail"] for item in ran.json()["checks"] if item["name"] == name))


def test_a_machine_without_a_hub_is_well_and_stays_as_it_is(run: Run, folder: Path) -> None:
    ran = run("doctor", "--json")
    assert (ran.exit_code, ran.json()["ok"]) == (0, True)
    assert list(folder.iterdir()) == []


def test_a_hub_is_looked_at_all_over(run: Run) -> None:
    run("init")
    ran = run("doctor", "--json")
    assert ran.exit_code == 0
    assert list(verdicts(ran)) == [
        "settings",
        "secret keys",
        "data folder",
        "free disk",
        "open files",
        "sqlite",
        "schema",
        "stored secrets",
        "public urls",
        "running hub",
    ]


def test_people_get_a_line_for_each_check(run: Run) -> None:
    lines = run("doctor").out.splitlines()
    assert lines[0] == "✓ settings: valid"
    assert {line[:2] for line in lines} <= {"✓ ", "! ", "✗ "}


def test_wrong_settings_are_the_only_finding(run: Run) -> None:
    ran = run("doctor", "--json", port="s3cret")
    assert (ran.exit_code, verdicts(ran)) == (1, {"settings": "problem"})
    assert "s3cret" not in ran.out


def test_a_proxy_that_is_no_network_is_found_and_named(run: Run) -> None:
    ran = run("doctor", "--json", trusted_proxies="nonsense")
    assert (ran.exit_code, verdicts(ran)) == (1, {"settings": "problem"})
    assert detail_of(ran, "settings").startswith(
        "a setting is wrong: GATEWAY_HUB_TRUSTED_PROXIES: 'nonsense' "
    )


def test_secrets_that_no_key_opens_are_found(run: Run) -> None:
    run(
        "device", "create", "--name", "x", "--protocol", "envaya", "--phone-number", "+255700000001"
    )
    assert verdicts(run("doctor", "--json"))["stored secrets"] == "ok"
    other = run("config", "--new-secret-key").out.strip()
    ran = run("doctor", "--json", secret_keys=other)
    assert ran.exit_code == 1
    assert detail_of(ran, "stored secrets").startswith("1 cannot be opened")


def test_envaya_phones_ask_for_public_urls(run: Run) -> None:
    number = ("--phone-number", "+255700000001")
    run("device", "create", "--name", "a", "--protocol", "medic")
    assert verdicts(run("doctor", "--json"))["public urls"] == "ok"
    run(
        "device",
        "create",
        "--name",
        "b",
        "--protocol",
        "envaya",
        *number,
        "--server-url",
        "https://x/envaya",
    )
    assert verdicts(run("doctor", "--json"))["public urls"] == "ok"
    run("device", "create", "--name", "c", "--protocol", "envaya", *number)
    ran = run("doctor", "--json")
    assert (ran.exit_code, verdicts(ran)["public urls"]) == (0, "warning")
    told = run("doctor", "--json", public_urls="https://hub.example")
    assert verdicts(told)["public urls"] == "ok"


def test_a_malformed_key_file_is_found(run: Run, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "secret.key").write_text("something else")
    ran = run("doctor", "--json")
    assert (ran.exit_code, verdicts(ran)["secret keys"]) == (1, "problem")


def test_a_data_folder_that_is_none_is_found(run: Run, folder: Path) -> None:
    (folder / "data").write_text("a file where a folder is needed")
    ran = run("doctor", "--json")
    assert (ran.exit_code, verdicts(ran)["data folder"]) == (1, "problem")


@pytest.mark.postgres
def test_postgresql_is_looked_at(run: Run, postgres_database: str) -> None:
    keys = run("config", "--new-secret-key").out.strip()
    ran = run("doctor", "--json", database_url=postgres_database, secret_keys=keys, port="1")
    found = verdicts(ran)
    assert found["schema"] == "ok"
    assert found["running hub"] == "warning"
    assert "sqlite" not in found


def test_postgresql_out_of_reach_is_found(run: Run) -> None:
    keys = run("config", "--new-secret-key").out.strip()
    url = "postgresql://hub:s3cret@127.0.0.1:1/sms"
    ran = run("doctor", "--json", database_url=url, secret_keys=keys, port="1")
    assert (ran.exit_code, verdicts(ran)["postgresql"]) == (1, "problem")
    assert "s3cret" not in ran.out
