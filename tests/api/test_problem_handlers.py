"""Every error in one form, wherever it arises."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from gateway_hub.api.application import create_api
from gateway_hub.domain.errors import (
    ConflictError,
    HubError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
)
from gateway_hub.services.hub import Hub
from tests.api.clients import connect, problem_of


class _StrangeError(HubError):
    code = "strange"


def _raising(hub: Hub, error: Exception) -> FastAPI:
    async def fail(_request: Request) -> Response:
        raise error

    app = create_api(hub)
    app.add_route("/fails", fail)
    return app


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (InvalidInputError("No."), 422, "invalid_input", {}),
        (UnauthenticatedError("No."), 401, "unauthenticated", {"WWW-Authenticate": "Bearer"}),
        (PermissionDeniedError("No."), 403, "permission_denied", {}),
        (NotFoundError("No."), 404, "not_found", {}),
        (ConflictError("No.", code="name_taken"), 409, "name_taken", {}),
        (UnavailableError("No.", retry_after_seconds=7), 503, "unavailable", {"Retry-After": "7"}),
        (_StrangeError("No."), 500, "strange", {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, HubError) else "",
)
async def test_each_error_of_ours_has_its_status(
    shared_hub: Hub, error: HubError, status: int, code: str, headers: dict[str, str]
) -> None:
    async with connect(_raising(shared_hub, error), None) as client:
        answer = await client.get("/fails")
    problem = problem_of(answer)
    assert (answer.status_code, problem["code"], problem["detail"]) == (status, code, "No.")
    assert {name: answer.headers.get(name) for name in headers} == headers


async def test_a_refused_field_is_told_with_pointer_code_and_detail(shared_hub: Hub) -> None:
    error = InvalidInputError.of_field("/to", "not_a_number", "Not a number.")
    async with connect(_raising(shared_hub, error), None) as client:
        problem = problem_of(await client.get("/fails"))
    assert problem["errors"] == [
        {"pointer": "/to", "code": "not_a_number", "detail": "Not a number."}
    ]
    assert (problem["title"], problem["detail"]) == ("Invalid input", "Not a number.")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/", "/v2/messages", "/v1/nothing", "/v1/messages/", "/v1//messages", "/%00"],
)
async def test_where_nothing_is_there_is_a_problem(shared: httpx.AsyncClient, path: str) -> None:
    answer = await shared.get(path)
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/v1/messages", "GET, HEAD, POST"),
        ("OPTIONS", "/v1/messages", "GET, HEAD, POST"),
        ("TRACE", "/v1/messages", "GET, HEAD, POST"),
        ("GET", "/v1/messages/x/cancel", "POST"),
        ("HEAD", "/v1/messages/x/cancel", "POST"),
        ("POST", "/v1/messages/x", "GET, HEAD"),
        ("DELETE", "/v1/messages/batch", "POST"),
        ("POST", "/v1/devices/x", "DELETE, GET, HEAD, PATCH"),
        ("DELETE", "/v1/devices/x/credentials", "POST"),
        ("PUT", "/v1/api-keys/x", "DELETE, GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
    ],
)
async def test_another_method_is_told_all_that_are_served(
    shared: httpx.AsyncClient, method: str, path: str, allow: str
) -> None:
    answer = await shared.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    if method != "HEAD":
        assert problem_of(answer)["code"] == "method_not_allowed"
