"""Attachments: bytes of strangers, handed out so that nothing happens."""

import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.api.attachments import name_download, render_disposition
from gateway_hub.domain.messages import Attachment
from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.clients import problem_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PAGE = b"<script>alert(1)</script>" * 40_000
DISPOSITION = re.compile(r"attachment; filename=\"([ -~]*)\"(?:; filename\*=UTF-8''([!-~]+))?")


def _named(filename: str | None) -> Attachment:
    return Attachment("id-1", "m", 0, "text/plain", None, filename, 1, "0" * 64, "key")


async def test_the_bytes_are_a_download_and_nothing_else(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    await phones.forward_mms(hub, device, PAGE, "../page é.html")
    [message] = (await admin.get("/v1/messages")).json()["data"]
    [told] = message["attachments"]
    assert told == {
        "id": told["id"],
        "content_type": "text/html",
        "content_id": "<p1>",
        "filename": "../page é.html",
        "size_bytes": len(PAGE),
        "sha256": told["sha256"],
        "url": f"/v1/attachments/{told['id']}",
    }
    answer = await admin.get(told["url"], headers={"Range": "bytes=0-3"})
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert dict(answer.headers) == {
        "content-type": "application/octet-stream",
        "content-length": str(len(PAGE)),
        "content-disposition": 'attachment; filename="_page _.html"; '
        "filename*=UTF-8''_page%20%C3%A9.html",
        "content-security-policy": "sandbox; default-src 'none'",
        "cross-origin-resource-policy": "same-origin",
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
    }
    head = await admin.head(told["url"])
    assert (head.content, head.headers) == (b"", answer.headers)


async def test_bytes_that_are_gone_are_not_found(
    hub: Hub, admin: httpx.AsyncClient, tmp_path: Path
) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    await phones.forward_mms(hub, device, b"x", None)
    for file in (tmp_path / "attachments").rglob("*"):
        if file.is_file():
            file.unlink()
    [message] = (await admin.get("/v1/messages")).json()["data"]
    answer = await admin.get(message["attachments"][0]["url"])
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        pytest.param("form.jpg", "form.jpg", id="plain"),
        pytest.param(None, "attachment-id-1", id="none"),
        pytest.param("", "attachment-id-1", id="empty"),
        pytest.param("..", "attachment-id-1", id="dots"),
        pytest.param("../../etc/passwd", "_.._etc_passwd", id="path"),
        pytest.param("..\\x", "_x", id="other path"),
        pytest.param(".htaccess", "htaccess", id="hidden file"),
        pytest.param('a"b', "a_b", id="quote"),
        pytest.param("a\r\nSet-Cookie: b", "a__Set-Cookie_ b", id="header"),
        pytest.param("gpj\u202e.exe", "gpj_.exe", id="turned around"),
        pytest.param("100%41.txt", "100_41.txt", id="percent"),
        pytest.param("fomu ya é.pdf", "fomu ya é.pdf", id="letters"),
    ],
)
def test_a_label_becomes_a_harmless_name(filename: str | None, name: str) -> None:
    assert name_download(_named(filename)) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_label_makes_one_header_that_says_the_name(filename: str) -> None:
    name = name_download(_named(filename))
    header = render_disposition(name)
    match = DISPOSITION.fullmatch(header)
    assert match is not None
    assert unquote(match[2] or match[1], errors="strict") == name
    assert not set('/\\"') & set(match[1])
