"""``gateway-hub doctor``: looks for what would keep a hub from working well; changes nothing."""

import os
import resource
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import httpx

from gateway_hub.cli.addresses import make_url
from gateway_hub.cli.explanations import explain
from gateway_hub.cli.local_hub import find_running_hub
from gateway_hub.cli.schema import find_sqlite_file, read_revisions, require_head
from gateway_hub.cli.stored_secrets import count_unreadable, has_envaya_without_url
from gateway_hub.secret_keys import load_secret_keys
from gateway_hub.services.secrets import SecretBox
from gateway_hub.settings import Settings, load_settings
from gateway_hub.storage.database import Database
from gateway_hub.storage.engines import (
    check_durability,
    check_way,
    create_writer_engine,
    normalise_url,
)

_FEW_FILES = 4096
_GIB = 1 << 30
_LITTLE_DISK = _GIB
_NO_DISK = _GIB // 4


class Verdict(StrEnum):
    """What a check says."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


_MARKS = {Verdict.OK: "✓", Verdict.WARNING: "!", Verdict.PROBLEM: "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's verdict and what it saw."""

    name: str
    verdict: Verdict
    detail: str

    def as_dict(self) -> dict[str, object]:
        """Return it for machines."""
        return asdict(self)

    def as_line(self) -> str:
        """Return it for people."""
        return f"{_MARKS[self.verdict]} {self.name}: {self.detail}"


Seen = tuple[Verdict, str]
Check = Callable[[Settings], Awaitable[Seen]]


async def examine(data_dir: Path | None) -> list[Finding]:
    """Make every check that the settings call for."""
    try:
        settings = load_settings(data_dir=data_dir)
    except Exception as error:  # noqa: BLE001 - that is the finding
        return [Finding("settings", Verdict.PROBLEM, explain(error).message)]
    findings = [Finding("settings", Verdict.OK, "valid")]
    for name, check in _checks_for(settings).items():
        try:
            verdict, detail = await check(settings)
        except Exception as error:  # noqa: BLE001 - that is the finding
            verdict, detail = Verdict.PROBLEM, explain(error, settings).message
        findings.append(Finding(name, verdict, detail))
    return findings


def is_well(findings: list[Finding]) -> bool:
    """Say whether nothing is a problem; warnings are none."""
    return all(finding.verdict is not Verdict.PROBLEM for finding in findings)


def judge_sqlite_version(version: tuple[int, int, int]) -> Seen:
    """Warn of the versions that can corrupt the log when two connections reset it at once.

    Since 3.7.0; mended in 3.51.3, 3.50.7 and 3.44.6. The hub lets one connection only do that.
    """
    text = ".".join(map(str, version))
    mended = (
        version >= (3, 51, 3)
        or (3, 50, 7) <= version < (3, 51, 0)
        or (3, 44, 6) <= version < (3, 45, 0)
    )
    if mended or version < (3, 7, 0):
        return Verdict.OK, text
    return Verdict.WARNING, f"{text} has a bug that can corrupt the file; 3.51.3 or newer has not"


def _checks_for(settings: Settings) -> dict[str, Check]:
    """Return the checks in the order in which one explains the next."""
    checks: dict[str, Check] = {
        "secret keys": _check_secret_keys,
        "data folder": _check_data_folder,
        "free disk": _check_disk,
        "open files": _check_open_files,
    }
    if settings.is_embedded:
        checks["sqlite"] = _check_sqlite
    else:
        checks["postgresql"] = _check_postgres
        checks["notices"] = _check_notices
    if _has_database(settings):
        checks["schema"] = _check_schema
        checks["stored secrets"] = _check_stored_secrets
        checks["public urls"] = _check_public_urls
    checks["running hub"] = _check_running_hub
    return checks


def _has_database(settings: Settings) -> bool:
    file = find_sqlite_file(settings)
    return file is None or file.exists()


