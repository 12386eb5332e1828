"""``gateway-hub init``: everything a hub needs before its first start."""

from dataclasses import dataclass

from gateway_hub.cli.local_hub import find_running_hub
from gateway_hub.cli.server import first_key_text
from gateway_hub.cli.startup import make_hub, started
from gateway_hub.ops.logging import configure_logging
from gateway_hub.ops.redaction import redact
from gateway_hub.services.access import NewApiKey
from gateway_hub.settings import Settings


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is ready; *first* is None when the hub has a key already."""

    settings: Settings
    first: NewApiKey | None

    def as_dict(self) -> dict[str, object]:
        """Return it for machines."""
        return {
            "data_dir": str(self.settings.data_dir.resolve()),
            "database_url": redact(self.settings.effective_database_url),
            "id": self.first.key.id if self.first else None,
            "key": self.first.secret if self.first else None,
        }

    def as_text(self) -> str:
        """Return it for people."""
        place = f"The hub is prepared in {self.settings.data_dir.resolve()}."
        if self.first is None:
            return f"{place}\nIt has an API key already; make another with: gateway-hub key create"
        return f"{place}\n{first_key_text(self.first.secret)}"


async def prepare(settings: Settings) -> Prepared:
    """Make data folder, secret key and schema, and the first admin key if there is none."""
    configure_logging("WARNING", settings.log_format)
    if settings.is_embedded and await find_running_hub(settings) is not None:
        return Prepared(settings, None)
    own = await make_hub(settings)
    async with started(own):
        return Prepared(settings, await own.hub.access.ensure_first_key())
