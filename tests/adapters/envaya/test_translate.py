"""The phone's words and the hub's."""

import json
from datetime import UTC, datetime

import pytest

from gateway_hub.adapters.envaya.translate import stored_part, translate_post
from gateway_hub.adapters.envaya.wire import FilePart, MmsPart, WirePost, parse_post
from gateway_hub.domain.devices import PhoneFacts
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageType
from gateway_hub.domain.phone_posts import PhonePost, PhoneReport, QuarantineKind, StoredPart
from tests.captures import Capture, load_captures

CAPTURES = load_captures("envaya")
FORWARDED = [c for c in CAPTURES if c.entry["fields"]["action"] in ("incoming", "forward_sent")]
OTHERS = [c for c in CAPTURES if c not in FORWARDED]

SMS = {
    "action": "incoming",
    "version": "30",
    "from": "+255700000101",
    "message_type": "sms",
    "message": "hello",
    "timestamp": "1321038671000",
    "now": "1795338078006",
}
PHONE = "EnvayaSMS/3.0.1 (Android; SDK 10; samsung; GT-S5570)"
IMAGE = StoredPart("image/jpeg", "<2>", "a.jpg", 3, "a" * 64, "blob/1")
VCARD = StoredPart("text/x-vCard", None, None, 4, "b" * 64, "blob/2")


def wire_of(fields: dict[str, str]) -> WirePost:
    return parse_post(list(fields.items()), ())


def translate(
    fields: dict[str, str],
    *,
    parts: tuple[StoredPart, ...] = (),
    user_agent: str | None = PHONE,
    signature: str = "sig",
    device_id: str = "device",
) -> PhonePost:
    return translate_post(
        wire_of(fields),
        parts=parts,
        user_agent=user_agent,
        signature=signature,
        device_id=device_id,
    )


def dedupe_key(
    fields: dict[str, str], *, parts: tuple[StoredPart, ...] = (), signature: str = "sig"
) -> str:
    return translate(fields, parts=parts, signature=signature).messages[0].dedupe_key


def translate_capture(capture: Capture) -> PhonePost:
    fields = capture.entry["fields"]
    files = capture.entry["files"]
    wire = parse_post(list(fields.items()), [FilePart(f["name"], None, None) for f in files])
    parts = tuple(
        stored_part(part, size_bytes=file["size"], sha256=file["sha256"], storage_key="k")
        for part, file in zip(wire.mms_parts or (), files, strict=True)
    )
    return translate_post(
        wire,
        parts=parts,
        user_agent=capture.find_header("user-agent"),
        signature=capture.entry["signature_header"],
        device_id="device",
    )


@pytest.mark.parametrize("capture", FORWARDED, ids=lambda c: c.name)
def test_a_recorded_message_is_forwarded_as_it_was(capture: Capture) -> None:
    fields = capture.entry["fields"]
    sent_by_hand = fields["action"] == "forward_sent"

    post = translate_capture(capture)

    (message,) = post.messages
    assert message.type == ("sent" if sent_by_hand else fields.get("message_type", "sms"))
    assert message.contact == fields["to" if sent_by_hand else "from"]
    assert message.text == fields["message"]
    assert [part.sha256 for part in message.parts] == [
        file["sha256"] for file in capture.entry["files"]
    ]
    told_time = "now" in capture.entry["fields"]
    assert post.request_key == (capture.entry["signature_header"] if told_time else None)
    assert (post.reports, post.quarantined) == ((), ())


@pytest.mark.parametrize("capture", OTHERS, ids=lambda c: c.name)
def test_a_recorded_post_of_another_kind_holds_no_message(capture: Capture) -> None:
    post = translate_capture(capture)

    assert post.messages == ()
    assert post.quarantined == ()
    assert len(post.reports) == (capture.entry["fields"]["action"] == "send_status")


