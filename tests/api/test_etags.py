"""ETag and If-Match: a change made by somebody else meanwhile is not overwritten unseen."""

from typing import Any

import httpx
import pytest

from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.clients import problem_of
from tests.conftest import FakeClock

MEDIC = {"name": "Clinic A", "protocol": "medic"}


async def _create(client: httpx.AsyncClient) -> str:
    made = await client.post("/v1/devices", json=MEDIC)
    return f"/v1/devices/{made.json()['id']}"


async def _tag(client: httpx.AsyncClient, path: str) -> str:
    return (await client.get(path)).headers["ETag"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Clinic B"},
        {"phone_number": "+255700000009"},
        {"tags": ["north"]},
        {"send_limit": {"segments": 5, "seconds": 60}},
        {"server_url": "https://hub.example.test/medic"},
        {"region": "TZ"},
        {"paused": True},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_each_change_is_another_tag_and_a_stale_one_changes_nothing(
    admin: httpx.AsyncClient, change: dict[str, Any]
) -> None:
    path = await _create(admin)
    before = await _tag(admin, path)
    assert before.startswith('"')
    assert await _tag(admin, path) == before
    changed = await admin.patch(path, json=change, headers={"If-Match": before})
    assert changed.status_code == 200, changed.text
    after = changed.headers["ETag"]
    assert after != before
    assert await _tag(admin, path) == after
    for stale in (
        await admin.patch(path, json={"name": "Mine"}, headers={"If-Match": before}),
        await admin.patch(path, json={}, headers={"If-Match": before}),
        await admin.delete(path, headers={"If-Match": before}),
    ):
        assert (stale.status_code, problem_of(stale)["code"]) == (412, "precondition_failed")
    assert await _tag(admin, path) == after


async def test_the_right_tag_removes_a_device(admin: httpx.AsyncClient) -> None:
    path = await _create(admin)
    gone = await admin.delete(path, headers={"If-Match": await _tag(admin, path)})
    assert gone.status_code == 204
    assert (await admin.delete(path, headers={"If-Match": "*"})).status_code == 404


async def test_without_a_tag_or_with_any_a_change_is_made(admin: httpx.AsyncClient) -> None:
    path = await _create(admin)
    for headers in ({}, {"If-Match": "*"}):
        assert (await admin.patch(path, json={"name": "x"}, headers=headers)).status_code == 200
    tags = f'"other", {await _tag(admin, path)}'
    changed = await admin.patch(path, json={"paused": True}, headers={"If-Match": tags})
    assert changed.status_code == 200
    assert (await admin.delete(path)).status_code == 204


@pytest.mark.parametrize("given", ["W/{}", "{}x", "no tag", '""', ""])
async def test_what_is_not_the_tag_changes_nothing(admin: httpx.AsyncClient, given: str) -> None:
    path = await _create(admin)
    tag = await _tag(admin, path)
    wrong = given.format(tag if given.startswith("W/") else tag.strip('"'))
    answer = await admin.patch(path, json={"name": "x"}, headers={"If-Match": wrong})
    assert answer.status_code == 412
    assert await _tag(admin, path) == tag


async def test_what_the_phone_tells_leaves_the_tag(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    device = await phones.register(hub, (await hub.access.get_project("default")).id)
    path = f"/v1/devices/{device.id}"
    before = await _tag(admin, path)
    clock.advance(minutes=5)
    await phones.poll(hub, device)
    told = await admin.get(path)
    assert told.json()["battery_percent"] == 87
    assert told.headers["ETag"] == before


async def test_of_two_who_saw_the_same_one_changes_it(admin: httpx.AsyncClient) -> None:
    path = await _create(admin)
    headers = {"If-Match": await _tag(admin, path)}
    statuses = [
        (await admin.patch(path, json={"name": name}, headers=headers)).status_code
        for name in ("first", "second")
    ]
    assert statuses == [200, 412]
    assert (await admin.get(path)).json()["name"] == "first"
