"""Which database errors are the weather, not the request: worth another try, and never a 4xx."""

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# PostgreSQL: serialization failure, deadlock, lock not available, shutdown, crash, starting up,
# too many connections, disk full, out of memory, read-only (the primary has just moved).
_LOCK_CONFLICTS = frozenset({"40001", "40P01"})
_RETRYABLE_STATES = frozenset(
    {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300", "53100", "53200", "25006"}
)


def is_connection_lost(error: BaseException) -> bool:
    """Say whether the connection is gone, and with it all of its transaction."""
    if isinstance(error, DBAPIError):
        return bool(error.connection_invalidated)
    return isinstance(error, OSError | PoolTimeoutError) or _is_driver_error(error)


def is_lock_conflict(error: BaseException) -> bool:
    """Say whether two transactions were in each other's way: deadlock or serialization failure."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _LOCK_CONFLICTS


def is_refused_by_pooler(error: BaseException) -> bool:
    """Say whether a connection pooler did not know what to do with our settings."""
    return "unsupported startup parameter" in str(getattr(error, "orig", None) or error)


def is_transient(error: BaseException) -> bool:
    """Say whether the same work may well succeed a little later."""
    if is_connection_lost(error) or isinstance(error, InterfaceError):
        return True
    if isinstance(error, OperationalError):
        # SQLite calls a wrong statement operational too; only its code tells it from a full disk.
        return getattr(error.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_ERROR
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state in _RETRYABLE_STATES


def _is_driver_error(error: BaseException) -> bool:
    """Say whether *error* is asyncpg's own: SQLAlchemy passes some of them on unwrapped.

    A connection that is cut at the wrong moment raises InternalClientError, which is no
    PostgresError; asyncpg is optional, so its classes are told by name.
    """
    return type(error).__module__.partition(".")[0] == "asyncpg"
