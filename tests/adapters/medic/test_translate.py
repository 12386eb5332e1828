"""From the CHT gateway's words to the hub's, item by item."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_hub.adapters.medic.translate import parse_user_agent, translate_post
from gateway_hub.adapters.medic.wire import WirePost, parse_post
from gateway_hub.domain.devices import PhoneFacts
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageType
from gateway_hub.domain.phone_posts import (
    ForwardedMessage,
    PhonePost,
    PhoneReport,
    QuarantinedItem,
    QuarantineKind,
)
from tests.captures import Capture, get_capture, load_captures

POSTS = [c for c in load_captures("medic") if c.method == "POST"]
SMS = {"id": "a", "from": "+255700000101", "content": "x", "sms_sent": 1, "sms_received": 2}
UPDATE = {"id": "a", "status": "SENT"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECORDED_AGENT = (
    "Dalvik/2.1.0 (Linux; U; Android 9; SM-A105F Build/PPR1.180610.011) "
    "medic.gateway.alert.generic/v1.8.1"
)


def translate(
    *, messages: list[object] | None = None, updates: list[object] | None = None
) -> PhonePost:
    return translate_post(WirePost(messages or [], updates or []), facts=PhoneFacts())


def translate_capture(name: str) -> PhonePost:
    return translate_post(parse_post(get_capture("medic", name).body), facts=PhoneFacts())


def take_message(**changes: object) -> ForwardedMessage:
    post = translate(messages=[{**SMS, **changes}])
    assert not post.quarantined
    return post.messages[0]


def take_report(**changes: object) -> PhoneReport:
    post = translate(updates=[{**UPDATE, **changes}])
    assert not post.quarantined
    return post.reports[0]


@pytest.mark.parametrize("capture", POSTS, ids=lambda c: c.name)
def test_nothing_a_real_phone_posts_is_put_aside(capture: Capture) -> None:
    post = translate_post(parse_post(capture.body), facts=PhoneFacts())
    sent = capture.entry["json"]
    assert post.quarantined == ()
    assert [(m.dedupe_key, m.contact, m.text) for m in post.messages] == [
        (m["id"], m["from"], m["content"].replace("\0", "\ufffd")) for m in sent["messages"]
    ]
    assert [(r.wire_id, r.raw_status, r.reason) for r in post.reports] == [
        (u["id"], u["status"], u.get("reason")) for u in sent["updates"]
    ]
    assert all(r.status is not None for r in post.reports)


def test_a_recorded_sms_becomes_a_message() -> None:
    assert translate_capture("sms_ascii").messages == (
        ForwardedMessage(
            type=MessageType.SMS,
            contact="+255700000201",
            text="Hello world",
            dedupe_key="wt-ascii",
            sms_sent_at=datetime(2011, 11, 11, 19, 11, 11, tzinfo=UTC),
            sms_received_at=datetime(2011, 11, 11, 19, 11, 12, 345_000, tzinfo=UTC),
        ),
    )


def test_a_hidden_sender_and_an_empty_text_are_taken() -> None:
    assert translate_capture("sms_empty_sender").messages[0].contact == ""
    assert translate_capture("sms_empty").messages[0].text == ""


def test_a_character_no_database_takes_is_replaced_and_the_original_kept() -> None:
    message = translate_capture("sms_control_chars").messages[0]
    assert message.text == "a\x01b\ufffdc\x1fd\x7fe\u2028f\u2029g"
    assert message.text_original == "a\x01b\0c\x1fd\x7fe\u2028f\u2029g".encode()


def test_half_an_emoji_costs_neither_its_message_nor_the_batch() -> None:
    body = b'{"messages":[{"id":"1","from":"\\udc00x","content":"hi \\ud83d"}]}'
    message = translate_post(parse_post(body), facts=PhoneFacts()).messages[0]
    assert (message.contact, message.text) == ("\ufffdx", "hi \ufffd")
    assert message.text_original == b"hi \xed\xa0\xbd"


def test_a_clean_text_has_no_other_original() -> None:
    assert take_message(content="Habari 😀").text_original is None


def test_a_batch_keeps_its_order() -> None:
    post = translate_capture("messages_and_updates")
    assert [m.dedupe_key for m in post.messages] == ["x-0", "x-1", "x-2"]
    sent = get_capture("medic", "messages_and_updates").entry["json"]["updates"]
    assert [r.wire_id for r in post.reports] == [update["id"] for update in sent]


def test_a_repeated_item_is_kept_as_often_as_it_came() -> None:
    post = translate(messages=[SMS, SMS], updates=[UPDATE, UPDATE])
    assert len(post.messages) == len(post.reports) == 2
    assert post.messages[0] == post.messages[1]


def test_every_post_takes_work_and_carries_the_facts_given() -> None:
    facts = PhoneFacts(app_version="1.8.1", model="SM-A105F")
    post = translate_post(WirePost([], []), facts=facts)
    assert post == PhonePost(facts=facts, takes_work=True, request_key=None)


@pytest.mark.parametrize(
    ("given_id", "key"),
    [("a", "a"), ("x" * 255, "x" * 255), (17, "17"), (2**64, "18446744073709551616"), (" ", " ")],
    ids=["text", "longest", "number", "large number", "space"],
)
def test_an_id_is_a_string_or_a_whole_number(given_id: object, key: str) -> None:
    assert take_message(id=given_id).dedupe_key == key
    assert take_report(id=given_id).wire_id == key


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        pytest.param(1321038672345, EPOCH + timedelta(milliseconds=1321038672345), id="number"),
        pytest.param("1321038672345", EPOCH + timedelta(milliseconds=1321038672345), id="digits"),
        pytest.param(1.5e12, EPOCH + timedelta(milliseconds=1_500_000_000_000), id="whole float"),
        pytest.param(1, EPOCH + timedelta(milliseconds=1), id="first"),
        pytest.param(
            253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), id="last"
        ),
        pytest.param(0, None, id="zero"),
        pytest.param("0", None, id="zero as digits"),
        pytest.param(None, None, id="null"),
    ],
)
def test_a_time_is_in_milliseconds_and_zero_is_none(value: object, moment: datetime | None) -> None:
    message = take_message(sms_sent=value, sms_received=value)
    assert message.sms_sent_at == message.sms_received_at == moment


def test_a_message_without_times_is_taken() -> None:
    post = translate(messages=[{"id": "a", "from": "", "content": ""}])
    assert post.messages == (
        ForwardedMessage(type=MessageType.SMS, contact="", text="", dedupe_key="a"),
    )


BAD_IDS = [
    pytest.param({"id": None}, "id", id="null id"),
    pytest.param({"id": ""}, "id", id="empty id"),
    pytest.param({"id": True}, "id", id="boolean id"),
    pytest.param({"id": 1.5}, "id", id="fractional id"),
    pytest.param({"id": ["a"]}, "id", id="list id"),
    pytest.param({"id": "x" * 256}, "id", id="long id"),
    pytest.param({"id": 10**255}, "id", id="long number as id"),
    pytest.param({"id": "a\0"}, "id", id="NUL in id"),
    pytest.param({"id": "\ud83d"}, "id", id="half an emoji in id"),
]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *BAD_IDS,
        pytest.param({"from": None}, "from", id="null from"),
        pytest.param({"from": 255700000101}, "from", id="number from"),
        pytest.param({"from": "1" * 256}, "from", id="long from"),
        pytest.param({"content": None}, "content", id="null content"),
        pytest.param({"content": 5}, "content", id="number content"),
        pytest.param({"content": "x" * 100_001}, "content", id="long content"),
        pytest.param({"sms_sent": True}, "sms_sent", id="boolean time"),
        pytest.param({"sms_sent": 1.5}, "sms_sent", id="fractional time"),
        pytest.param({"sms_sent": -1}, "sms_sent", id="negative time"),
        pytest.param({"sms_sent": "-1"}, "sms_sent", id="negative digits"),
        pytest.param({"sms_sent": ""}, "sms_sent", id="empty time"),
        pytest.param({"sms_sent": "١٣"}, "sms_sent", id="digits of another script"),
        pytest.param({"sms_sent": "9" * 5000}, "sms_sent", id="5000 digits"),
        pytest.param({"sms_sent": {}}, "sms_sent", id="object time"),
        pytest.param({"sms_received": 253_402_300_800_000}, "sms_received", id="year 10000"),
        pytest.param({"sms_received": 2**63}, "sms_received", id="beyond 64 bits"),
        pytest.param({"sms_received": 1e300}, "sms_received", id="huge float"),
    ],
)
def test_a_bad_message_is_put_aside_and_costs_only_itself(
    changes: dict[str, object], field: str
) -> None:
    post = translate(messages=[SMS, {**SMS, **changes}, {**SMS, "id": "b"}], updates=[UPDATE])
    assert [m.dedupe_key for m in post.messages] == ["a", "b"]
    assert len(post.reports) == 1
    (bad,) = post.quarantined
    assert bad.kind is QuarantineKind.INVALID_MESSAGE
    assert bad.detail.startswith(field)


@pytest.mark.parametrize("name", ["id", "from", "content"])
def test_a_message_without_a_required_field_is_put_aside(name: str) -> None:
    post = translate(messages=[{key: value for key, value in SMS.items() if key != name}])
    assert [bad.kind for bad in post.quarantined] == [QuarantineKind.INVALID_MESSAGE]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("UNSENT", Status.ACCEPTED),
        ("PENDING", Status.PENDING),
        ("SENT", Status.SENT),
        ("DELIVERED", Status.DELIVERED),
        ("FAILED", Status.FAILED),
    ],
)
def test_a_status_word_has_one_meaning(word: str, status: Status) -> None:
    assert take_report(status=word) == PhoneReport(
        wire_id="a", status=status, raw_status=word, reason=None, gives_up=True
    )


@pytest.mark.parametrize("word", ["sent", "", "RECEIVED", "SENT "])
def test_an_unknown_status_is_kept_as_a_report_without_meaning(word: str) -> None:
    report = take_report(status=word)
    assert (report.status, report.raw_status) == (None, word)


def test_a_strange_status_is_cut_and_cleaned() -> None:
    assert take_report(status="\0" + "S" * 100).raw_status == "\ufffd" + "S" * 63


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        pytest.param("generic; errorCode=38", "generic; errorCode=38", id="text"),
        pytest.param(None, None, id="null"),
        pytest.param("", "", id="empty"),
        pytest.param(38, "38", id="number"),
        pytest.param({"code": [1, None]}, '{"code":[1,null]}', id="object"),
        pytest.param("x" * 501, "x" * 500, id="long"),
        pytest.param(["x" * 600], '["' + "x" * 498, id="long list"),
        pytest.param("a\0\ud83d", "a\ufffd\ufffd", id="unstorable"),
    ],
)
def test_a_reason_of_any_shape_is_kept_as_text(reason: object, kept: str | None) -> None:
    assert take_report(status="FAILED", reason=reason).reason == kept


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *BAD_IDS,
        pytest.param({"status": None}, "status", id="null status"),
        pytest.param({"status": 3}, "status", id="number status"),
        pytest.param({"status": ["SENT"]}, "status", id="list status"),
    ],
)
def test_a_bad_update_is_put_aside_and_costs_only_itself(
    changes: dict[str, object], field: str
) -> None:
    post = translate(updates=[{**UPDATE, **changes}, {"id": "b", "status": "SENT"}])
    assert [r.wire_id for r in post.reports] == ["b"]
    (bad,) = post.quarantined
    assert bad.kind is QuarantineKind.INVALID_REPORT
    assert bad.detail.startswith(field)


@pytest.mark.parametrize("item", [None, 5, "SENT", [], [UPDATE]], ids=repr)
def test_an_item_that_is_no_object_is_put_aside_as_it_came(item: object) -> None:
    raw = json.dumps(item, separators=(",", ":"))
    assert translate(messages=[item], updates=[item]).quarantined == (
        QuarantinedItem(QuarantineKind.INVALID_MESSAGE, "item is not an object", raw),
        QuarantinedItem(QuarantineKind.INVALID_REPORT, "item is not an object", raw),
    )


def test_what_is_put_aside_can_be_stored_and_stays_short() -> None:
    items: list[object] = [{"content": "é\0\ud83d"}, {"content": "x" * 50_000}]
    short, long = translate(messages=items).quarantined
    assert short.raw == '{"content":"é\\u0000\ufffd"}'
    assert len(long.raw) == 16_384


def test_a_reason_for_putting_aside_repeats_nothing_of_the_item() -> None:
    (bad,) = translate(messages=[{**SMS, "sms_sent": "s3cret"}]).quarantined
    assert "s3cret" not in bad.detail


def test_an_item_nested_too_deeply_to_print_is_put_aside() -> None:
    deep: object = "x"
    for _ in range(100_000):
        deep = [deep]
    post = translate(messages=[deep], updates=[{**UPDATE, "reason": deep}])
    assert [bad.kind for bad in post.quarantined] == [QuarantineKind.INVALID_MESSAGE]
    assert post.reports[0].status is Status.SENT


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ITEMS = VALUES | st.fixed_dictionaries(
    {"id": VALUES | st.text(min_size=1)},
    optional={
        "from": VALUES | st.text(),
        "content": VALUES | st.text(),
        "sms_sent": VALUES,
        "sms_received": VALUES | st.integers(0, 2**64),
        "status": VALUES | st.sampled_from(["SENT", "FAILED", "?"]),
        "reason": VALUES,
    },
)


@given(st.lists(ITEMS, max_size=5), st.lists(ITEMS, max_size=5))
def test_every_item_is_taken_or_put_aside_and_can_be_stored(
    messages: list[object], updates: list[object]
) -> None:
    post = translate(messages=messages, updates=updates)
    kinds = [bad.kind for bad in post.quarantined]
    assert len(post.messages) + kinds.count(QuarantineKind.INVALID_MESSAGE) == len(messages)
    assert len(post.reports) + kinds.count(QuarantineKind.INVALID_REPORT) == len(updates)
    texts = [bad.raw for bad in post.quarantined]
    texts += [text for m in post.messages for text in (m.contact, m.text, m.dedupe_key)]
    texts += [text for r in post.reports for text in (r.wire_id, r.raw_status, r.reason or "")]
    assert not any("\0" in text for text in texts)
    "".join(texts).encode("utf-8")


def test_a_recorded_agent_tells_app_version_and_model() -> None:
    agent = get_capture("medic", "sms_ascii").find_header("User-Agent")
    assert agent == RECORDED_AGENT
    assert parse_user_agent(agent) == ("1.8.1", "SM-A105F")


@pytest.mark.parametrize(
    ("agent", "facts"),
    [
        pytest.param(None, (None, None), id="none"),
        pytest.param("", (None, None), id="empty"),
        pytest.param("curl/8.5.0", (None, None), id="a tool"),
        pytest.param(
            "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
            (None, None),
            id="a browser",
        ),
        pytest.param(
            "Dalvik/2.1.0 (Linux; U; Android 10; moto g(8) plus Build/Q1) a.b/v2.0-beta",
            ("2.0-beta", "moto g(8) plus"),
            id="parentheses in the model",
        ),
        pytest.param(
            "Dalvik/2.1.0 (Linux; U; Android 9 Build/P) a.b/1", ("1", None), id="no model"
        ),
        pytest.param("Dalvik/2.1.0 (Linux; U; Android 9; X) a.b/1", ("1", "X"), id="no build"),
        pytest.param("Dalvik/2.1.0 (Linux; U; Android 9; X Build/P)", (None, None), id="no app"),
        pytest.param("Java/17.0.2 a.b/version", ("version", None), id="version in words"),
        pytest.param("x a.b/v", ("v", None), id="version v"),
        pytest.param("x a.b/", (None, None), id="empty version"),
        pytest.param("x a.b/1\x00\x1f2", ("12", None), id="control characters"),
        pytest.param("x a.b/" + "1" * 100, ("1" * 64, None), id="long version"),
        pytest.param("(" * 100_000, (None, None), id="absurdly long"),
    ],
)
def test_an_agent_tells_what_it_can(
    agent: str | None, facts: tuple[str | None, str | None]
) -> None:
    assert parse_user_agent(agent) == facts


@given(st.text() | st.text("()/; .vABuildndro19"))
def test_any_agent_can_be_read(agent: str) -> None:
    for fact in parse_user_agent(agent):
        assert fact is None or (fact.isprintable() and 0 < len(fact) <= 64)
