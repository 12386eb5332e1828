"""The URL of a PostgreSQL database: parameters as libpq names them, in the words of our driver."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.engine import URL

_POOLER = "pgbouncer"
"""``pgbouncer=true``, as other programs write it: a pooler that changes the connection between
transactions stands before the database."""

_TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TLS_FILES = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
_OF_LIBPQ = _TLS_FILES | {
    "sslmode",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "target_session_attrs",
}
_OF_DRIVER = frozenset({"host", "port", "ssl", "passfile", "prepared_statement_cache_size"})


class ParameterError(ValueError):
    """A parameter of a URL means nothing, or says something that is not to be said with it."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """Where a database is: *url* for SQLAlchemy, and further *options* for asyncpg's ``connect``.

    Nothing outlives a transaction on a *pooled* connection: no prepared statement, no setting, no
    LISTEN, no lock.
    """

    url: URL
    pooled: bool = False
    options: dict[str, Any] = field(default_factory=dict)


def read_address(url: URL) -> PostgresAddress:
    """Return what *url* says. Raises ParameterError."""
    query = {name: _only_value(name, value) for name, value in url.query.items() if name != "host"}
    for name, value in query.items():
        _check(name, value)
    # The driver reads libpq's parameters from a DSN only; the rest of one may be left out.
    of_libpq = {name: query[name] for name in sorted(query.keys() & _OF_LIBPQ)}
    return PostgresAddress(
        url.difference_update_query([*of_libpq, _POOLER]),
        pooled=query.get(_POOLER) == "true",
        options={"dsn": f"postgresql://?{urlencode(of_libpq)}"} if of_libpq else {},
    )


def _check(name: str, value: str) -> None:
    if name not in _OF_LIBPQ | _OF_DRIVER | {_POOLER}:
        raise ParameterError(f"the database URL has an unknown parameter: {name[:40]}")
    if name in {"ssl", "sslmode"} and value not in _TLS_MODES:
        raise ParameterError(f"{name} in the database URL must be one of {', '.join(_TLS_MODES)}")
    if name in _TLS_FILES and not Path(value).is_file():
        raise ParameterError(f"{name} in the database URL names no file")
    if name == _POOLER and value not in {"true", "false"}:
        raise ParameterError(f"{name} in the database URL must be true or false")


def _only_value(name: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, str):
        return value
    raise ParameterError(f"the database URL names {name[:40]} more than once")