def test_recorded_messages_are_told_apart_by_what_makes_them_one() -> None:
    # Two of them hold the same picture from the same sender in the same second, under different
    # file names: to the protocol that is one message.
    keys = {translate_capture(capture).messages[0].dedupe_key for capture in FORWARDED}
    identities = {
        json.dumps(
            [
                [fields.get(name) for name in ("action", "message_type", "from", "to", "message")],
                fields.get("timestamp", capture.entry["signature_header"]),
                [file["sha256"] for file in capture.entry["files"]],
            ]
        )
        for capture in FORWARDED
        for fields in [capture.entry["fields"]]
    }

    assert len(keys) == len(identities)


def test_an_sms_is_dated_by_the_network() -> None:
    (message,) = translate(SMS).messages

    assert message.type is MessageType.SMS
    assert message.sms_sent_at == datetime(2011, 11, 11, 19, 11, 11, tzinfo=UTC)
    assert message.sms_received_at is None


def test_a_text_that_cannot_be_stored_is_cleaned_and_kept_as_it_came() -> None:
    (message,) = translate({**SMS, "from": "M\x00PESA", "message": "a\x00b"}).messages

    assert message.contact == "M\ufffdPESA"
    assert message.text == "a\ufffdb"
    assert message.text_original == b"a\x00b"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"now": "1795338098006"}, id="now"),
        pytest.param({"log": "1st failure; retry in 20 seconds\n"}, id="log"),
        pytest.param({"battery": "86", "power": "0", "network": "MOBILE"}, id="facts"),
        pytest.param({"phone_number": "+1"}, id="phone number"),
        pytest.param({"version": "29"}, id="version"),
        pytest.param({"age": "20000"}, id="age"),
    ],
)
def test_a_message_forwarded_again_has_the_same_key(changes: dict[str, str]) -> None:
    assert dedupe_key({**SMS, **changes}, signature="other") == dedupe_key(SMS)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"message": "hello "}, id="text"),
        pytest.param({"from": "+255 700000101"}, id="sender as written"),
        pytest.param({"timestamp": "1321038672000"}, id="timestamp"),
        pytest.param({"message_type": "call"}, id="type"),
        pytest.param({"from": "+2557000001011", "message": "ello"}, id="cut elsewhere"),
    ],
)
def test_another_message_has_another_key(changes: dict[str, str]) -> None:
    assert dedupe_key({**SMS, **changes}) != dedupe_key(SMS)


def test_the_same_message_sent_and_received_has_two_keys() -> None:
    sent = {**SMS, "action": "forward_sent", "to": SMS["from"]}

    assert dedupe_key(sent) != dedupe_key(SMS)


def test_the_key_is_stable() -> None:
    # Stored keys outlive a release: the items, each after its length in four bytes, through
    # sha256sum.
    assert dedupe_key(SMS) == "a82c9489a767c04dba355624571eec576b0e5088ddb5b14c6ff71417d386882a"


def test_messages_of_two_devices_have_two_keys() -> None:
    one, other = (translate(SMS, device_id=device).messages[0] for device in ("a", "b"))

    assert one.dedupe_key != other.dedupe_key


def test_parts_are_part_of_an_mms() -> None:
    lists = [(), (IMAGE,), (VCARD,), (IMAGE, VCARD), (VCARD, IMAGE), (IMAGE, IMAGE)]

    assert len({dedupe_key(SMS, parts=parts) for parts in lists}) == len(lists)


def test_the_labels_of_a_part_do_not_name_a_message() -> None:
    # The app makes a new file name up at each try where the sender gave none.
    relabelled = StoredPart("image/jpeg", None, "b.jpg", 3, "a" * 64, "blob/9")

    assert dedupe_key(SMS, parts=(IMAGE,)) == dedupe_key(SMS, parts=(relabelled,))