async def _check_secret_keys(settings: Settings) -> Seen:
    if settings.is_embedded and not settings.secret_keys and not settings.key_file.exists():
        return Verdict.OK, "made at the first start"
    keys = load_secret_keys(settings)
    SecretBox(keys)
    return Verdict.OK, f"{len(keys)} in force"


async def _check_data_folder(settings: Settings) -> Seen:
    folder = settings.data_dir
    if not folder.exists():
        return Verdict.OK, f"{folder.resolve()} is made at the first start"
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"ok")
        file.flush()
        os.fsync(file.fileno())
    return Verdict.OK, f"{folder.resolve()} can be written and flushed"


async def _check_disk(settings: Settings) -> Seen:
    folder = settings.data_dir.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    verdict = Verdict.OK if free >= _LITTLE_DISK else Verdict.WARNING
    return Verdict.PROBLEM if free < _NO_DISK else verdict, f"{free / _GIB:.1f} GiB"


async def _check_open_files(_settings: Settings) -> Seen:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < _FEW_FILES:
        return Verdict.WARNING, f"{limit}; each held poll needs one, so raise it (ulimit -n)"
    return Verdict.OK, str(limit)


async def _check_sqlite(_settings: Settings) -> Seen:
    return judge_sqlite_version(sqlite3.sqlite_version_info)


async def _check_postgres(settings: Settings) -> Seen:
    url = normalise_url(settings.effective_database_url)
    engine = create_writer_engine(url)
    try:
        async with engine.connect() as connection:
            await check_way(connection, url)
            await check_durability(connection)
    finally:
        await engine.dispose()
    return Verdict.OK, "reachable; a commit is on disk when it is answered"


async def _check_notices(settings: Settings) -> Seen:
    database = Database(settings.effective_database_url, settings.direct_database_url)
    try:
        if await database.line.can_open():
            return Verdict.OK, "processes tell one another at once"
    finally:
        await database.stop()
    return Verdict.WARNING, (
        "a pooler swallows what processes tell one another: set GATEWAY_HUB_DIRECT_DATABASE_URL"
    )


async def _check_schema(settings: Settings) -> Seen:
    if settings.migrates_at_start:
        found = await read_revisions(settings)
        at_head = "at head" if found.at_head else "brought to head at the next start"
        return Verdict.OK, f"{found.current or 'nothing'}, {at_head}"
    await require_head(settings)
    return Verdict.OK, "at head"


async def _check_stored_secrets(settings: Settings) -> Seen:
    if not (await read_revisions(settings)).at_head:
        return Verdict.WARNING, "not looked at: the schema is not at head"
    unreadable = await count_unreadable(settings)
    if unreadable:
        return Verdict.PROBLEM, f"{unreadable} cannot be opened with the secret keys in force"
    return Verdict.OK, "the secret keys open them all"


async def _check_public_urls(settings: Settings) -> Seen:
    if settings.public_urls:
        return Verdict.OK, ", ".join(settings.public_urls)
    if (await read_revisions(settings)).at_head and await has_envaya_without_url(settings):
        return Verdict.WARNING, (
            "an EnvayaSMS phone signs the URL it was given: behind a proxy, set "
            "GATEWAY_HUB_PUBLIC_URLS"
        )
    return Verdict.OK, "none, and none needed"


async def _check_running_hub(settings: Settings) -> Seen:
    url = settings.url
    if url is None and settings.is_embedded:
        running = await find_running_hub(settings)
        if running is None:
            return Verdict.OK, "none runs on this data folder"
        url = running.url
    url = (url or make_url(settings.host, settings.port)).rstrip("/")
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            answer = await client.get(f"{url}/readyz")
    except httpx.HTTPError:
        return Verdict.WARNING, f"none answers at {url}"
    if answer.is_success:
        return Verdict.OK, f"ready at {url}"
    return Verdict.PROBLEM, f"{url} is not ready: {answer.text[:300]}"
