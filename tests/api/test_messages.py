"""Messages through the API: sent, looked up, listed, cancelled."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from gateway_hub.domain.lifecycle import Status
from gateway_hub.services.hub import Hub
from tests.api import phones
from tests.api.clients import connected, problem_of, refused_fields
from tests.conftest import FakeClock

BEFORE_DIRECTION = ["id", "direction", "type", "status", "final", "from", "from_e164"]
COMMON = [
    *BEFORE_DIRECTION,
    *("to", "to_e164", "text", "encoding", "segments", "route", "device_id", "priority"),
    *("send_at", "expires_at", "error", "reference", "metadata", "attachments"),
    *("created_at", "updated_at", "sms_sent_at", "sms_received_at"),
]
OUTBOUND = [
    *COMMON,
    "max_attempts",
    "if_uncertain",
    "attempts",
    "reached",
    "due_at",
    "cancel_requested_at",
]
NOON = "2026-03-01T12:00:00.000Z"


async def _project_id(hub: Hub) -> str:
    return (await hub.access.get_project("default")).id


async def _list(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    answer = await client.get("/v1/messages", params=query)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def _send(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    body = {"to": "+255712345678", "text": "Habari", **fields}
    answer = await client.post("/v1/messages", json=body)
    assert answer.status_code == 201, answer.text
    message: dict[str, Any] = answer.json()
    return message


async def test_a_message_is_told_as_it_was_given(admin: httpx.AsyncClient) -> None:
    body = {
        "to": "+255 712 345-678",
        "text": "Habari yako? 😀",
        "route": {"tag": "clinic-a"},
        "priority": -7,
        "send_at": "2026-03-01T18:00:00.123456+03:00",
        "expires_at": "2026-03-02T12:00:00Z",
        "max_attempts": 3,
        "if_uncertain": "resend",
        "reference": "r-1",
        "metadata": {"clinic": "a", "é/~": ""},
    }
    answer = await admin.post("/v1/messages", json=body)
    assert answer.status_code == 201
    message = answer.json()
    assert answer.headers["location"] == f"/v1/messages/{message['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert list(message) == OUTBOUND
    assert message == {
        "id": message["id"],
        "direction": "outbound",
        "type": "sms",
        "status": "scheduled",
        "final": False,
        "from": None,
        "from_e164": None,
        "to": "+255 712 345-678",
        "to_e164": "+255712345678",
        "text": "Habari yako? 😀",
        "encoding": "ucs2",
        "segments": 1,
        "route": {"device_id": None, "tag": "clinic-a"},
        "device_id": None,
        "priority": -7,
        "send_at": "2026-03-01T15:00:00.123Z",
        "expires_at": "2026-03-02T12:00:00.000Z",
        "error": None,
        "reference": "r-1",
        "metadata": {"clinic": "a", "é/~": ""},
        "attachments": [],
        "created_at": NOON,
        "updated_at": NOON,
        "sms_sent_at": None,
        "sms_received_at": None,
        "max_attempts": 3,
        "if_uncertain": "resend",
        "attempts": [],
        "reached": {"scheduled": NOON},
        "due_at": "2026-03-01T15:00:00.123Z",
        "cancel_requested_at": None,
    }
    one = (await admin.get(answer.headers["location"])).json()
    assert list(one) == [*OUTBOUND, "reports", "waiting_for"]
    waiting = one.pop("waiting_for")
    assert (waiting["reason"], waiting["until"]) == ("send_at", message["send_at"])
    assert one == {**message, "reports": []}
    assert await _list(admin) == [message]


async def test_a_message_shows_its_attempts_and_every_report(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    device = await phones.register(hub, await _project_id(hub))
    message = await _send(admin)
    assert message["route"] is None
    clock.advance(seconds=2)
    await phones.poll(hub, device)
    clock.advance(seconds=3)
    await phones.report(hub, device, message["id"], Status.SENT, "SENT")
    await phones.report(hub, device, message["id"], Status.PENDING, "PENDING")
    told = (await admin.get(f"/v1/messages/{message['id']}")).json()
    assert (told["status"], told["final"], told["device_id"]) == ("sent", False, device.id)
    assert told["reached"] == {
        "queued": NOON,
        "dispatched": "2026-03-01T12:00:02.000Z",
        "sent": "2026-03-01T12:00:05.000Z",
    }
    assert told["attempts"] == [
        {
            "wire_id": message["id"],
            "number": 1,
            "device_id": device.id,
            "status": "sent",
            "offers": 1,
            "first_offered_at": "2026-03-01T12:00:02.000Z",
            "last_offered_at": "2026-03-01T12:00:02.000Z",
            "lease_until": "2026-03-01T12:05:02.000Z",
            "error": None,
        }
    ]
    assert [(item["status"], item["applied"]) for item in told["reports"]] == [
        ("SENT", True),
        ("PENDING", False),
    ]
    assert set(told["reports"][0]) == {"wire_id", "status", "reason", "received_at", "applied"}
    [listed] = await _list(admin)
    assert listed == {name: told[name] for name in OUTBOUND}


async def test_a_failure_says_why(hub: Hub, admin: httpx.AsyncClient) -> None:
    device = await phones.register(hub, await _project_id(hub))
    message = await _send(admin)
    await phones.poll(hub, device)
    await phones.report(hub, device, message["id"], Status.FAILED, "FAILED")
    told = (await admin.get(f"/v1/messages/{message['id']}")).json()
    assert (told["status"], told["final"]) == ("failed", True)
    assert set(told["error"]) == {"code", "message"}
    assert told["error"]["code"] == "device_failed"


async def test_an_inbound_message_tells_its_sender_and_repeats(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    device = await phones.register(hub, await _project_id(hub))
    for _ in range(3):
        await phones.forward_sms(hub, device, "+255712345678", "Nzuri")
    [told] = await _list(admin)
    assert list(told) == [*COMMON, "repeats"]
    assert (told["direction"], told["type"], told["status"]) == ("inbound", "sms", "received")
    assert (told["from"], told["to"]) == ("+255712345678", phones.PHONE_NUMBER)
    assert (told["text"], told["final"], told["repeats"]) == ("Nzuri", True, 2)
    assert (await admin.get(f"/v1/messages/{told['id']}")).json() == told


async def test_a_filter_lets_through_what_it_names(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    project_id = await _project_id(hub)
    await hub.access.change_project(project_id, {"region": "TZ"})
    device = await phones.register(hub, project_id, "clinic-a")
    await phones.forward_sms(hub, device, "+255712000001", "in 100% of_cases")
    clock.advance(hours=1)
    await phones.forward_sms(hub, device, "MPESA", "Paid")
    clock.advance(hours=1)
    await _send(admin, to="0712000001", text="tagged", route={"tag": "clinic-a"}, reference="r-1")
    await _send(admin, text="other", route={"tag": "clinic_a"}, send_at="2026-03-02T00:00:00Z")
    await _send(admin, text="own", route={"device_id": device.id}, to="+255712000009")
    expected: dict[tuple[str, str], list[str]] = {
        ("direction", "inbound"): ["Paid", "in 100% of_cases"],
        ("type", "mms"): [],
        ("status", "scheduled"): ["other"],
        ("status", "received"): ["Paid", "in 100% of_cases"],
        ("device_id", device.id): ["Paid", "in 100% of_cases"],
        ("contact", "+255712000001"): ["tagged", "in 100% of_cases"],
        ("contact", "0712 000 001"): ["tagged", "in 100% of_cases"],
        ("contact", "MPESA"): ["Paid"],
        ("contact", " MPESA "): ["Paid"],
        ("contact", "nobody"): [],
        ("tag", "clinic-a"): ["own", "tagged", "Paid", "in 100% of_cases"],
        ("tag", "clinic_a"): ["other"],
        ("tag", "clinic"): [],
        ("reference", "r-1"): ["tagged"],
        ("reference", "r"): [],
        ("q", "AG"): ["tagged"],
        ("q", "100%"): ["in 100% of_cases"],
        ("q", "f_c"): ["in 100% of_cases"],
        ("q", "_"): ["in 100% of_cases"],
        ("q", "\\"): [],
        ("created_after", "2026-03-01T12:00:00Z"): ["own", "other", "tagged", "Paid"],
        ("created_before", "2026-03-01T16:00:00+03:00"): ["in 100% of_cases"],
    }
    for (name, value), texts in expected.items():
        found = [item["text"] for item in await _list(admin, **{name: value})]
        assert found == texts, (name, value)
    both = await _list(admin, direction="outbound", tag="clinic-a")
    assert [item["text"] for item in both] == ["own", "tagged"]


async def test_a_plus_that_was_not_escaped_is_still_a_plus(admin: httpx.AsyncClient) -> None:
    await _send(admin, to="+255712345678")
    for contact in ("+255712345678", "%2B255712345678", "%2B255%20712-345-678"):
        answer = await admin.get(f"/v1/messages?contact={contact}")
        assert len(answer.json()["data"]) == 1, contact


async def test_a_message_is_cancelled_before_a_phone_has_it_and_not_after(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    waiting, taken = await _send(admin), await _send(admin, priority=1)
    device = await phones.register(hub, await _project_id(hub))
    scheduled = await _send(admin, send_at="2026-03-02T00:00:00Z")
    for message in (waiting, scheduled):
        answer = await admin.post(f"/v1/messages/{message['id']}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert list(answer.json()) == OUTBOUND
        assert answer.json()["final"]
    await phones.poll(hub, device)
    answer = await admin.post(f"/v1/messages/{taken['id']}/cancel")
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "not_cancellable")
    again = await admin.post(f"/v1/messages/{waiting['id']}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")


async def test_an_inbound_message_cannot_be_cancelled(hub: Hub, admin: httpx.AsyncClient) -> None:
    device = await phones.register(hub, await _project_id(hub))
    await phones.forward_sms(hub, device, "+255712345678", "Nzuri")
    [told] = await _list(admin)
    assert (await admin.post(f"/v1/messages/{told['id']}/cancel")).status_code == 409


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        pytest.param({"to": "Clinic A"}, "/to", "not_a_number", id="a name"),
        pytest.param({"to": "٠٧١٢"}, "/to", "not_a_number", id="digits of another script"),
        pytest.param({"text": "a\u0001"}, "/text", "unsendable_character", id="control character"),
        pytest.param({"text": "ж" * 16_000}, "/text", "text_too_long", id="too many segments"),
        pytest.param(
            {"route": {"device_id": "x" * 64}}, "/route/device_id", "unknown_device", id="device"
        ),
        pytest.param(
            {"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "too_early", id="expired"
        ),
    ],
)
async def test_what_no_phone_could_send_is_refused(
    shared: httpx.AsyncClient, fields: dict[str, Any], pointer: str, code: str
) -> None:
    body = {"to": "+255712345678", "text": "Habari", **fields}
    assert refused_fields(await shared.post("/v1/messages", json=body)) == [(pointer, code)]
    assert await _list(shared) == []


@pytest.mark.parametrize(
    ("text", "sent", "encoding"),
    [
        (
            "\N{LEFT DOUBLE QUOTATION MARK}Habari\N{RIGHT DOUBLE QUOTATION MARK}\N{EN DASH}yako"
            "\N{HORIZONTAL ELLIPSIS}\N{NO-BREAK SPACE}\N{LATIN SMALL LETTER E WITH ACUTE}",
            '"Habari"-yako... \N{LATIN SMALL LETTER E WITH ACUTE}',
            "gsm7",
        ),
        ("ж\N{EN DASH}ж", "ж\N{EN DASH}ж", "ucs2"),
        ("plain", "plain", "gsm7"),
    ],
    ids=["typography", "cyrillic", "plain"],
)
async def test_a_text_is_sent_in_plain_typography_where_that_is_asked(
    hub: Hub, admin: httpx.AsyncClient, text: str, sent: str, encoding: str
) -> None:
    device = await phones.register(hub, await _project_id(hub))
    told = await _send(admin, text=text, transliterate=True)
    assert (told["text"], told["encoding"]) == (sent, encoding)
    as_given = await _send(admin, text=text)
    assert as_given["text"] == text
    assert [offer.text for offer in (await phones.poll(hub, device)).offers] == [sent, text]


async def test_a_text_of_which_nothing_is_left_is_refused(shared: httpx.AsyncClient) -> None:
    body = {"to": "+255712345678", "text": "\N{ZERO WIDTH SPACE}", "transliterate": True}
    assert refused_fields(await shared.post("/v1/messages", json=body)) == [("/text", "empty")]


NASTY = ["\x00", "a\x00b", "\ud83d", "\ude00\ud83d", "\uffff", "\x1b\u202e'\"\\%_"]


async def test_no_text_brings_a_500_on_any_database(hub: Hub, admin: httpx.AsyncClient) -> None:
    device = await phones.register(hub, await _project_id(hub))
    headers = {"Content-Type": "application/json"}
    for text in NASTY:
        unstorable = any(part in text for part in ("\x00", "\ud83d"))
        bodies: list[tuple[str, str, Any]] = [
            ("POST", "/v1/messages", {"to": "1234", "text": text}),
            ("POST", "/v1/messages", {"to": text, "text": "x"}),
            ("POST", "/v1/messages", {"to": "1234", "text": "x", "reference": text}),
            ("POST", "/v1/messages", {"to": "1234", "text": "x", "metadata": {text: text}}),
            ("POST", "/v1/devices", {"name": text, "protocol": "medic"}),
            ("PATCH", f"/v1/devices/{device.id}", {"name": text, "phone_number": text}),
            ("POST", "/v1/projects", {"name": text}),
            ("POST", "/v1/api-keys", {"name": text, "scopes": [text]}),
            ("POST", "/v1/api-keys", {"name": text, "scopes": ["messages:read"]}),
        ]
        for method, path, body in bodies:
            content = json.dumps(body).encode("ascii")
            answer = await admin.request(method, path, content=content, headers=headers)
            assert answer.status_code < 500, (path, body)
            assert not unstorable or answer.status_code == 422, (path, body)
        if "\ud83d" not in text:
            for name in ("q", "contact", "reference", "device_id", "tag", "cursor"):
                answer = await admin.get("/v1/messages", params={name: text})
                assert answer.status_code in {200, 422}, (name, text)
            headers_in = {b"Gateway-Hub-Project": text.encode("utf-8")}
            answer = await admin.get("/v1/messages", headers=headers_in)
            assert answer.status_code == 404


async def test_a_list_holds_what_its_key_may_see(app: FastAPI, hub: Hub) -> None:
    await hub.access.create_project("other", None)
    async with connected(app, hub) as here, connected(app, hub, project="other") as there:
        await _send(here, text="here")
        await _send(there, text="there")
        assert [item["text"] for item in await _list(here)] == ["here"]
        assert [item["text"] for item in await _list(there)] == ["there"]