@pytest.mark.parametrize("timestamp", [{}, {"timestamp": ""}])
def test_without_a_timestamp_only_the_same_bytes_are_one_message(timestamp: dict[str, str]) -> None:
    fields = {key: value for key, value in SMS.items() if key != "timestamp"} | timestamp

    assert dedupe_key(fields, signature="one") == dedupe_key(fields, signature="one")
    assert dedupe_key(fields, signature="one") != dedupe_key(fields, signature="two")
    assert translate(fields).messages[0].sms_sent_at is None


def report(status: str, error: str = "", wire_id: str = "abc-123") -> PhonePost:
    return translate({"action": "send_status", "id": wire_id, "status": status, "error": error})


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        pytest.param("sent", "", (Status.SENT, None, True), id="sent"),
        pytest.param(
            "cancelled",
            "deleted by user",
            (Status.CANCELLED, "deleted by user", True),
            id="cancelled",
        ),
        pytest.param("failed", "no service", (Status.FAILED, "no service", False), id="a try"),
        pytest.param("failed", "", (Status.FAILED, None, False), id="no reason"),
        pytest.param(
            "failed",
            "Timeout while attempting to send message",
            (Status.FAILED, "Timeout while attempting to send message", False),
            id="time-out",
        ),
        pytest.param("queued", "", (None, None, True), id="queued"),
        pytest.param("SENT", "", (None, None, True), id="capitals"),
        pytest.param("", "", (None, None, True), id="no status"),
    ],
)
def test_a_report_says_what_became_of_a_message(
    status: str, error: str, expected: tuple[Status | None, str | None, bool]
) -> None:
    (said,) = report(status, error).reports

    assert (said.wire_id, said.raw_status) == ("abc-123", status)
    assert (said.status, said.reason, said.gives_up) == expected


@pytest.mark.parametrize(
    ("error", "final"),
    [
        ("Message body is empty", True),
        ("Destination address is empty", True),
        ("Destination address is not allowed", True),
        ("Message has too many parts (105)", True),
        ("Message has too many parts", False),
        ("Message body is empty, or so", False),
    ],
)
def test_only_a_validation_error_is_the_last_try(error: str, final: bool) -> None:
    assert report("failed", error).reports[0].gives_up is final


@pytest.mark.parametrize(
    "wire_id", [pytest.param("", id="empty"), pytest.param("x" * 256, id="long")]
)
def test_a_report_that_can_be_of_no_message_is_put_aside(wire_id: str) -> None:
    post = report("sent", "\x00", wire_id)

    (item,) = post.quarantined
    assert post.reports == ()
    assert item.kind is QuarantineKind.INVALID_REPORT
    assert json.loads(item.raw) == {"id": wire_id, "status": "sent", "error": "\x00"}


def test_what_a_report_says_is_made_fit_to_be_stored() -> None:
    assert report("s" * 99, "e" * 2000, "a\x00b").reports == (
        PhoneReport("a\ufffdb", None, "s" * 64, "e" * 500),
    )


def test_a_phone_tells_of_itself() -> None:
    fields = {
        "action": "outgoing",
        "version": "30",
        "battery": "87",
        "power": "4",
        "network": "WIFI",
        "settings_version": "3",
        "send_limit": "100",
        "now": "1795338078006",
    }

    assert translate(fields).facts == PhoneFacts(
        app_version="3.0.1",
        model="samsung GT-S5570",
        battery_percent=87,
        power="wireless",
        network="WIFI",
        settings_version=3,
        send_limit_segments=100,
        phone_clock_at=datetime(2026, 11, 22, 9, 1, 18, 6000, tzinfo=UTC),
        takes_commands=True,
    )


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({}, id="absent"),
        pytest.param(dict.fromkeys(["battery", "power", "network", "now"], ""), id="empty"),
        pytest.param({"battery": "101", "power": "3"}, id="out of range"),
        pytest.param({"send_limit": "0", "settings_version": "2147483648"}, id="no app's integer"),
        pytest.param({"send_limit": "2147483648"}, id="too large a limit"),
        pytest.param({"now": "253402300800000"}, id="clock beyond 9999"),
    ],
)
def test_what_makes_no_sense_is_not_told(facts: dict[str, str]) -> None:
    assert translate({"action": "outgoing", **facts}, user_agent=None).facts == PhoneFacts()


