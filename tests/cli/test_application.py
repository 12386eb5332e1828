import subprocess
import sys

import pytest

from tests.cli.conftest import Run

COMMANDS = {
    *("serve", "init", "demo", "phone", "config", "doctor"),
    *("device", "message", "webhook", "key", "project", "db"),
}
SLOW = ("fastapi", "sqlalchemy", "pydantic_settings", "httpx", "structlog", "rich", "uvicorn")


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert shown.exit_code == 0
    commands = shown.out.partition("Commands:")[2]
    assert {line.split()[0] for line in commands.strip().splitlines()} == COMMANDS


def test_help_imports_nothing_slow() -> None:
    program = f"""
import sys
from gateway_hub.cli import main
try:
    main(["device", "--help"])
finally:
    print([name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"


WRONG = [
    pytest.param(["nosuch"], id="unknown-command"),
    pytest.param(["message", "send", "+255700000001"], id="missing-argument"),
    pytest.param(["key", "create", "--name", "x", "--scope", "everything"], id="unknown-scope"),
    pytest.param(["device", "create", "--name", "x", "--protocol", "smtp"], id="unknown-protocol"),
    pytest.param(["message", "send", "1", "x", "--device", "a", "--tag", "b"], id="both-routes"),
    pytest.param(["message", "send", "1", "x", "--metadata", "novalue"], id="malformed-metadata"),
    pytest.param(["phone", "--server", "http://127.0.0.1:1/"], id="phone-without-protocol"),
    pytest.param(["phone", "--protocol", "medic", "--receive", "x"], id="sms-without-sender"),
]


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_exits_with_2_and_prints_nothing_else(run: Run, arguments: list[str]) -> None:
    ran = run(*arguments)
    assert (ran.exit_code, ran.out) == (2, "")
    assert "Error: " in ran.err


@pytest.mark.parametrize("command", [["key", "list"], ["serve"], ["config"], ["db", "current"]])
def test_an_unknown_setting_stops_every_command_with_the_nearest_name(
    run: Run, command: list[str]
) -> None:
    ran = run(*command, prot="8080")
    assert ran.exit_code == 1
    assert ran.out == ""
    assert ran.err == (
        "gateway-hub: GATEWAY_HUB_PROT is not a setting; did you mean GATEWAY_HUB_PORT?\n"
    )


def test_wrong_values_are_told_one_a_line_and_never_repeated(run: Run) -> None:
    ran = run("serve", port="s3cret", long_poll_seconds="51", api_key="s3cret")
    assert ran.exit_code == 1
    assert [line.strip().partition(": ")[0] for line in ran.err.splitlines()[1:]] == [
        "GATEWAY_HUB_PORT",
        "GATEWAY_HUB_LONG_POLL_SECONDS",
    ]
    assert "s3cret" not in ran.err
