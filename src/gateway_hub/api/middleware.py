"""What wraps the application: HEAD for every GET of the API, and an answer to the unforeseen."""

import traceback

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway_hub.api.problems import find_request_id, render_problem

PREFIX = "/v1/"
IS_HEAD = "gateway_hub.is_head"
"""Where a request's scope says that nobody waits for the body."""

log = structlog.get_logger(__name__)


class HeadAsGet:
    """Answers HEAD like GET, and the server drops the body; FastAPI's routes would refuse it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and _is_api(scope):
            # A copy: the server keeps back the body of what it still sees as HEAD.
            scope = {**scope, "method": "GET", IS_HEAD: True}
        await self._app(scope, receive, send)


class LastResort:
    """Answers an unforeseen error with a 500 that tells nothing of it, and logs where it arose.

    The error's own message is logged at DEBUG only: a database's quotes the values it refused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; a failure to start or stop is told by who runs the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, note_start)
        except ClientDisconnect:
            raise
        except Exception as error:
            _log_failure(error, scope)
            # Half an answer must end as a broken connection, not as a whole one.
            if started:
                raise
            await render_problem(error, scope)(scope, receive, send)


def _is_api(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).startswith(PREFIX)


def _log_failure(error: Exception, scope: Scope) -> None:
    log.error(
        "request_failed",
        request_id=find_request_id(scope),
        error=" < ".join(_causes(error)),
        stack="".join(traceback.format_tb(error.__traceback__)),
    )
    log.debug("request_failed_with", exc_info=error)


def _causes(error: BaseException | None) -> list[str]:
    names: list[str] = []
    while error is not None:
        names.append(type(error).__qualname__)
        error = error.__cause__
    return names