@pytest.mark.parametrize(
    ("fields", "started"),
    [
        ({"log": "[9:01 AM]\nChecking for outgoing messages every 60 sec\n"}, True),
        ({"log": "[9:01 AM]\nNot checking for outgoing messages.\nReceived SMS\n"}, True),
        ({"log": "[9:01 AM]\nChecking for outgoing messages\n"}, False),
        ({"log": "[9:01 AM]\nChecking for messages\n"}, False),
        ({"log": ""}, False),
        ({"action": "amqp_started", "consumer_tag": "x"}, True),
    ],
)
def test_a_start_of_the_app_is_read_from_its_log(fields: dict[str, str], started: bool) -> None:
    facts = translate({"action": "outgoing", "version": "30", **fields}).facts
    assert facts.has_started is started


def test_a_long_network_name_is_cut() -> None:
    assert translate({"action": "test", "network": "\x00" + "x" * 40}).facts.network == (
        "\ufffd" + "x" * 31
    )


@pytest.mark.parametrize(
    ("user_agent", "app_version", "model"),
    [
        (PHONE, "3.0.1", "samsung GT-S5570"),
        (
            "EnvayaSMS/3.0.1 (Android; SDK 10; samsung; Nexus 5 (x86); test/1.0)",
            "3.0.1",
            "samsung Nexus 5 (x86); test/1.0",
        ),
        ("EnvayaSMS/2.0.4", "2.0.4", None),
        ("EnvayaSMS/2.0.4 (Android; SDK x; a; b)", "2.0.4", None),
        ("EnvayaSMS/3.0.1 (Android; SDK 10; " + "x" * 300 + ")", "3.0.1", "x" * 255),
        ("Mozilla/5.0 (X11; Linux x86_64) EnvayaSMS/1", "30", None),
        ("", "30", None),
        (None, "30", None),
    ],
)
def test_app_and_model_are_read_from_the_user_agent(
    user_agent: str | None, app_version: str, model: str | None
) -> None:
    facts = translate({"action": "test", "version": "30"}, user_agent=user_agent).facts

    assert (facts.app_version, facts.model) == (app_version, model)


@pytest.mark.parametrize(
    ("status", "told", "power"),
    [
        ("power_disconnected", "1", "none"),
        ("power_disconnected", "", "none"),
        ("power_connected", "2", "usb"),
        ("power_connected", "0", None),
        ("power_connected", "", None),
        ("battery_low", "1", "ac"),
        ("send_limit_exceeded", "0", "none"),
    ],
)
def test_a_device_status_is_newer_than_the_power_beside_it(
    status: str, told: str, power: str | None
) -> None:
    facts = translate({"action": "device_status", "status": status, "power": told}).facts

    assert (facts.status, facts.power) == (status, power)


def test_the_status_of_another_action_is_not_the_phones() -> None:
    assert report("power_disconnected").facts.status is None
    assert translate({"action": "amqp_started", "status": "ctag-1"}).facts.status is None


@pytest.mark.parametrize(
    ("action", "version", "takes"),
    [("outgoing", "2", True), ("device_status", "18", False), ("device_status", "30", True)],
)
def test_a_post_says_whether_messages_may_be_in_its_answer(
    action: str, version: str, takes: bool
) -> None:
    assert translate({"action": action, "version": version}).takes_work is takes


def test_the_labels_of_a_part_are_made_fit_to_be_stored() -> None:
    part = stored_part(
        MmsPart("part0", "", "", "../\x00" + "x" * 300),
        size_bytes=1,
        sha256="c" * 64,
        storage_key="blob/3",
    )

    assert part == StoredPart(
        content_type="application/octet-stream",
        content_id=None,
        filename="../\ufffd" + "x" * 251,
        size_bytes=1,
        sha256="c" * 64,
        storage_key="blob/3",
    )
