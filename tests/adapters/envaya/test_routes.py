"""The EnvayaSMS endpoint over HTTP."""

import asyncio
import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from gateway_hub.adapters.envaya.routes import EnvayaOptions
from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageDraft, Route
from gateway_hub.domain.networks import parse_networks
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.storage.tables import messages
from gateway_hub.storage.transactions import Transaction
from tests.adapters.conftest import NUMBER, Phones
from tests.conftest import FakeClock

SMS = {
    "action": "incoming",
    "from": "+255700000001",
    "message_type": "sms",
    "message": "habari",
    "timestamp": "1321038671000",
}
POLL = {"action": "outgoing"}
NOW = "1795338078006"


async def submit(phones: Phones, text: str = "hello", to: str = "+255710000002") -> str:
    route = Route(device_id=phones.envaya.id)
    message = await phones.hub.outbox.submit(phones.project_id, MessageDraft(to, text, route=route))
    return message.id


def offered(answer: httpx.Response) -> list[dict[str, Any]]:
    """The messages of an answer, JSON or XML."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("application/json"):
        return [item for event in answer.json()["events"] for item in event["messages"]]
    root = ET.fromstring(answer.content)  # noqa: S314 - our own answer
    return [{**item.attrib, "message": item.text} for item in root.iter("sms")]


async def test_an_idle_poll_is_answered_with_nothing(phones: Phones) -> None:
    new = await phones.post_envaya(POLL)
    old = await phones.post_envaya(POLL, version=18)
    assert (new.headers["content-type"], new.json()) == ("application/json", {"events": []})
    assert old.headers["content-type"].startswith("text/xml")
    assert old.content.endswith(b"<response></response>")


@pytest.mark.parametrize("version", [2, 17, 18, 27, 28, 30, None])
async def test_a_message_goes_out_in_the_form_the_app_reads(
    phones: Phones, version: int | None
) -> None:
    text = "Tom & <Jerry> ]]> 😀\nsecond line"
    message_id = await submit(phones, text)
    (given,) = offered(await phones.post_envaya(POLL, version=version))
    assert (given["id"], given["to"]) == (message_id, "+255710000002")
    shown = text if version is None or version >= 9 else text.replace("]]>", "]] >")
    assert given["message"] == shown


async def test_its_reports_come_back(phones: Phones) -> None:
    message_id = await submit(phones)
    await phones.post_envaya(POLL)
    report = {"action": "send_status", "id": message_id, "status": "failed", "error": "no service"}
    await phones.post_envaya(report)
    details = await phones.hub.outbox.get(phones.project_id, message_id)
    assert (details.message.status, details.message.final) == (Status.ACCEPTED, False)
    assert details.message.error is not None
    assert details.message.error.message == "no service"
    await phones.post_envaya(report | {"status": "sent", "error": ""})
    details = await phones.hub.outbox.get(phones.project_id, message_id)
    assert (details.message.status, details.message.final) == (Status.SENT, True)
    assert details.message.error is None


@pytest.mark.parametrize(
    ("action", "version", "takes"),
    [
        ("incoming", 30, True),
        ("send_status", 30, True),
        ("device_status", 30, True),
        ("amqp_started", 30, True),
        ("test", 30, False),
        ("incoming", 18, True),
        ("send_status", 18, False),
        ("device_status", 17, False),
        ("incoming", 1, False),
    ],
)
async def test_only_answers_the_app_reads_carry_work(
    phones: Phones, action: str, version: int, takes: bool
) -> None:
    await submit(phones)
    fields = {**SMS, "action": action, "id": "no-such", "status": "sent"}
    answer = await phones.post_envaya(fields, version=version)
    assert bool(offered(answer)) is takes


@pytest.mark.parametrize(
    ("fields", "kind", "contact"),
    [
        (SMS, "sms", "+255700000001"),
        (SMS | {"message_type": "call", "message": "", "from": ""}, "call", ""),
        (
            SMS | {"action": "forward_sent", "to": "+255700000009"},
            "sent",
            "+255700000009",
        ),
    ],
    ids=["sms", "hidden call", "typed by hand"],
)
async def test_what_the_phone_forwards_is_stored_once(
    phones: Phones, fields: dict[str, str], kind: str, contact: str
) -> None:
    for second in range(3):
        told = fields | {"now": str(int(NOW) + second * 1000), "log": f"try {second}"}
        assert (await phones.post_envaya(told)).status_code == 200
    (details,) = await phones.messages()
    message = details.message
    assert message.type == kind
    assert (message.to_number if kind == "sent" else message.from_number) == contact
    assert message.repeats == 2


async def test_two_equal_texts_at_different_times_are_two(phones: Phones) -> None:
    await phones.post_envaya(SMS)
    await phones.post_envaya(SMS | {"timestamp": "1321038672000"})
    assert len(await phones.messages()) == 2


async def test_an_mms_is_stored_with_its_bytes(phones: Phones) -> None:
    parts = [
        {"name": "part0", "cid": "<1>", "type": "image/jpeg", "filename": "../../etc/passwd"},
        {"name": "part1", "cid": None, "type": "text/plain", "filename": "é.txt"},
    ]
    fields = SMS | {"message_type": "mms", "mms_parts": json.dumps(parts)}
    files = [
        ("part1", ("x.txt", b"habari", "text/plain")),
        ("part0", ("a.jpg", bytes(range(256)) * 9000, "image/jpeg")),
    ]
    for _ in range(2):
        assert (await phones.post_envaya(fields, files=files)).status_code == 200
    (details,) = await phones.messages()
    first, second = details.attachments
    assert (first.filename, first.content_id, first.size_bytes) == (
        "../../etc/passwd",
        "<1>",
        256 * 9000,
    )
    assert second.filename == "é.txt"
    path = await phones.hub.attachments.get_path(first)
    assert path.read_bytes() == bytes(range(256)) * 9000
    kept = [item for item in path.parent.parent.rglob("*") if item.is_file()]
    assert len(kept) == 2


async def test_an_identical_repeat_gets_the_same_answer(phones: Phones) -> None:
    message_id = await submit(phones)
    await submit(phones, "later")
    first = await phones.post_envaya(POLL | {"now": NOW})
    await submit(phones, "too late for this one")
    again = await phones.post_envaya(POLL | {"now": NOW})
    assert first.content == again.content
    assert offered(first)[0]["id"] == message_id


async def test_a_recorded_poll_is_given_nothing(phones: Phones, clock: FakeClock) -> None:
    await phones.post_envaya(POLL | {"now": NOW})
    clock.advance(seconds=121)
    await submit(phones)
    assert offered(await phones.post_envaya(POLL | {"now": NOW})) == []
    earlier = str(int(NOW) - 121_000)
    assert offered(await phones.post_envaya(POLL | {"now": earlier})) == []
    assert len(offered(await phones.post_envaya(POLL | {"now": str(int(NOW) + 1)}))) == 1


async def test_a_phone_whose_clock_was_set_back_is_believed_at_its_third_poll(
    phones: Phones,
) -> None:
    await phones.post_envaya(POLL | {"now": NOW})
    await submit(phones)
    answers = [
        await phones.post_envaya(POLL | {"now": str(1_000_000_000_000 + second)})
        for second in range(3)
    ]
    assert [len(offered(answer)) for answer in answers] == [0, 0, 1]


async def test_a_wrong_signature_tells_the_same_of_known_and_unknown_numbers(
    phones: Phones,
) -> None:
    bodies = []
    for number in (NUMBER, "+255719999999"):
        fields = POLL | {"phone_number": number, "version": "30"}
        headers = {"X-Request-Signature": "wrong"}
        answer = await phones.http.post("/envaya", data=fields, headers=headers)
        assert answer.status_code == 403
        bodies.append(answer.json()["error"]["message"])
    assert bodies[0] == bodies[1]
    assert phones.url in bodies[0]


async def test_a_signature_beyond_ascii_is_only_wrong(phones: Phones) -> None:
    headers = [(b"X-Request-Signature", b"\xff\xe9")]
    answer = await phones.http.post("/envaya", data=POLL, headers=headers)
    assert answer.status_code == 403


async def test_a_message_that_claims_to_sign_for_another_number_is_refused(phones: Phones) -> None:
    other = DeviceDraft(
        "other", Protocol.ENVAYA, phone_number="+255710000077", password="another-password"
    )
    await phones.hub.devices.create(phones.project_id, other)
    answer = await phones.post_envaya(POLL | {"to": "x"}, headers={"X-Request-Signature": "AAAA"})
    assert answer.status_code == 403


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_are_refused(phones: Phones, method: str) -> None:
    answer = await phones.http.request(method, "/envaya")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.headers["content-type"].startswith("text/xml")


@pytest.mark.parametrize("path", ["/envaya/", "/p/default/envaya", "/p/default/envaya/"])
async def test_every_form_of_the_path_is_served(phones: Phones, path: str) -> None:
    url = f"http://127.0.0.1:{phones.port}{path}"
    answer = await phones.post_envaya(POLL, path=path, url=url)
    assert answer.status_code == 200


async def test_a_path_below_is_not_found(phones: Phones) -> None:
    answer = await phones.post_envaya(POLL, path="/envaya/other")
    assert (answer.status_code, b"<error>" in answer.content) == (404, True)


class TestBehindAProxy:
    """The URL typed into the phone is not the one that arrives."""

    @pytest.fixture
    def envaya_options(self) -> EnvayaOptions:
        return EnvayaOptions(
            public_urls=["https://sms.example.org/hub"],
            trusted_proxies=parse_networks(["127.0.0.0/8"]),
        )

    @pytest.mark.parametrize(
        ("url", "headers"),
        [
            ("https://sms.example.org/hub/envaya", {}),
            ("https://sms.example.org/hub/envaya/", {}),
            (
                "https://proxy.example.org/envaya",
                {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "proxy.example.org"},
            ),
            (
                "https://rfc.example.org:8443/envaya",
                {"Forwarded": 'for=10.0.0.1;proto=https;host="rfc.example.org:8443", for=x'},
            ),
        ],
        ids=["public URL", "public URL with slash", "X-Forwarded", "Forwarded"],
    )
    async def test_the_url_is_found(
        self, phones: Phones, url: str, headers: dict[str, str]
    ) -> None:
        answer = await phones.post_envaya(POLL, url=url, headers=headers)
        assert answer.status_code == 200

    async def test_the_device_s_own_url_wins(self, phones: Phones) -> None:
        url = "http://192.168.7.7:81/odd/Path?x=1#frag"
        changes = {"server_url": url}
        await phones.hub.devices.change(phones.project_id, phones.envaya.id, changes)
        assert (await phones.post_envaya(POLL, url=url)).status_code == 200


async def test_forwarded_headers_of_a_stranger_are_not_believed(phones: Phones) -> None:
    headers = {"X-Forwarded-Host": "evil.example.org", "X-Forwarded-Proto": "https"}
    answer = await phones.post_envaya(POLL, url="https://evil.example.org/envaya", headers=headers)
    assert answer.status_code == 403


async def test_a_log_of_two_megabytes_is_taken(phones: Phones) -> None:
    log = "Checking for messages\n" * 100_000
    assert (await phones.post_envaya(POLL | {"log": log})).status_code == 200


async def test_the_phone_s_facts_are_kept(phones: Phones) -> None:
    fields = POLL | {
        "battery": "41",
        "power": "2",
        "network": "WIFI",
        "settings_version": "7",
        "send_limit": "200",
        "now": "1772366405000",
    }
    agent = {"User-Agent": "EnvayaSMS/3.0.1 (Android; SDK 10; samsung; GT-S5570)"}
    await phones.post_envaya(fields, headers=agent)
    view = await phones.hub.devices.get(phones.project_id, phones.envaya.id)
    state = view.state
    assert view.online
    assert (state.battery_percent, state.power, state.network) == (41, "usb", "WIFI")
    assert (state.app_version, state.model) == ("3.0.1", "samsung GT-S5570")
    assert (state.settings_version, state.clock_skew_ms) == (7, -5 * 60 * 1000 + 305_000)
    assert view.device.effective_send_limit.segments == 200


def urlencoded(**headers: str) -> dict[str, str]:
    return {"Content-Type": "application/x-www-form-urlencoded"} | headers


MULTIPART = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"", urlencoded(), 403, id="empty"),
        pytest.param(b"{}", {"Content-Type": "application/json"}, 415, id="JSON"),
        pytest.param(b"x", {}, 415, id="no type"),
        pytest.param(b"&".join([b"a=1"] * 10_000), urlencoded(), 413, id="10,000 fields"),
        pytest.param(b"a=%zz", urlencoded(), 400, id="bad escape"),
        pytest.param(b"a=" + b"x" * 2_000_000, urlencoded(), 413, id="one huge field"),
        pytest.param(b"log=" + b"x" * 9_600_000, urlencoded(), 413, id="too large"),
        pytest.param(b"--b\r\nContent-Dis", MULTIPART, 403, id="multipart without end"),
        pytest.param(b"nothing", MULTIPART, 400, id="not multipart at all"),
        pytest.param(b"x", {"Content-Type": "multipart/form-data"}, 400, id="no boundary"),
        pytest.param(
            b"".join(
                b'--b\r\nContent-Disposition: form-data; name="f%d"\r\n\r\nx\r\n' % n
                for n in range(10_000)
            )
            + b"--b--\r\n",
            MULTIPART,
            400,
            id="10,000 parts",
        ),
    ],
)
async def test_a_bad_body_is_refused_and_changes_nothing(
    phones: Phones, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await phones.http.post("/envaya", content=body, headers=headers)
    assert answer.status_code == status
    ET.fromstring(answer.content)  # noqa: S314 - our own answer
    assert await phones.messages() == []


PART = {"name": "part0", "cid": "<1>", "type": "image/jpeg", "filename": "a.jpg"}


@pytest.mark.parametrize(
    ("fields", "files"),
    [
        pytest.param({"action": "eat"}, None, id="unknown action"),
        pytest.param({"action": ""}, None, id="no action"),
        pytest.param(SMS | {"timestamp": "soon"}, None, id="timestamp"),
        pytest.param(SMS | {"timestamp": "9" * 30}, None, id="timestamp beyond 64 bits"),
        pytest.param(SMS | {"message_type": "fax"}, None, id="unknown type"),
        pytest.param(SMS | {"from": "+1,now=5"}, None, id="comma in the sender"),
        pytest.param(SMS | {"message": "x" * 100_001}, None, id="a text too long"),
        pytest.param(SMS | {"message_type": "mms"}, None, id="MMS without parts"),
        pytest.param(
            SMS | {"message_type": "mms", "mms_parts": json.dumps([PART])},
            {"part1": ("a", b"x", "image/jpeg")},
            id="part of another name",
        ),
        pytest.param(
            SMS | {"message_type": "mms", "mms_parts": json.dumps([PART])},
            [("part0", ("a", b"x", "image/jpeg"))] * 2,
            id="part twice",
        ),
        pytest.param(
            SMS | {"message_type": "mms", "mms_parts": "[" * 900 + "]" * 900},
            {"part0": ("a", b"x", "image/jpeg")},
            id="deep JSON",
        ),
    ],
)
@pytest.mark.parametrize("version", [18, 30])
async def test_a_bad_post_is_an_error_in_the_app_s_log(
    phones: Phones, fields: dict[str, str], files: Any, version: int
) -> None:
    answer = await phones.post_envaya(fields, files=files, version=version)
    assert answer.status_code == 400
    told = (
        answer.json()["error"]["message"]
        if version == 30
        else ET.fromstring(answer.content).findtext("error")  # noqa: S314 - our own answer
    )
    assert told is not None
    assert told.endswith(".")
    assert await phones.messages() == []


async def test_a_file_beside_a_text_message_is_refused(phones: Phones) -> None:
    answer = await phones.post_envaya(SMS, files={"part0": ("a", b"x", "image/jpeg")})
    assert answer.status_code == 400


async def test_a_text_no_phone_could_read_spoils_no_answer(phones: Phones) -> None:
    async def spoil(tx: Transaction) -> None:
        await tx.execute(messages.update().values(text="a\x1b\ufffe & b"))

    for version in (2, 17, 18, 30):
        message_id = await submit(phones, "fine")
        await phones.hub.database.write(spoil)
        (given,) = offered(await phones.post_envaya(POLL, version=version))
        assert (given["id"], given["message"]) == (message_id, "a\ufffd\ufffd & b")


class TestLongPoll:
    """A poll with nothing to send is held."""

    @pytest.fixture
    def envaya_options(self) -> EnvayaOptions:
        return EnvayaOptions(long_poll_seconds=20)

    async def test_it_is_answered_the_moment_a_message_is_queued(self, phones: Phones) -> None:
        poll = asyncio.create_task(phones.post_envaya(POLL))
        await _until_held(phones)
        message_id = await submit(phones)
        assert [item["id"] for item in offered(await poll)] == [message_id]

    @pytest.mark.parametrize(
        "changes", [{"paused": True}, {"tags": ()}], ids=["paused", "without its tag"]
    )
    async def test_it_is_answered_as_the_device_is_by_then(
        self, phones: Phones, changes: dict[str, Any]
    ) -> None:
        devices, device_id = phones.hub.devices, phones.envaya.id
        await devices.change(phones.project_id, device_id, {"tags": ("clinic",)})
        poll = asyncio.create_task(phones.post_envaya(POLL))
        await _until_held(phones)
        await devices.change(phones.project_id, device_id, changes)
        draft = MessageDraft("+255710000002", "hello", route=Route(tag="clinic"))
        message = await phones.hub.outbox.submit(phones.project_id, draft)
        assert offered(await poll) == []
        assert await _status(phones, message.id) is Status.QUEUED

    async def test_a_device_that_was_removed_meanwhile_is_given_nothing(
        self, phones: Phones
    ) -> None:
        poll = asyncio.create_task(phones.post_envaya(POLL))
        await _until_held(phones)
        await phones.hub.devices.delete(phones.project_id, phones.envaya.id)
        draft = MessageDraft("+255710000002", "hello")
        message = await phones.hub.outbox.submit(phones.project_id, draft)
        assert offered(await poll) == []
        assert await _status(phones, message.id) is Status.QUEUED

    async def test_the_phone_s_clock_is_compared_when_its_post_came(
        self, phones: Phones, clock: FakeClock
    ) -> None:
        clock_ms = str(int(clock.now.timestamp() * 1000))
        poll = asyncio.create_task(phones.post_envaya(POLL | {"now": clock_ms}))
        await _until_held(phones)
        clock.advance(seconds=20)
        await submit(phones)
        assert len(offered(await poll)) == 1
        view = await phones.hub.devices.get(phones.project_id, phones.envaya.id)
        assert view.state.clock_skew_ms == 0

    async def test_a_recorded_poll_is_not_held_for_a_message_to_come(
        self, phones: Phones, clock: FakeClock
    ) -> None:
        poll = asyncio.create_task(phones.post_envaya(POLL | {"now": NOW}))
        await _until_held(phones)
        await submit(phones)
        await poll
        clock.advance(seconds=121)
        recorded = asyncio.create_task(phones.post_envaya(POLL | {"now": NOW}))
        await _until(lambda: recorded.done() or phones.hub.wakeups.waiting)
        await submit(phones)
        assert offered(await recorded) == []

    async def test_it_ends_at_once_when_the_hub_stops(self, phones: Phones) -> None:
        poll = asyncio.create_task(phones.post_envaya(POLL))
        await _until_held(phones)
        phones.hub.wakeups.stop()
        assert offered(await poll) == []

    async def test_a_phone_that_hung_up_is_given_nothing(self, phones: Phones) -> None:
        async with httpx.AsyncClient(timeout=0.3, trust_env=False) as impatient:
            hasty = replace(phones, http=impatient)
            with pytest.raises(httpx.ReadTimeout):
                await hasty.post_envaya(POLL, path=phones.url)
        await _until(lambda: not phones.hub.wakeups.waiting)
        message_id = await submit(phones)
        assert await _status(phones, message_id) is Status.QUEUED

    async def test_an_app_that_hangs_up_after_ten_seconds_is_not_held(self, phones: Phones) -> None:
        answer = await asyncio.wait_for(phones.post_envaya(POLL, version=16), 5)
        assert offered(answer) == []


async def _status(phones: Phones, message_id: str) -> Status:
    return (await phones.hub.outbox.get(phones.project_id, message_id)).message.status


async def _until_held(phones: Phones) -> None:
    await _until(lambda: phones.hub.wakeups.waiting > 0)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)
