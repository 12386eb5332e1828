"""What went wrong, in words a person can act on: one clear line, no traceback, no secret."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from gateway_hub.cli.failures import CommandError, DatabaseBusyError, ExitCode
from gateway_hub.domain.errors import HubError
from gateway_hub.ops.escaping import escape_controls
from gateway_hub.ops.redaction import redact
from gateway_hub.secret_keys import SecretKeysMissingError
from gateway_hub.settings import PREFIX, Settings, UnknownSettingError
from gateway_hub.storage.engines import POOLER_ADVICE, normalise_url
from gateway_hub.storage.faults import is_refused_by_pooler, is_transient
from gateway_hub.storage.process_lock import DatabaseInUseError

_SELF_EXPLAINING: dict[type[Exception], ExitCode] = {
    UnknownSettingError: ExitCode.REFUSED,
    SecretKeysMissingError: ExitCode.REFUSED,
    HubError: ExitCode.UNREACHABLE,
}


@contextmanager
def explaining(settings: Settings) -> Iterator[None]:
    """Raise what fails in the block as a CommandError."""
    try:
        yield
    except Exception as error:
        raise explain(error, settings) from error


def explain(error: Exception, settings: Settings | None = None) -> CommandError:
    """Return *error* as a command's failure; *settings*, if they were read, name the database."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, ValidationError):
        return _explain_values(error)
    if isinstance(error, DatabaseInUseError):
        return DatabaseBusyError(_one_line(error))
    for kind, exit_code in _SELF_EXPLAINING.items():
        if isinstance(error, kind):
            return CommandError(_one_line(error), exit_code)
    of_database = _find_database_fault(error, settings) if settings is not None else None
    return of_database or CommandError(_python_words(error))


def _explain_values(error: ValidationError) -> CommandError:
    """Name each wrong setting on a line; pydantic's own text would repeat the value."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False, include_input=False):
        name = PREFIX + str(problem["loc"][0]).upper() if problem["loc"] else "settings"
        lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
    if len(lines) == 1:
        return CommandError(f"a setting is wrong: {lines[0]}")
    return CommandError("\n  ".join([f"{len(lines)} settings are wrong:", *lines]))


def _find_database_fault(error: Exception, settings: Settings) -> CommandError | None:
    """Return what the database's driver said, if it was the database."""
    if isinstance(error, ModuleNotFoundError) and error.name == "asyncpg":
        return CommandError(
            "PostgreSQL support is not installed. Run: pip install 'gateway-hub[postgres]'"
        )
    if is_refused_by_pooler(error):
        return CommandError(POOLER_ADVICE)
    if not settings.is_embedded and is_transient(error):
        url = normalise_url(settings.effective_database_url)
        where = f"PostgreSQL at {url.host or 'localhost'}:{url.port or 5432}/{url.database or ''}"
        return CommandError(
            f"{where} cannot be reached: {_python_words(error)}", ExitCode.UNREACHABLE
        )
    cause = getattr(error, "orig", None)
    if isinstance(cause, Exception):
        where = redact(settings.effective_database_url)
        return CommandError(
            f"the database {where} cannot be used: {_one_line(cause)}", ExitCode.UNREACHABLE
        )
    return None


def _python_words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        named = f"{error.filename}: " if error.filename else ""
        return escape_controls(f"{named}{os.strerror(error.errno)}")
    if isinstance(error, RuntimeError | ValueError | OSError):
        return _one_line(error)
    return f"{type(error).__name__}: {_one_line(error)}"


def _one_line(error: BaseException) -> str:
    first = str(error).partition("\n")[0].strip()
    return escape_controls(redact(first)) or type(error).__name__
