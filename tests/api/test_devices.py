"""Devices through the API: registered, changed, given new credentials, removed."""

from typing import Any

import httpx
import pytest

from gateway_hub.api.application import create_api
from gateway_hub.domain.devices import Protocol
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.clients import OPERATOR_TOKEN, connect, problem_of, refused_fields
from tests.conftest import FakeClock

DEVICE = [
    *("id", "name", "protocol", "username", "phone_number", "tags", "send_limit", "server_url"),
    *("region", "paused", "online", "last_seen_at", "app_version", "model", "battery_percent"),
    *("power", "network", "settings_version", "clock_skew_ms", "last_status"),
    *("backlog", "budget_left"),
    *("created_at", "updated_at"),
]
ISSUED = ["credentials", "warnings", "setup", "pairing_qr"]
NOON = "2026-03-01T12:00:00.000Z"
MEDIC: dict[str, Any] = {"name": "Clinic A", "protocol": "medic"}
ENVAYA: dict[str, Any] = {"name": "Clinic B", "protocol": "envaya", "phone_number": "+255700000002"}


async def _create(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/devices", json={**MEDIC, **fields})
    assert answer.status_code == 201, answer.text
    device: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/devices/{device['id']}"
    return device


async def _opens(hub: Hub, username: str, password: str) -> bool:
    found = await hub.identity.find_by_password((username,), (password.encode(),), None)
    return found is not None


async def test_a_new_device_is_told_with_credentials_that_open_it(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    made = await _create(admin, tags=["b", "a", "b"], region="TZ")
    assert list(made) == [*DEVICE, *ISSUED]
    assert (made["tags"], made["region"], made["warnings"]) == (["b", "a"], "TZ", [])
    assert made["send_limit"] == {"segments": 30, "seconds": 1800, "recipients_per_month": None}
    assert (made["online"], made["last_seen_at"], made["backlog"]) == (False, None, 0)
    credentials = made["credentials"]
    assert credentials["username"] == made["username"]
    assert await _opens(hub, credentials["username"], credentials["password"])
    told = await admin.get(f"/v1/devices/{made['id']}")
    assert told.json() == {name: made[name] for name in DEVICE}
    assert credentials["password"] not in told.text
    assert made["setup"]["server_url"] == (
        f"http://{credentials['username']}:{credentials['password']}@hub.example.test/medic"
    )


async def test_an_envaya_phone_has_a_number_and_a_password(admin: httpx.AsyncClient) -> None:
    made = (await admin.post("/v1/devices", json=ENVAYA)).json()
    assert made["credentials"]["username"] is None
    assert made["send_limit"] == {"segments": 100, "seconds": 3600, "recipients_per_month": None}
    assert made["setup"]["app"] == "EnvayaSMS"
    assert {item["field"]: item["value"] for item in made["setup"]["fields"]} == {
        "Server URL": "http://hub.example.test/envaya",
        "Your phone number": "+255700000002",
        "Password": made["credentials"]["password"],
    }
    assert made["pairing_qr"].startswith("<svg")


async def test_a_phone_that_is_set_up_already_is_taken_over(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    made = await _create(admin, credentials={"username": "gateway", "password": "pass"})
    assert made["credentials"] == {"username": "gateway", "password": "pass"}
    assert [warning[:23] for warning in made["warnings"]] == ["The password is weak: w"]
    assert await _opens(hub, "gateway", "pass")
    again = {**MEDIC, "credentials": {"username": "gateway", "password": "pass"}}
    answer = await admin.post("/v1/devices", json=again)
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "credentials_taken")


async def test_the_configured_url_goes_before_that_of_the_request(shared_hub: Hub) -> None:
    urls = ["https://sms.example.org/hub/", "http://192.0.2.1:8080"]
    app = create_api(shared_hub, urls)
    async with connect(app, OPERATOR_TOKEN) as client:
        made = (await client.post("/v1/devices", json=ENVAYA)).json()
    assert made["setup"]["server_url"] == "https://sms.example.org/hub/envaya"


@pytest.mark.parametrize("host", ["", "[", "a b", "evil/path", "a@b", "x:99999", "\xff", "[::1]:8"])
async def test_a_strange_host_costs_no_500(shared: httpx.AsyncClient, host: str) -> None:
    raw = {b"Host": host.encode("latin-1")}
    answer = await shared.post("/v1/devices", json=MEDIC, headers=raw)
    assert answer.status_code == 201
    assert answer.json()["setup"]["server_url"].startswith("http://phone-")


async def test_what_a_phone_tells_is_shown(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    for _ in range(2):
        message = {"to": "1234", "text": "Habari", "route": {"device_id": device.id}}
        await admin.post("/v1/messages", json=message)
    path = f"/v1/devices/{device.id}"
    assert (await admin.get(path)).json()["backlog"] == 2
    await phones.poll(hub, device)
    told = (await admin.get(path)).json()
    assert (told["online"], told["last_seen_at"], told["backlog"]) == (True, NOON, 0)
    assert (told["app_version"], told["battery_percent"]) == ("v1.8.1", 87)
    assert (await admin.get("/v1/devices")).json()["data"] == [told]
    clock.advance(hours=1)
    assert (await admin.get(path)).json()["online"] is False


async def test_only_the_given_fields_are_changed(
    admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    limit = {"segments": 5, "seconds": 60, "recipients_per_month": 7}
    made = await _create(admin, phone_number="+255700000001", tags=["a"], send_limit=limit)
    path = f"/v1/devices/{made['id']}"
    before = {name: made[name] for name in DEVICE}
    assert (await admin.patch(path, json={})).json() == before
    clock.advance(minutes=1)
    changes = {"name": "B", "paused": True, "tags": [], "server_url": "https://sms.example.org/m"}
    answer = await admin.patch(path, json=changes)
    after = {**before, **changes, "updated_at": "2026-03-01T12:01:00.000Z"}
    assert answer.json() == after
    assert (await admin.get(path)).json() == after
    taken = dict.fromkeys(("phone_number", "send_limit", "server_url", "region"))
    told = (await admin.patch(path, json=taken)).json()
    assert (told["phone_number"], told["server_url"]) == (None, None)
    assert told["send_limit"] == {"segments": 30, "seconds": 1800, "recipients_per_month": None}
    told = (await admin.patch(path, json={"send_limit": limit})).json()
    assert told["send_limit"] == limit


async def test_old_credentials_end_at_once_or_after_their_grace(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    made = await _create(admin)
    path = f"/v1/devices/{made['id']}/credentials"
    name, first = made["username"], made["credentials"]["password"]
    answer = await admin.post(path, json={"grace_seconds": 60})
    assert (answer.status_code, list(answer.json())) == (200, ISSUED)
    second = answer.json()["credentials"]["password"]
    assert answer.json()["setup"]["server_url"].count(second) == 1
    assert [await _opens(hub, name, first), await _opens(hub, name, second)] == [True, True]
    clock.advance(seconds=61)
    assert [await _opens(hub, name, first), await _opens(hub, name, second)] == [False, True]
    third = (await admin.post(path)).json()["credentials"]["password"]
    assert [await _opens(hub, name, second), await _opens(hub, name, third)] == [False, True]
    chosen = (await admin.post(path, json={"password": "weak"})).json()
    assert (chosen["credentials"]["password"], len(chosen["warnings"])) == ("weak", 1)


async def test_a_removed_device_is_gone_and_its_messages_stay(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    await phones.forward_sms(hub, device, "+255712345678", "Nzuri")
    path = f"/v1/devices/{device.id}"
    answer = await admin.delete(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert (await admin.get(path)).status_code == 404
    assert (await admin.delete(path)).status_code == 404
    assert (await admin.get("/v1/devices")).json()["data"] == []
    assert len((await admin.get("/v1/messages")).json()["data"]) == 1


async def test_what_a_phone_sent_amiss_is_shown(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    project = await hub.access.get_project("default")
    device = await phones.register(hub, project.id)
    await phones.send_rubbish(hub, device, '{"id": 1}', '{"id": 2}')
    clock.advance(minutes=1)
    await phones.send_rubbish(hub, device, '{"id": 1}')
    path = f"/v1/devices/{device.id}/quarantine"
    page = (await admin.get(path, params={"limit": 1})).json()
    rest = (await admin.get(path, params={"cursor": page["next_cursor"], "limit": 1})).json()
    assert rest["next_cursor"] is None
    [newer, older] = page["data"] + rest["data"]
    assert (newer["raw"], newer["seen"]) == ('{"id": 2}', 1)
    assert older == {
        "id": older["id"],
        "kind": "invalid_message",
        "detail": "No sender.",
        "raw": '{"id": 1}',
        "seen": 2,
        "first_seen_at": NOON,
        "last_seen_at": "2026-03-01T12:01:00.000Z",
    }


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        pytest.param({"name": ""}, "/name", "too_short", id="empty name"),
        pytest.param({"name": "x" * 101}, "/name", "too_long", id="long name"),
        pytest.param({"protocol": "http"}, "/protocol", "not_allowed", id="protocol"),
        pytest.param({"protocol": "envaya"}, "/phone_number", "required", id="envaya, no number"),
        pytest.param({"phone_number": "1" * 65}, "/phone_number", "too_long", id="number"),
        pytest.param({"tags": ["a b"]}, "/tags/0", "malformed", id="tag"),
        pytest.param({"tags": ["a"] * 21}, "/tags", "too_long", id="21 tags"),
        pytest.param({"tags": "a"}, "/tags", "wrong_type", id="tags as text"),
        pytest.param({"send_limit": {}}, "/send_limit/segments", "required", id="empty limit"),
        pytest.param(
            {"send_limit": {"segments": 0, "seconds": 1}},
            "/send_limit/segments",
            "out_of_range",
            id="no segments",
        ),
        pytest.param(
            {"send_limit": {"segments": 1, "seconds": 2**31}},
            "/send_limit/seconds",
            "out_of_range",
            id="more seconds than a column holds",
        ),
        pytest.param({"server_url": "sms.example.org"}, "/server_url", "malformed", id="URL"),
        pytest.param({"server_url": "ftp://x"}, "/server_url", "malformed", id="scheme"),
        pytest.param({"region": "tz"}, "/region", "unknown_region", id="lower-case region"),
        pytest.param({"region": "TZA"}, "/region", "too_long", id="long region"),
        pytest.param(
            {"credentials": {"username": "gw"}}, "/credentials/password", "required", id="no secret"
        ),
        pytest.param(
            {"credentials": {"password": ""}}, "/credentials/password", "malformed", id="empty"
        ),
        pytest.param(
            {"credentials": {"username": "a:b", "password": "x"}},
            "/credentials/username",
            "malformed",
            id="a user name the app cannot hold",
        ),
        pytest.param(
            {**ENVAYA, "credentials": {"username": "gw", "password": "x"}},
            "/credentials/username",
            "not_used",
            id="envaya with a user name",
        ),
        pytest.param({"id": "x"}, "/id", "unknown_field", id="a field of answers"),
        pytest.param({"project_id": "x"}, "/project_id", "unknown_field", id="project"),
    ],
)
async def test_a_device_that_cannot_be_is_refused(
    shared: httpx.AsyncClient, fields: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await shared.post("/v1/devices", json={**MEDIC, **fields})
    assert (pointer, code) in refused_fields(answer)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        pytest.param({"name": None}, "/name", "wrong_type", id="no name"),
        pytest.param({"tags": None}, "/tags", "wrong_type", id="null tags"),
        pytest.param({"paused": None}, "/paused", "wrong_type", id="null paused"),
        pytest.param({"paused": 1}, "/paused", "wrong_type", id="paused as a number"),
        pytest.param({"paused": "true"}, "/paused", "wrong_type", id="paused as text"),
        pytest.param({"protocol": "envaya"}, "/protocol", "unknown_field", id="protocol"),
        pytest.param({"username": "x"}, "/username", "unknown_field", id="user name"),
        pytest.param({"phone_number": None}, "/phone_number", "required", id="envaya's number"),
        pytest.param({"region": "XX"}, "/region", "unknown_region", id="region"),
    ],
)
async def test_a_change_that_cannot_be_is_refused(
    shared_hub: Hub,
    shared: httpx.AsyncClient,
    changes: dict[str, Any],
    pointer: str,
    code: str,
) -> None:
    project = await shared_hub.access.get_project("default")
    draft = DeviceDraft("B", Protocol.ENVAYA, phone_number="+255700000002")
    view, _ = await shared_hub.devices.create(project.id, draft)
    path = f"/v1/devices/{view.device.id}"
    before = (await shared.get(path)).json()
    assert refused_fields(await shared.patch(path, json=changes)) == [(pointer, code)]
    assert (await shared.get(path)).json() == before


@pytest.mark.parametrize("seconds", [-1, 604_801, "60", 1.5, True, None])
async def test_a_grace_is_of_a_week_at_most(shared: httpx.AsyncClient, seconds: object) -> None:
    path = "/v1/devices/any/credentials"
    answer = await shared.post(path, json={"grace_seconds": seconds})
    assert [pointer for pointer, _ in refused_fields(answer)] == ["/grace_seconds"]
