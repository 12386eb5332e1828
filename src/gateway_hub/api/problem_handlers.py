"""Where errors become answers: one handler each for ours, the framework's and what is left."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from gateway_hub.api.problems import ProblemError, render_problem
from gateway_hub.domain.errors import HubError

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")


def install_problem_handlers(app: FastAPI, methods: Mapping[str, AbstractSet[str]]) -> None:
    """Let *app* answer every foreseen error with a problem.

    *methods* are those of each path that the API has; other paths are looked up.
    """

    async def answer_http(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # A path of its own is not one of the ids that a template would take it for.
            allowed = methods.get(_path_of(request)) or _find_allowed(request)
            # `HeadAsGet` serves HEAD wherever there is GET.
            named = sorted(allowed | {"HEAD"} if "GET" in allowed else allowed)
            return render_problem(error, request.scope, {"Allow": ", ".join(named)})
        return render_problem(error, request.scope)

    for kind in (HubError, ProblemError, RequestValidationError):
        app.add_exception_handler(kind, _answer)
    app.add_exception_handler(HTTPException, answer_http)


async def _answer(request: Request, error: Exception) -> Response:
    return render_problem(error, request.scope)


def _path_of(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


def _find_allowed(request: Request) -> AbstractSet[str]:
    """Return all methods of the path: the framework names those of its first route only."""
    return {method for method in _METHODS if _is_served(request, method)}


def _is_served(request: Request, method: str) -> bool:
    asked = request.scope
    scope = {
        "type": "http",
        "method": method,
        "path": asked["path"],
        "root_path": asked.get("root_path", ""),
        "headers": asked["headers"],
    }
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
