import errno
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from gateway_hub.cli.explanations import explain, explaining
from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.domain.errors import UnavailableError
from gateway_hub.settings import Settings
from gateway_hub.storage.process_lock import DatabaseInUseError

EMBEDDED = Settings(data_dir=Path("data"))
POSTGRES = Settings(database_url="postgresql://hub:s3cret@db.example:6543/sms")


class DriverError(Exception):
    """An error as SQLAlchemy wraps it."""

    def __init__(self, orig: Exception) -> None:
        super().__init__(f"(driver) {orig}\n[SQL: SELECT 1]")
        self.orig = orig


CASES = [
    pytest.param(DatabaseInUseError("It is in use."), EMBEDDED, 3, "It is in use.", id="in-use"),
    pytest.param(UnavailableError("Not now."), EMBEDDED, 3, "Not now.", id="unavailable"),
    pytest.param(
        PermissionError(errno.EACCES, "Permission denied", "data/secret.key"),
        EMBEDDED,
        1,
        "data/secret.key: Permission denied",
        id="folder-not-ours",
    ),
    pytest.param(
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        POSTGRES,
        3,
        "PostgreSQL at db.example:6543/sms cannot be reached: Connection refused",
        id="postgres-down",
    ),
    pytest.param(
        DriverError(ValueError("file is not a database\nmore")),
        EMBEDDED,
        3,
        "the database sqlite+aiosqlite:///data/gateway-hub.sqlite3 cannot be used: "
        "file is not a database",
        id="broken-file",
    ),
    pytest.param(
        ModuleNotFoundError("No module named 'asyncpg'", name="asyncpg"),
        POSTGRES,
        1,
        "PostgreSQL support is not installed. Run: pip install 'gateway-hub[postgres]'",
        id="extra-not-installed",
    ),
    pytest.param(
        RuntimeError("PostgreSQL runs with fsync=off: a commit could be lost"),
        POSTGRES,
        1,
        "PostgreSQL runs with fsync=off: a commit could be lost",
        id="not-durable",
    ),
    pytest.param(
        KeyError("postgresql://hub:s3cret@db/sms\n\x1b[0m"),
        None,
        1,
        "KeyError: 'postgresql://[hidden]@db/sms\\n\\x1b[0m'",
        id="anything-else",
    ),
    pytest.param(AssertionError(), None, 1, "AssertionError: AssertionError", id="without-words"),
]


@pytest.mark.parametrize(("error", "settings", "exit_code", "message"), CASES)
def test_an_error_is_told_in_one_line(
    error: Exception, settings: Settings | None, exit_code: int, message: str
) -> None:
    told = explain(error, settings)
    assert (told.exit_code, told.message) == (exit_code, message)


def test_a_command_error_is_passed_on() -> None:
    error = CommandError("as it is", ExitCode.USAGE)
    with pytest.raises(CommandError) as info, explaining(EMBEDDED):
        raise error
    assert info.value is error


def test_a_wrong_value_is_never_repeated() -> None:
    class Some(BaseModel):
        port: int

    with pytest.raises(ValidationError) as info:
        Some.model_validate({"port": "s3cret"})
    told = explain(info.value)
    assert told.message.startswith("a setting is wrong: GATEWAY_HUB_PORT: Input should be")
    assert "\n" not in told.message
    assert "s3cret" not in told.message
