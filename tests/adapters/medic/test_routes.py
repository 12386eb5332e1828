"""The medic endpoint over HTTP."""

import asyncio
import gzip
import json
import zlib
from typing import Any

import pytest

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageDraft, Route
from tests.adapters.conftest import PASSWORD, USERNAME, Phones, basic
from tests.serving import send_raw

SMS = {"id": "a-1", "from": "+255700000001", "content": "hello", "sms_sent": 1, "sms_received": 2}


def object_of(body: bytes) -> dict[str, Any]:
    answer = json.loads(body)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("path", ["/medic", "/medic/", "/p/default/medic", "/p/default/medic/"])
async def test_a_known_phone_finds_a_gateway_at_every_form_of_the_path(
    phones: Phones, path: str
) -> None:
    answer = await phones.http.get(path, auth=(USERNAME, PASSWORD))
    assert (answer.status_code, answer.json()) == (200, {"medic-gateway": True})


async def test_an_old_path_of_another_server_is_served_too(phones: Phones) -> None:
    answer = await phones.http.get("/old/sms", auth=(USERNAME, PASSWORD))
    assert answer.json() == {"medic-gateway": True}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"Authorization": basic(USERNAME, "wrong")}, id="wrong password"),
        pytest.param({"Authorization": basic("nobody", PASSWORD)}, id="unknown user"),
        pytest.param({"Authorization": basic("", PASSWORD)}, id="no user name"),
        pytest.param({"Authorization": "Basic !!!"}, id="not base64"),
        pytest.param({"Authorization": "Bearer x"}, id="another scheme"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_stranger_is_refused_alike(
    phones: Phones, headers: dict[str, str], method: str
) -> None:
    answer = await phones.http.request(method, "/medic", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")
    assert answer.json() == {"error": True, "message": "The user name or password is wrong."}


async def test_another_project_has_no_such_phone(phones: Phones) -> None:
    await phones.hub.access.create_project("other", None)
    answer = await phones.http.get("/p/other/medic", auth=(USERNAME, PASSWORD))
    assert answer.status_code == 401


async def test_a_phone_set_up_for_the_php_class_is_known_by_its_query(phones: Phones) -> None:
    right = await phones.http.get(f"/medic?id={USERNAME}&h={PASSWORD}")
    wrong = await phones.http.get(f"/medic?id={USERNAME}&h=0")
    assert (right.status_code, wrong.status_code) == (200, 401)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused_in_json(phones: Phones, method: str) -> None:
    answer = await phones.http.request(method, "/medic", auth=(USERNAME, PASSWORD))
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST"
    assert answer.json()["error"] is True


async def test_a_path_below_is_not_found_in_json(phones: Phones) -> None:
    answer = await phones.http.post("/medic/other", json={})
    assert (answer.status_code, answer.json()["error"]) == (404, True)


@pytest.mark.parametrize(
    "body", [{}, {"messages": None}, {"messages": [], "updates": None, "extra": 1}]
)
async def test_nothing_to_say_is_a_success(phones: Phones, body: dict[str, Any]) -> None:
    answer = await phones.post_medic(body)
    assert (answer.status_code, answer.json()) == (200, {"messages": []})


async def test_a_message_goes_out_and_its_reports_come_back(phones: Phones) -> None:
    route = Route(device_id=phones.medic.id)
    draft = MessageDraft("+255 (0)71-000-0002", "Hujambo 😀", route=route)
    message = await phones.hub.outbox.submit(phones.project_id, draft)
    given = (await phones.post_medic({})).json()["messages"]
    assert given == [{"id": message.id, "to": "+255710000002", "content": "Hujambo 😀"}]
    steps = ["UNSENT", "PENDING", "SENT", "DELIVERED"]
    updates = [{"id": message.id, "status": step} for step in steps]
    assert (await phones.post_medic({"updates": updates})).json() == {"messages": []}
    details = await phones.hub.outbox.get(phones.project_id, message.id)
    assert details.message.status is Status.DELIVERED
    assert [item.raw_status for item in details.reports] == steps
    expected = {"queued", "dispatched", "accepted", "pending", "sent", "delivered"}
    assert details.message.reached.keys() == expected


async def test_a_message_forwarded_again_is_stored_once(phones: Phones) -> None:
    for _ in range(3):
        assert (await phones.post_medic({"messages": [SMS, SMS]})).status_code == 200
    (details,) = await phones.messages()
    assert (details.message.text, details.message.repeats) == ("hello", 5)


async def test_a_bad_item_costs_only_itself(phones: Phones) -> None:
    batch = {
        "messages": [
            SMS,
            {"id": "a-2", "content": "no sender"},
            {"id": "a-3", "from": "x", "content": "half \ud83d emoji\0"},
            {"id": "a-4", "from": "x", "content": "t", "sms_sent": 2**70},
            "not an object",
        ],
        "updates": [
            {"id": "no-such", "status": "SENT"},
            {"id": "a-9", "status": "EATEN"},
            {"status": "SENT"},
        ],
    }
    answer = await phones.http.post(
        "/medic",
        content=json.dumps(batch),
        headers={"Content-Type": "application/json"},
        auth=(USERNAME, PASSWORD),
    )
    assert answer.status_code == 200
    stored = [details.message.text for details in await phones.messages()]
    assert stored == ["hello", "half \N{REPLACEMENT CHARACTER} emoji\N{REPLACEMENT CHARACTER}"]
    kinds = [
        record.kind
        for record in await phones.hub.devices.list_quarantine(
            phones.project_id, phones.medic.id, before="~", limit=50
        )
    ]
    assert sorted(kinds) == [
        "invalid_message",
        "invalid_message",
        "invalid_message",
        "invalid_report",
        "unknown_wire_id",
        "unknown_wire_id",
    ]


def deep_json() -> bytes:
    return b'{"messages":' + b"[" * 1000 + b"]" * 1000 + b"}"


def gzip_bomb() -> bytes:
    return gzip.compress(bytes(64 * 1024 * 1024))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"", {}, 400, id="empty"),
        pytest.param(b"[]", {}, 400, id="a list"),
        pytest.param(b"null", {}, 400, id="null"),
        pytest.param(b'{"messages":{}}', {}, 400, id="messages is an object"),
        pytest.param(b'{"messages":[', {}, 400, id="cut short"),
        pytest.param(b'{"messages":[NaN]}', {}, 400, id="NaN"),
        pytest.param(b"\xff\xfe", {}, 400, id="not UTF-8"),
        pytest.param(b'{"a":' + b"9" * 5000 + b',"b":"\\ud83d"}', {}, 400, id="5000 digits"),
        pytest.param(b"[" * 200_000, {}, 400, id="deeper than any parser goes"),
        pytest.param(b'{"x":"' + b"y" * 1_048_576 + b'"}', {}, 413, id="too large"),
        pytest.param(b"x", {"Content-Encoding": "gzip"}, 400, id="not gzip"),
        pytest.param(gzip.compress(b"{}")[:-5], {"Content-Encoding": "gzip"}, 400, id="cut gzip"),
        pytest.param(gzip_bomb(), {"Content-Encoding": "gzip"}, 413, id="gzip bomb"),
        pytest.param(zlib.compress(b"{}"), {"Content-Encoding": "deflate"}, 415, id="deflate"),
        pytest.param(b"{}", {"Content-Type": "text/plain"}, 415, id="text/plain"),
    ],
)
async def test_a_bad_body_is_refused_in_json_and_changes_nothing(
    phones: Phones, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await phones.http.post(
        "/medic",
        content=body,
        headers={"Content-Type": "application/json"} | headers,
        auth=(USERNAME, PASSWORD),
    )
    assert answer.status_code == status
    assert object_of(answer.content).keys() == {"error", "message"}
    assert await phones.messages() == []


async def test_json_a_thousand_levels_deep_is_put_aside(phones: Phones) -> None:
    answer = await phones.http.post(
        "/medic",
        content=deep_json(),
        headers={"Content-Type": "application/json"},
        auth=(USERNAME, PASSWORD),
    )
    assert answer.status_code in {200, 400}
    assert await phones.messages() == []


async def test_gzip_is_read_and_written(phones: Phones) -> None:
    route = Route(device_id=phones.medic.id)
    long = "ä" * 600
    await phones.hub.outbox.submit(phones.project_id, MessageDraft("12345", long, route=route))
    answer = await phones.http.post(
        "/medic",
        content=gzip.compress(json.dumps({"messages": [SMS]}).encode()),
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
        auth=(USERNAME, PASSWORD),
    )
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["messages"][0]["content"] == long
    assert len(await phones.messages()) == 2


async def test_a_request_cut_short_stores_nothing(phones: Phones) -> None:
    head = (
        f"POST /medic HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(USERNAME, PASSWORD)}\r\n"
        "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", phones.port)
    writer.write(head.encode() + b'{"messages":[{"id":"1","from":"1","content":"x"}')
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    assert await phones.messages() == []


async def test_a_wrong_length_is_refused_by_the_server(phones: Phones) -> None:
    request = b"POST /medic HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{}"
    assert (await send_raw(phones.port, request)).status == 400
