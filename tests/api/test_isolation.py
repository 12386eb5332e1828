"""One project never sees, changes or learns of another's data: every route is tried."""

from collections.abc import Iterable

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.services.hub import Hub
from tests.api.belongings import UNKNOWN, Operation, furnish, list_operations, put_ids, snapshot
from tests.api.clients import connected


@pytest.fixture
async def owned(hub: Hub, admin: httpx.AsyncClient) -> dict[str, str]:
    """Ids of one thing of each kind in the default project; there is a project ``other`` too."""
    await hub.access.create_project("other", None)
    return await furnish(hub, admin, "default", "clinics")


def _names_a_thing(operation: Operation) -> bool:
    ids = dict.fromkeys(("device_id", "message_id", "project_id", "key_id"), UNKNOWN)
    return bool(operation.ids) or put_ids(operation.body, ids) != operation.body


def _assert_untouched(
    before: dict[str, list[str]], after: dict[str, list[str]], owned: Iterable[str]
) -> None:
    """What the owner had is as it was, and nothing that is new names a thing of theirs."""
    for table, rows in before.items():
        assert [row for row in rows if row not in after[table]] == [], table
        new = "".join(set(after[table]) - set(rows))
        assert [item for item in owned if item in new] == [], table


async def test_what_belongs_to_another_project_is_not_there(
    app: FastAPI, hub: Hub, owned: dict[str, str]
) -> None:
    """Not in an answer, not by its absence, not by what a request does.

    Of what needs the scope `admin` nothing is told at all.
    """
    unknown = dict.fromkeys(owned, UNKNOWN)
    before = await snapshot(hub)
    async with connected(app, hub, project="other") as stranger:
        for operation in list_operations(app):
            answer = await operation.ask(stranger, owned)
            if operation.scope == "admin":
                assert answer.status_code == 403, operation.name
            elif operation.ids:
                assert answer.status_code == 404, operation.name
            if _names_a_thing(operation):
                same = await operation.ask(stranger, unknown)
                assert answer.status_code == same.status_code, operation.name
                assert answer.content == same.content, operation.name
                assert answer.headers == same.headers, operation.name
            assert [item for item in owned.values() if item in answer.text] == [], operation.name
    _assert_untouched(before, await snapshot(hub), owned.values())


async def test_the_owner_sees_all_of_it(
    app: FastAPI, hub: Hub, admin: httpx.AsyncClient, owned: dict[str, str]
) -> None:
    """Else the test above would find nothing wherever it looks."""
    asked = [item for item in list_operations(app) if item.method == "GET" and item.ids]
    assert {name for item in asked for name in item.ids} == owned.keys()
    for operation in asked:
        assert (await operation.ask(admin, owned)).status_code == 200, operation.name


async def test_another_project_cannot_be_named(
    app: FastAPI, hub: Hub, owned: dict[str, str]
) -> None:
    before = await snapshot(hub)
    async with connected(app, hub, project="other") as stranger:
        key = await snapshot(hub)
        for operation in list_operations(app):
            for name in ("default", owned["project_id"]):
                answer = await operation.ask(stranger, owned, **{"Gateway-Hub-Project": name})
                expected = 403 if operation.scope == "admin" else 404
                assert answer.status_code == expected, operation.name
    assert await snapshot(hub) == key
    assert before != key


async def test_a_message_cannot_be_routed_through_anothers_device(
    app: FastAPI, hub: Hub, owned: dict[str, str]
) -> None:
    async with connected(app, hub, project="other") as stranger:
        body = {"to": "1234", "text": "x", "route": {"device_id": owned["device_id"]}}
        answer = await stranger.post("/v1/messages", json=body)
        assert answer.json()["errors"][0]["code"] == "unknown_device"
        query = {"device_id": owned["device_id"]}
        assert (await stranger.get("/v1/messages", params=query)).json()["data"] == []
