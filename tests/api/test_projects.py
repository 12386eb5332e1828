"""Projects through the API."""

import httpx
import pytest

from tests.api.clients import problem_of, refused_fields
from tests.conftest import FakeClock

NOON = "2026-03-01T12:00:00.000Z"


async def test_a_project_is_made_and_found_by_id_and_name(admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/v1/projects", json={"name": "ministry-1", "region": "TZ"})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/v1/projects/{made['id']}"
    assert list(made.items()) == [
        ("id", made["id"]),
        ("name", "ministry-1"),
        ("region", "TZ"),
        ("if_uncertain", "wait"),
        ("created_at", NOON),
        ("updated_at", NOON),
    ]
    for key in (made["id"], "ministry-1"):
        assert (await admin.get(f"/v1/projects/{key}")).json() == made
    answer = await admin.post("/v1/projects", json={"name": "ministry-1"})
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "name_taken")


async def test_the_region_is_changed_kept_and_taken_away(
    admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    clock.advance(minutes=1)
    path = "/v1/projects/default"
    for body, region in (({"region": "TZ"}, "TZ"), ({}, "TZ"), ({"region": None}, None)):
        answer = await admin.patch(path, json=body)
        assert (answer.status_code, answer.json()["region"]) == (200, region)
    assert (await admin.get(path)).json()["updated_at"] == "2026-03-01T12:01:00.000Z"
    assert (await admin.patch("/v1/projects/nowhere", json={})).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        pytest.param({}, "/name", "required", id="no name"),
        pytest.param({"name": ""}, "/name", "malformed", id="empty"),
        pytest.param({"name": "-a"}, "/name", "malformed", id="hyphen first"),
        pytest.param({"name": "Ministry"}, "/name", "malformed", id="upper case"),
        pytest.param({"name": "a" * 65}, "/name", "malformed", id="long"),
        pytest.param({"name": "a\n"}, "/name", "malformed", id="line end"),
        pytest.param({"name": "a/b"}, "/name", "malformed", id="slash"),
        pytest.param({"name": "a", "region": "XX"}, "/region", "unknown_region", id="region"),
        pytest.param({"name": "a", "id": "b"}, "/id", "unknown_field", id="id"),
    ],
)
async def test_a_project_that_cannot_be_is_refused(
    shared: httpx.AsyncClient, body: dict[str, object], pointer: str, code: str
) -> None:
    assert refused_fields(await shared.post("/v1/projects", json=body)) == [(pointer, code)]


async def test_a_name_is_for_ever(shared: httpx.AsyncClient) -> None:
    answer = await shared.patch("/v1/projects/default", json={"name": "x"})
    assert refused_fields(answer) == [("/name", "unknown_field")]
