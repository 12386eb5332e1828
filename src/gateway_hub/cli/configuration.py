"""``gateway-hub config``: what is in force, by the names of the environment variables."""

from pydantic import SecretStr

from gateway_hub.ops.redaction import HIDDEN, redact
from gateway_hub.services.secrets import SecretBox
from gateway_hub.settings import PREFIX, Settings


def make_secret_key() -> str:
    """Return a new key for ``GATEWAY_HUB_SECRET_KEYS``."""
    return SecretBox.generate_key()


def setting_rows(settings: Settings) -> dict[str, object]:
    """Return each setting by its variable's name, with secrets hidden and defaults worked out."""
    in_force = {
        "database_url": settings.effective_database_url,
        "migrate_at_start": settings.migrates_at_start,
    }
    return {
        PREFIX + name.upper(): _showable(in_force.get(name, getattr(settings, name)))
        for name in Settings.model_fields
    }


def _showable(value: object) -> object:
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, list):
        return [_showable(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))
