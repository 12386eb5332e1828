"""The documentation page: everything it shows comes from the hub."""

import re

import httpx
from fastapi import FastAPI

from tests.api.clients import connect


async def test_the_page_names_no_address_but_the_hubs_own(shared_app: FastAPI) -> None:
    async with connect(shared_app, None) as reader:
        page = await reader.get("/docs")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "//" not in re.sub(r"(?m)^\s*//.*$", "", page.text)
        named = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
        named += re.findall(r"url: '([^']+)'", page.text)
        assert len(named) == 4
        for name in named:
            found = await reader.get(str(httpx.URL("http://hub.example.test/docs").join(name)))
            assert (found.status_code, len(found.content) > 1000) == (200, True), name


async def test_a_browser_is_told_to_ask_nobody_else(shared_app: FastAPI) -> None:
    async with connect(shared_app, None) as reader:
        page = await reader.get("/docs")
    policy = dict(
        part.strip().partition(" ")[::2]
        for part in page.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    allowed = {source for sources in policy.values() for source in sources.split()}
    assert allowed == {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert '"validatorUrl": null' in page.text


async def test_nothing_but_its_files_is_served(shared_app: FastAPI) -> None:
    async with connect(shared_app, None) as reader:
        for path in ("/docs/static/", "/docs/static/../core.py", "/docs/static/%2e%2e/core.py"):
            assert (await reader.get(path)).status_code == 404, path
