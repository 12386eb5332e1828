"""The hub's services in this process, without a server before them and background work behind."""

from pathlib import Path

from gateway_hub.domain.clock import Clock, system_clock
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox


async def open_services(
    url: str, folder: Path, clock: Clock = system_clock, *, secret_key: str | None = None
) -> Hub:
    """Return the services on the database at *url*, ready for use; stop their database in the end.

    Only attachments would be kept in *folder*. Without a *secret_key*, nobody can read later what
    is stored encrypted.
    """
    options = HubOptions(
        database_url=url,
        attachments_folder=folder,
        secret_keys=[secret_key or SecretBox.generate_key()],
        migrate=False,
    )
    hub = Hub(options, clock)
    await hub.database.start(migrate=False)
    return hub
