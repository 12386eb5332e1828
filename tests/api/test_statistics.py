"""A project's numbers through the API."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.domain.access import Scope
from gateway_hub.services.hub import Hub
from tests.api.clients import connected, problem_of, refused_fields
from tests.conftest import FakeClock
from tests.services.phones import Phone, register, sms, submit

LONG = "x" * 200  # two segments


def counts(found: list[dict[str, Any]]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return messages and segments by direction and status."""
    return {
        (item["direction"], item["status"]): (item["messages"], item["segments"]) for item in found
    }


@pytest.fixture
async def phone(hub: Hub, clock: FakeClock) -> Phone:
    """A phone that was given a message before noon and delivered it after, and forwarded two."""
    phone = await register(hub)
    await submit(hub, phone.project_id, LONG, device=phone.device)
    await submit(hub, phone.project_id)
    (first, second) = await phone.poll()
    await phone.post(messages=[sms("a"), sms("b", LONG)], takes_work=False)
    clock.advance(hours=1, minutes=30)
    await phone.report(first, "SENT")
    await phone.report(first, "DELIVERED")
    await phone.report(second, "FAILED")
    await submit(hub, phone.project_id)
    return phone


@pytest.mark.usefixtures("phone")
async def test_messages_are_counted_by_the_hour_they_reached_each_status_in(
    admin: httpx.AsyncClient,
) -> None:
    stats = (await admin.get("/v1/stats")).json()
    assert (stats["from"], stats["to"], stats["by"]) == (
        "2026-02-28T13:00:00.000Z",
        "2026-03-01T14:00:00.000Z",
        "hour",
    )
    noon, after = stats["periods"]
    assert noon["start"] == "2026-03-01T12:00:00.000Z"
    assert counts(noon["counts"]) == {
        ("inbound", "received"): (2, 3),
        ("outbound", "dispatched"): (2, 3),
        ("outbound", "queued"): (2, 3),
    }
    assert after["start"] == "2026-03-01T13:00:00.000Z"
    assert counts(after["counts"]) == {
        ("outbound", "delivered"): (1, 2),
        ("outbound", "failed"): (1, 1),
        ("outbound", "queued"): (1, 1),
        ("outbound", "sent"): (1, 2),
    }
    assert counts(stats["totals"]) == {
        ("inbound", "received"): (2, 3),
        ("outbound", "delivered"): (1, 2),
        ("outbound", "dispatched"): (2, 3),
        ("outbound", "failed"): (1, 1),
        ("outbound", "queued"): (3, 4),
        ("outbound", "sent"): (1, 2),
    }
    assert stats["backlog"] == 1


@pytest.mark.usefixtures("phone")
async def test_messages_are_counted_by_the_day(admin: httpx.AsyncClient) -> None:
    stats = (await admin.get("/v1/stats", params={"by": "day"})).json()
    assert (stats["from"], stats["to"]) == ("2026-01-30T00:00:00.000Z", "2026-03-02T00:00:00.000Z")
    (day,) = stats["periods"]
    assert day["start"] == "2026-03-01T00:00:00.000Z"
    assert day["counts"] == stats["totals"]


@pytest.mark.usefixtures("phone")
async def test_only_the_time_asked_for_is_told(admin: httpx.AsyncClient) -> None:
    noon = {"from": "2026-03-01T15:30:00+03:00", "to": "2026-03-01T13:00:00Z"}
    stats = (await admin.get("/v1/stats", params=noon)).json()
    assert (stats["from"], stats["to"]) == ("2026-03-01T12:00:00.000Z", "2026-03-01T13:00:00.000Z")
    assert [period["start"] for period in stats["periods"]] == ["2026-03-01T12:00:00.000Z"]
    later = {"from": "2026-03-01T13:00:00Z", "to": "2026-03-02T00:00:00Z"}
    stats = (await admin.get("/v1/stats", params=later)).json()
    assert stats["to"] == "2026-03-01T14:00:00.000Z"
    assert [period["start"] for period in stats["periods"]] == ["2026-03-01T13:00:00.000Z"]


async def test_devices_are_told_as_they_are_now(
    phone: Phone, hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    assert (await admin.get("/v1/stats")).json()["devices"] == {
        "online": 1,
        "offline": 0,
        "paused": 0,
    }
    other = await register(hub, number="+255710000098")
    await admin.patch(f"/v1/devices/{other.device.id}", json={"paused": True})
    clock.advance(days=1)
    await phone.poll()
    assert (await admin.get("/v1/stats")).json()["devices"] == {
        "online": 1,
        "offline": 1,
        "paused": 1,
    }


@pytest.mark.usefixtures("phone")
async def test_another_projects_numbers_are_not_told(app: FastAPI, hub: Hub) -> None:
    await hub.access.create_project("other", None)
    async with connected(app, hub, project="other") as stranger:
        stats = (await stranger.get("/v1/stats")).json()
    assert (stats["periods"], stats["totals"], stats["backlog"]) == ([], [], 0)
    assert stats["devices"] == {"online": 0, "offline": 0, "paused": 0}


async def test_a_key_needs_to_be_allowed_to_read_messages(app: FastAPI, hub: Hub) -> None:
    async with connected(app, hub, Scope.DEVICES_READ) as client:
        answer = await client.get("/v1/stats")
    assert (answer.status_code, problem_of(answer)["code"]) == (403, "permission_denied")


REFUSED = [
    pytest.param({"by": "week"}, ("/by", "not_allowed"), id="another period"),
    pytest.param({"from": "yesterday"}, ("/from", "not_a_time"), id="no time"),
    pytest.param({"until": "2026-03-01T00:00:00Z"}, ("/until", "unknown_field"), id="no such name"),
    pytest.param(
        {"from": "2026-03-01T00:00:00Z", "to": "2026-03-01T00:00:00Z"},
        ("/to", "too_early"),
        id="nothing between",
    ),
    pytest.param({"from": "2026-01-29T11:59:59Z"}, ("/from", "too_early"), id="too many hours"),
    pytest.param(
        {"by": "day", "from": "2025-02-27T00:00:00Z"}, ("/from", "too_early"), id="too many days"
    ),
    pytest.param(
        {"from": "9999-12-31T00:00:00Z", "to": "9999-12-31T23:59:59.999Z"},
        ("/from", "in_the_future"),
        id="the end of time",
    ),
]


@pytest.mark.parametrize(("query", "refused"), REFUSED)
async def test_what_makes_no_sense_is_refused(
    shared: httpx.AsyncClient, query: dict[str, str], refused: tuple[str, str]
) -> None:
    assert refused_fields(await shared.get("/v1/stats", params=query)) == [refused]


async def test_time_begins_in_1970(shared: httpx.AsyncClient) -> None:
    answer = await shared.get("/v1/stats", params={"to": "1970-01-01T00:00:01Z", "by": "day"})
    assert answer.json()["from"] == "1970-01-01T00:00:00.000Z"
    assert answer.json()["to"] == "1970-01-02T00:00:00.000Z"


async def test_removed_messages_stay_in_the_numbers(
    phone: Phone, hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    clock.now = datetime(2126, 3, 1, tzinfo=UTC)  # ids are of the real time
    assert (await hub.retention.purge(timedelta(days=30))).messages == 4
    query = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}
    stats = (await admin.get("/v1/stats", params=query)).json()
    assert counts(stats["totals"])["inbound", "received"] == (2, 3)
    assert (await hub.devices.get(phone.project_id, phone.device.id)).backlog == 1
