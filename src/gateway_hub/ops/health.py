"""Health checks: is the process alive, can it serve, and which version is it."""

import asyncio
import time
from collections.abc import Callable

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway_hub import __version__
from gateway_hub.services.hub import Hub

log = structlog.get_logger(__name__)

_FRESH_SECONDS = 1.0
_PATIENCE_SECONDS = 5.0
_NO_STORE = {"Cache-Control": "no-store"}


def create_health_routes(
    hub: Hub,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    patience_seconds: float = _PATIENCE_SECONDS,
) -> list[Route]:
    """Return ``/livez``, ``/readyz`` and ``/version``.

    *monotonic* counts seconds; a hub that does not say for *patience_seconds* is not ready.
    """
    readiness = _Readiness(hub, monotonic, patience_seconds)

    async def livez(_request: Request) -> Response:
        return _health({"status": "pass"})

    async def readyz(_request: Request) -> Response:
        failing = await readiness.find_failing()
        if failing:
            return _health({"status": "fail", "failing": failing}, 503)
        return _health({"status": "pass"})

    async def version(_request: Request) -> Response:
        return JSONResponse({"version": __version__}, headers=_NO_STORE)

    return [
        Route("/livez", livez, include_in_schema=False),
        Route("/readyz", readyz, include_in_schema=False),
        Route("/version", version, include_in_schema=False),
    ]


class _Readiness:
    """Asks the hub at most once a second, however many probes ask."""

    def __init__(self, hub: Hub, monotonic: Callable[[], float], patience_seconds: float) -> None:
        self._hub = hub
        self._monotonic = monotonic
        self._patience_seconds = patience_seconds
        self._checking = asyncio.Lock()
        self._fresh_until = float("-inf")
        self._failing: dict[str, str] = {}

    async def find_failing(self) -> dict[str, str]:
        """Return the failing checks, by name, with what is wrong."""
        if self._hub.wakeups.stopping:
            return {"process": "stopping"}
        async with self._checking:
            if self._monotonic() >= self._fresh_until:
                self._note(await self._ask())
                self._fresh_until = self._monotonic() + _FRESH_SECONDS
        return self._failing

    def _note(self, failing: dict[str, str]) -> None:
        if failing != self._failing:
            log.warning("readiness_changed", failing=failing)
        self._failing = failing

    async def _ask(self) -> dict[str, str]:
        try:
            async with asyncio.timeout(self._patience_seconds):
                return {name: str(detail) for name, detail in (await self._hub.check()).items()}
        except TimeoutError:
            return {"process": f"no answer within {self._patience_seconds:.0f} s"}


def _health(content: dict[str, object], status: int = 200) -> JSONResponse:
    return JSONResponse(content, status, _NO_STORE, media_type="application/health+json")
