from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway_hub.settings import PREFIX, Settings, UnknownSettingError, check_names, load_settings

# Other programs and documents rely on these.
PROMISED = {
    "GATEWAY_HUB_HOST",
    "GATEWAY_HUB_PORT",
    "GATEWAY_HUB_DATA_DIR",
    "GATEWAY_HUB_DATABASE_URL",
    "GATEWAY_HUB_SECRET_KEYS",
    "GATEWAY_HUB_PUBLIC_URLS",
    "GATEWAY_HUB_LOG_LEVEL",
    "GATEWAY_HUB_LONG_POLL_SECONDS",
    "GATEWAY_HUB_WEBHOOK_ALLOWED_NETWORKS",
}


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without variables of ours, in a folder without a ``.env``."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_promised_names_are_there() -> None:
    assert {PREFIX + name.upper() for name in Settings.model_fields} >= PROMISED


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_described(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".")


def test_the_defaults_need_nothing_else() -> None:
    settings = load_settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.effective_database_url == "sqlite+aiosqlite:///data/gateway-hub.sqlite3"
    assert settings.is_embedded
    assert settings.migrates_at_start
    assert settings.long_poll_seconds == 25


def test_a_flag_goes_before_the_environment_and_that_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("GATEWAY_HUB_PORT=1\nGATEWAY_HUB_HOST=file\nOTHER=x\n")
    monkeypatch.setenv("GATEWAY_HUB_PORT", "2")
    assert (load_settings().host, load_settings().port) == ("file", 2)
    assert load_settings(port=3, host=None).port == 3
    assert load_settings(port=3, host=None).host == "file"


UNKNOWN = [
    pytest.param("GATEWAY_HUB_PROT", "GATEWAY_HUB_PORT", id="letters-swapped"),
    pytest.param("GATEWAY_HUB_PUBLIC_URL", "GATEWAY_HUB_PUBLIC_URLS", id="singular"),
    pytest.param("gateway_hub_databaseurl", "GATEWAY_HUB_DATABASE_URL", id="lower-case"),
]


@pytest.mark.parametrize(("given", "nearest"), UNKNOWN)
def test_an_unknown_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, given: str, nearest: str
) -> None:
    monkeypatch.setenv(given, "s3cret")
    with pytest.raises(UnknownSettingError) as info:
        load_settings()
    assert str(info.value) == f"{given.upper()} is not a setting; did you mean {nearest}?"


def test_an_unknown_name_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_HUB_PROT=1\n")
    with pytest.raises(UnknownSettingError, match="GATEWAY_HUB_PROT"):
        check_names()


LISTS = [
    pytest.param("", [], id="empty"),
    pytest.param("https://a.example", ["https://a.example"], id="one"),
    pytest.param(
        " https://a.example ,HTTP://b.example,, ",
        ["https://a.example", "HTTP://b.example"],
        id="spaces-and-commas",
    ),
]


@pytest.mark.parametrize(("text", "urls"), LISTS)
def test_lists_are_split_at_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, urls: list[str]
) -> None:
    monkeypatch.setenv("GATEWAY_HUB_PUBLIC_URLS", text)
    assert load_settings().public_urls == urls


WRONG = [
    pytest.param({"port": 65536}, id="port-too-high"),
    pytest.param({"long_poll_seconds": 51}, id="longer-than-the-app-waits"),
    pytest.param({"workers": 0, "database_url": "postgresql://db/hub"}, id="nobody-works"),
    pytest.param({"workers": 65, "database_url": "postgresql://db/hub"}, id="too-many-workers"),
    pytest.param({"workers": 2}, id="several-processes-on-one-file"),
    pytest.param({"direct_database_url": "postgresql://db/hub"}, id="nothing-to-go-past"),
    pytest.param({"log_level": "LOUD"}, id="unknown-level"),
    pytest.param({"public_urls": "hub.example"}, id="url-without-scheme"),
    pytest.param({"medic_paths": "old"}, id="path-without-slash"),
    pytest.param({"envaya_paths": "/{x}"}, id="path-with-braces"),
    pytest.param({"medic_paths": "/old/", "envaya_paths": "/old"}, id="one-path-for-both"),
    pytest.param({"webhook_allowed_networks": "lan"}, id="a-name-for-a-network"),
    pytest.param({"webhook_allowed_networks": "10.0.0.1/8"}, id="bits-beyond-the-prefix"),
    pytest.param({"trusted_proxies": "lan"}, id="a-name-for-a-proxy"),
    pytest.param({"trusted_proxies": "10.0.0.1/8"}, id="bits-beyond-a-proxy's-prefix"),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_values_that_cannot_work_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        load_settings(**wrong)


@pytest.mark.parametrize("name", ["trusted_proxies", "webhook_allowed_networks"])
def test_networks_are_kept_as_networks(name: str) -> None:
    settings = load_settings(**{name: "10.1.0.0/16, 192.0.2.7 ,FD00::/8"})
    assert getattr(settings, name) == ["10.1.0.0/16", "192.0.2.7/32", "fd00::/8"]


def test_postgresql_is_not_migrated_at_start_unless_asked() -> None:
    url = "postgresql+asyncpg://hub@db/hub"
    assert not load_settings(database_url=url).migrates_at_start
    assert not load_settings(database_url=url).is_embedded
    assert load_settings(database_url=url, migrate_at_start=True).migrates_at_start


def test_secrets_are_not_in_what_python_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_HUB_SECRET_KEYS", "s3cret")
    monkeypatch.setenv("GATEWAY_HUB_API_KEY", "s3cret")
    assert "s3cret" not in repr(load_settings())
