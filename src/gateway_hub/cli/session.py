"""The way from a command to the settings and the hub; the only door to the slow imports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway_hub.cli.connection import Api
    from gateway_hub.settings import Settings


def load_settings(**overrides: object) -> "Settings":
    """Return the settings in force; *overrides* that are not None win."""
    from gateway_hub import settings

    return settings.load_settings(**overrides)


@contextmanager
def connect(*, project: str | None = None, data_dir: Path | None = None) -> Iterator["Api"]:
    """Yield the REST API of the hub the settings name, acting in *project* if one is given."""
    from gateway_hub.cli import connection

    with connection.open_api(load_settings(data_dir=data_dir), project) as api:
        yield api
