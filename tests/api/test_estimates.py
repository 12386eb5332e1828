"""Looking ahead: what a message would cost, and who could send it when."""

import httpx
import pytest

from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.conftest import FakeClock

NOON = "2026-03-01T12:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "size", "forcing", "plain"),
    [
        ("x" * 160, ("gsm7", 1), [], None),
        ("x" * 161, ("gsm7", 2), [], None),
        (
            "it\N{RIGHT SINGLE QUOTATION MARK}s",
            ("ucs2", 1),
            ["\N{RIGHT SINGLE QUOTATION MARK}"],
            "it's",
        ),
        ("ж" * 71, ("ucs2", 2), ["ж"], None),
    ],
    ids=["one segment", "two", "a quote", "cyrillic"],
)
async def test_the_size_of_a_text_is_told_with_what_makes_it_large(
    admin: httpx.AsyncClient,
    text: str,
    size: tuple[str, int],
    forcing: list[str],
    plain: str | None,
) -> None:
    encoding, segments = size
    told = (
        await admin.post("/v1/messages/estimate", json={"to": "+255712345678", "text": text})
    ).json()
    assert told == {
        "encoding": encoding,
        "segments": segments,
        "forcing_characters": forcing,
        "transliterated_text": plain,
        "devices": [],
        "earliest_at": None,
    }


async def test_the_size_of_the_plainer_text_is_told_where_that_is_asked(
    admin: httpx.AsyncClient,
) -> None:
    asked = {"to": "+255712345678", "text": "\N{EM DASH}" * 160, "transliterate": True}
    told = (await admin.post("/v1/messages/estimate", json=asked)).json()
    assert (told["encoding"], told["segments"], told["forcing_characters"]) == ("gsm7", 1, [])
    assert told["transliterated_text"] == "-" * 160


async def test_the_devices_that_could_send_it_are_told_with_their_time(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    project = await hub.access.ensure_default_project()
    device = await phones.register(hub, project.id, "clinic-a")
    limit = {"send_limit": {"segments": 1, "seconds": 600}}
    await admin.patch(f"/v1/devices/{device.id}", json=limit)
    asked = {"to": "+255712345678", "text": "hello", "route": {"tag": "clinic-a"}}
    (away,) = (await admin.post("/v1/messages/estimate", json=asked)).json()["devices"]
    assert (away["device_id"], away["online"], away["earliest_at"]) == (device.id, False, NOON)
    await admin.post("/v1/messages", json=asked)
    await phones.poll(hub, device)
    told = (await admin.post("/v1/messages/estimate", json=asked)).json()
    assert told["earliest_at"] == "2026-03-01T12:11:00.000Z"
    other = {**asked, "route": {"tag": "clinic-b"}}
    assert (await admin.post("/v1/messages/estimate", json=other)).json()["devices"] == []


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"to": "nobody", "text": "x"}, "not_a_number"),
        ({"to": "+255712345678", "text": "\x01"}, "unsendable_character"),
        ({"to": "+255712345678", "text": "ж" * 6_800}, "text_too_long"),
    ],
)
async def test_what_cannot_be_sent_is_not_estimated(
    admin: httpx.AsyncClient, asked: dict[str, str], code: str
) -> None:
    for path in ("/v1/messages", "/v1/messages/estimate"):
        answer = await admin.post(path, json=asked)
        assert answer.status_code == 422
        assert [error["code"] for error in answer.json()["errors"]] == [code]


async def test_a_national_number_is_known_as_in_the_country_of_the_phone_that_is_named(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    project = await hub.access.ensure_default_project()
    device = await phones.register(hub, project.id)
    limit = {"send_limit": {"segments": 100, "seconds": 600, "recipients_per_month": 1}}
    await admin.patch(f"/v1/devices/{device.id}", json={"region": "TZ", **limit})
    asked = {"to": "0712345678", "text": "x", "route": {"device_id": device.id}}
    await admin.post("/v1/messages", json=asked)
    await phones.poll(hub, (await hub.devices.get(project.id, device.id)).device)
    told = (await admin.post("/v1/messages/estimate", json=asked)).json()
    assert told["earliest_at"] == NOON


async def test_a_number_too_many_this_month_waits_for_the_next(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    project = await hub.access.ensure_default_project()
    device = await phones.register(hub, project.id)
    limit = {"send_limit": {"segments": 100, "seconds": 600, "recipients_per_month": 1}}
    await admin.patch(f"/v1/devices/{device.id}", json=limit)
    await admin.post("/v1/messages", json={"to": "+255712345678", "text": "hello"})
    await phones.poll(hub, (await hub.devices.get(project.id, device.id)).device)
    times = {
        to: (await admin.post("/v1/messages/estimate", json={"to": to, "text": "x"})).json()
        for to in ("+255712345678", "+255712345679")
    }
    assert [told["earliest_at"] for told in times.values()] == [NOON, "2026-04-01T00:00:00.000Z"]
