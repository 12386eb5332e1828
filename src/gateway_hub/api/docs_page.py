"""The documentation page: Swagger UI from files of our own, so that it works without internet."""

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

_FILES = Path(fastapi_offline.__file__).parent / "static"
# Relative to `/docs`, so that they hold behind a proxy that adds a path.
_STATIC = "docs/static"
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


def install_docs_page(app: FastAPI) -> None:
    """Serve the page at `/docs`."""
    app.mount("/docs/static", StaticFiles(directory=_FILES), name="docs-static")
    app.add_route("/docs", _show, include_in_schema=False)


async def _show(_request: object) -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="gateway-hub API",
        swagger_js_url=f"{_STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{_STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{_STATIC}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
    page.headers["Content-Security-Policy"] = _POLICY
    page.headers["X-Content-Type-Options"] = "nosniff"
    page.headers["Referrer-Policy"] = "no-referrer"
    return page
