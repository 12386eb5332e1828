"""What went wrong, in words a person can act on: one clear line, no traceback, no secret."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from gateway_hub.cli.failures import CommandFailure, ExitCode
from gateway_hub.domain.errors import HubError
from gateway_hub.ops.escaping import escape_controls
from gateway_hub.ops.redaction import redact
from gateway_hub.secret_keys import SecretKeysMissingError
from gateway_hub.settings import PREFIX, Settings, UnknownSettingError
from gateway_hub.storage.engines import normalise_url
from gateway_hub.storage.faults import is_transient
from gateway_hub.storage.process_lock import DatabaseInUseError


@contextmanager
def explaining(settings: Settings) -> Iterator[None]:
    """Raise what fails in the block as a CommandFailure."""
    try:
        yield
    except Exception as error:
        raise explain(error, settings) from error


def explain(error: Exception, settings: Settings | None = None) -> CommandFailure:
    """Return *error* as a command's failure; *settings*, if they were read, say about which files."""
    if isinstance(error, CommandFailure):
        return error
    if isinstance(error, ValidationError):
        return _explain_values(error)
    if isinstance(error, UnknownSettingError | SecretKeysMissingError):
        return CommandFailure(str(error))
    if isinstance(error, DatabaseInUseError):
        return CommandFailure(str(error), ExitCode.UNREACHABLE)
    if isinstance(error, HubError):
        return CommandFailure(_one_line(error), ExitCode.UNREACHABLE)
    if isinstance(error, ModuleNotFoundError) and error.name == "asyncpg":
        return CommandFailure(
            "PostgreSQL support is not installed. Run: pip install 'gateway-hub[postgres]'"
        )
    if settings is not None and not settings.is_embedded and is_transient(error):
        return _explain_postgres(error, settings)
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return CommandFailure(f"{named}{error.strerror or _one_line(error)}")
    return _explain_other(error, settings)


def _explain_values(error: ValidationError) -> CommandFailure:
    """Name each wrong setting on a line; pydantic's own text would repeat the value."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = PREFIX + str(problem["loc"][0]).upper() if problem["loc"] else "settings"
        lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
    return CommandFailure("a setting is wrong: " + "\n  ".join(lines))


def _explain_postgres(error: Exception, settings: Settings) -> CommandFailure:
    url = normalise_url(settings.effective_database_url)
    where = f"{url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
    return CommandFailure(
        f"PostgreSQL at {where} cannot be reached: {_one_line(error)}", ExitCode.UNREACHABLE
    )


def _explain_other(error: Exception, settings: Settings | None) -> CommandFailure:
    """Tell a database's own words, if it was the database; else what Python says."""
    cause = getattr(error, "orig", None)
    if settings is not None and isinstance(cause, Exception):
        where = redact(settings.effective_database_url)
        return CommandFailure(
            f"the database {where} cannot be used: {_one_line(cause)}", ExitCode.UNREACHABLE
        )
    if isinstance(error, RuntimeError | ValueError):
        return CommandFailure(_one_line(error))
    return CommandFailure(f"{type(error).__name__}: {_one_line(error)}")


def _one_line(error: BaseException) -> str:
    first = str(error).partition("\n")[0].strip()
    return escape_controls(redact(first)) or type(error).__name__
