"""Settings: environment variables ``GATEWAY_HUB_…``, a ``.env`` file, or flags of ``serve``."""

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gateway_hub.domain.networks import parse_networks
from gateway_hub.domain.retention import LEAST_RETENTION

PREFIX = "GATEWAY_HUB_"
ENV_FILE = ".env"


class UnknownSettingError(ValueError):
    """A variable with our prefix that means nothing."""


class Settings(BaseSettings):
    """Everything an operator can set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore"
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on.")
    data_dir: Path = Field(
        Path("data"), description="Folder of the SQLite file, the attachments and the key file."
    )
    database_url: str | None = Field(
        None,
        description="`postgresql+asyncpg://…` or `sqlite+aiosqlite:///…`; SQLite in the data "
        "folder if not given. With `?pgbouncer=true` it goes through a pooler.",
    )
    direct_database_url: str | None = Field(
        None,
        description="The same PostgreSQL past a pooler: processes tell one another there what "
        "happens, and the schema is migrated there.",
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes of `serve` that share the port; more than one need PostgreSQL.",
    )
    secret_keys: Annotated[list[SecretStr], NoDecode] = Field(
        default_factory=list,
        description="Fernet keys for secrets at rest, comma-separated, newest first. Needed with "
        "PostgreSQL; otherwise made at the first start and kept in the data folder.",
    )
    public_urls: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="URLs under which phones reach the hub, comma-separated: EnvayaSMS signs the "
        "URL it was given.",
    )
    trusted_proxies: Annotated[list[str], NoDecode] = Field(
        default_factory=lambda: ["127.0.0.1"],
        description="Addresses or networks whose `Forwarded` and `X-Forwarded-*` headers are "
        "believed, comma-separated.",
    )
    medic_paths: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Further paths that speak the medic protocol, comma-separated: those of an "
        "installation that is taken over.",
    )
    envaya_paths: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Further paths that speak the envaya protocol, comma-separated.",
    )
    long_poll_seconds: float = Field(
        25.0,
        ge=0,
        le=50,
        description="How long an EnvayaSMS poll with nothing to send is held; 0 answers at once. "
        "The app gives up after 60.",
    )
    offline_after_seconds: float = Field(
        600.0,
        ge=60,
        le=86_400,
        description="Silence after which a phone counts as away at the latest; sooner for one that "
        "usually asks more often.",
    )
    requests_per_minute: int = Field(
        60_000,
        ge=0,
        le=10_000_000,
        description="Requests to the REST API that one API key may make, in each process; 0: any.",
    )
    refusals_per_minute: int = Field(
        60,
        ge=0,
        le=1_000_000,
        description="Requests without a valid API key that are answered 401 to one address, in "
        "each process, before they are answered 429; 0: all.",
    )
    max_queued_messages: int = Field(
        1_000_000,
        ge=0,
        description="Messages a project may have queued, about, before further ones are answered "
        "503; 0: any number.",
    )
    max_event_streams: int = Field(
        200,
        ge=0,
        le=100_000,
        description="Open streams of events, in each process, before further ones are answered "
        "503.",
    )
    retention_days: int | None = Field(
        None,
        ge=LEAST_RETENTION.days,
        le=36_500,
        description="Days after their last change that messages which are over, and bad items that "
        "were put aside, are removed; never if not given.",
    )
    event_retention_days: int = Field(
        30,
        ge=LEAST_RETENTION.days,
        le=36_500,
        description="Days that events are kept, to be read by cursor or told again; no longer than "
        "`GATEWAY_HUB_RETENTION_DAYS`.",
    )
    webhook_allowed_networks: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Addresses or networks that webhooks may reach although they are not public, "
        "comma-separated.",
    )
    webhook_allow_http: bool = Field(
        False, description="Whether webhooks may go to `http://` URLs, where anyone can read them."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least important lines to log."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="`console` for people, `json` for machines; `auto`: by the terminal."
    )
    migrate_at_start: bool | None = Field(
        None,
        description="Bring the schema to head at start; yes for SQLite, no for PostgreSQL if not "
        "given (run `gateway-hub db upgrade`).",
    )

    url: str | None = Field(
        None, description="Commands other than `serve`: the hub to talk to, if it runs elsewhere."
    )
    api_key: SecretStr | None = Field(
        None, description="Commands other than `serve`: the API key to use with `GATEWAY_HUB_URL`."
    )

    @field_validator(
        "secret_keys",
        "public_urls",
        "trusted_proxies",
        "medic_paths",
        "envaya_paths",
        "webhook_allowed_networks",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [item.strip() for item in value.split(",") if item.strip()]
        return value

    @field_validator("public_urls")
    @classmethod
    def _check_urls(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not url.lower().startswith(("http://", "https://")):
                raise ValueError("a public URL begins with http:// or https://")
        return urls

    @field_validator("medic_paths", "envaya_paths")
    @classmethod
    def _check_paths(cls, paths: list[str]) -> list[str]:
        for path in paths:
            if not path.startswith("/") or "{" in path:
                raise ValueError("a path begins with / and holds no braces")
        return [path.rstrip("/") or "/" for path in paths]

    @field_validator("trusted_proxies", "webhook_allowed_networks")
    @classmethod
    def _check_networks(cls, networks: list[str]) -> list[str]:
        return [str(network) for network in parse_networks(networks)]

    @field_validator("direct_database_url", "workers")
    @classmethod
    def _check_for_postgres(cls, value: str | int | None, info: ValidationInfo) -> object:
        if value not in {None, 1} and _is_sqlite(info.data.get("database_url")):
            raise ValueError("this needs PostgreSQL: a SQLite file serves one process, directly")
        return value

    @model_validator(mode="after")
    def _check_paths_differ(self) -> Self:
        if set(self.medic_paths) & set(self.envaya_paths):
            raise ValueError("one path cannot speak both protocols")
        return self

    @property
    def effective_database_url(self) -> str:
        """The database URL in force."""
        if self.database_url is not None:
            return self.database_url
        return f"sqlite+aiosqlite:///{self.data_dir / 'gateway-hub.sqlite3'}"

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a SQLite file, so that the hub needs nothing else."""
        return _is_sqlite(self.database_url)

    @property
    def key_file(self) -> Path:
        """Where the embedded default keeps its secret key."""
        return self.data_dir / "secret.key"

    @property
    def migrates_at_start(self) -> bool:
        """Whether `serve` brings the schema to head."""
        return self.is_embedded if self.migrate_at_start is None else self.migrate_at_start


def _is_sqlite(database_url: str | None) -> bool:
    return database_url is None or database_url.startswith("sqlite")


def load_settings(**overrides: object) -> Settings:
    """Return the settings in force; *overrides* (flags) win over the environment.

    Raises UnknownSettingError for a variable that means nothing, naming the nearest that does, and
    pydantic's ValidationError for a bad value.
    """
    check_names()
    return Settings.model_validate(
        {name: value for name, value in overrides.items() if value is not None}
    )


def check_names() -> None:
    """Raise UnknownSettingError if a variable with our prefix is not one of ours."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    given = {name.upper() for name in (*os.environ, *dotenv_values(ENV_FILE))}
    for name in sorted(given):
        if name.startswith(PREFIX) and name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise UnknownSettingError(f"{name} is not a setting; did you mean {nearest[0]}?")
