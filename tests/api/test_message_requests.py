"""What a message to be sent, and a question for messages, may and may not hold."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from gateway_hub.api.message_requests import SendMessageRequest
from gateway_hub.api.refused_fields import to_fields
from gateway_hub.domain.messages import MessageDraft, Route
from tests.api.clients import problem_of, refused_fields

GOOD: dict[str, Any] = {"to": "+255712345678", "text": "Habari"}
CANARY = "canary-4711"


def _refused(body: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        SendMessageRequest.model_validate(body)
    return [(field.pointer, field.code) for field in to_fields(caught.value.errors(), skip=0)]


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        pytest.param({"to": ""}, "/to", "too_short", id="empty recipient"),
        pytest.param({"to": "1" * 65}, "/to", "too_long", id="long recipient"),
        pytest.param({"to": None}, "/to", "wrong_type", id="null recipient"),
        pytest.param({"to": 255712345678}, "/to", "wrong_type", id="recipient as a number"),
        pytest.param({"to": ["1"]}, "/to", "wrong_type", id="several recipients"),
        pytest.param({"to": "1\x00"}, "/to", "unstorable_character", id="NUL in recipient"),
        pytest.param({"text": ""}, "/text", "too_short", id="empty text"),
        pytest.param({"text": "x" * 16_001}, "/text", "too_long", id="long text"),
        pytest.param({"text": 7}, "/text", "wrong_type", id="text as a number"),
        pytest.param({"text": "a\x00b"}, "/text", "unstorable_character", id="NUL"),
        pytest.param({"text": "a\ud83d"}, "/text", "unstorable_character", id="high surrogate"),
        pytest.param({"text": "\ude00b"}, "/text", "unstorable_character", id="low surrogate"),
        pytest.param({"transliterate": "true"}, "/transliterate", "wrong_type", id="word"),
        pytest.param({"transliterate": None}, "/transliterate", "wrong_type", id="null for a bool"),
        pytest.param({"route": {}}, "/route", "one_of", id="empty route"),
        pytest.param({"route": {"tag": None}}, "/route", "one_of", id="null route"),
        pytest.param(
            {"route": {"tag": "a", "device_id": "b"}}, "/route", "one_of", id="both routes"
        ),
        pytest.param({"route": "a"}, "/route", "wrong_type", id="route as text"),
        pytest.param({"route": {"tag": "a b"}}, "/route/tag", "malformed", id="space in tag"),
        pytest.param({"route": {"tag": "a\n"}}, "/route/tag", "malformed", id="line end in tag"),
        pytest.param({"route": {"tag": "é"}}, "/route/tag", "malformed", id="letter in tag"),
        pytest.param({"route": {"tag": "x" * 65}}, "/route/tag", "malformed", id="long tag"),
        pytest.param({"route": {"tag": "a", "x": 1}}, "/route/x", "unknown_field", id="in route"),
        pytest.param(
            {"route": {"device_id": "\x00"}},
            "/route/device_id",
            "unstorable_character",
            id="NUL in route",
        ),
        pytest.param({"priority": 1001}, "/priority", "out_of_range", id="high priority"),
        pytest.param({"priority": -1001}, "/priority", "out_of_range", id="low priority"),
        pytest.param({"priority": 2**63}, "/priority", "out_of_range", id="beyond int64"),
        pytest.param({"priority": 10**400}, "/priority", "out_of_range", id="beyond float"),
        pytest.param({"priority": "5"}, "/priority", "wrong_type", id="priority as text"),
        pytest.param({"priority": 5.5}, "/priority", "wrong_type", id="half a number"),
        pytest.param({"priority": 1e300}, "/priority", "out_of_range", id="beyond any"),
        pytest.param({"priority": True}, "/priority", "wrong_type", id="priority as bool"),
        pytest.param({"priority": None}, "/priority", "wrong_type", id="null priority"),
        pytest.param({"max_attempts": 0}, "/max_attempts", "out_of_range", id="no attempt"),
        pytest.param({"max_attempts": 11}, "/max_attempts", "out_of_range", id="many attempts"),
        pytest.param({"if_uncertain": "maybe"}, "/if_uncertain", "not_allowed", id="policy"),
        pytest.param({"if_uncertain": "WAIT"}, "/if_uncertain", "not_allowed", id="upper case"),
        pytest.param({"send_at": "2026-01-31T12:00:00"}, "/send_at", "not_a_time", id="naive time"),
        pytest.param({"send_at": 1769860800}, "/send_at", "not_a_time", id="time as a number"),
        pytest.param({"expires_at": "soon"}, "/expires_at", "not_a_time", id="no time"),
        pytest.param({"expires_at": ""}, "/expires_at", "not_a_time", id="empty time"),
        pytest.param({"reference": ""}, "/reference", "too_short", id="empty reference"),
        pytest.param({"reference": "x" * 256}, "/reference", "too_long", id="long reference"),
        pytest.param({"metadata": []}, "/metadata", "wrong_type", id="metadata as a list"),
        pytest.param({"metadata": None}, "/metadata", "wrong_type", id="null metadata"),
        pytest.param({"metadata": {"a": 1}}, "/metadata/a", "wrong_type", id="number in metadata"),
        pytest.param(
            {"metadata": {str(n): "" for n in range(51)}}, "/metadata", "too_long", id="51 keys"
        ),
        pytest.param({"metadata": {"": "x"}}, "/metadata/", "too_short", id="empty key"),
        pytest.param(
            {"metadata": {"k" * 65: "x"}}, "/metadata/" + "k" * 64, "too_long", id="long key"
        ),
        pytest.param({"metadata": {"k": "x" * 501}}, "/metadata/k", "too_long", id="long value"),
        pytest.param(
            {"metadata": {"k": "\x00"}}, "/metadata/k", "unstorable_character", id="NUL in value"
        ),
        pytest.param(
            {"metadata": {"\ud83d": "x"}}, "/metadata/?", "unstorable_character", id="half a key"
        ),
        pytest.param(
            {"metadata": {"a/b~c": "\x00"}},
            "/metadata/a~1b~0c",
            "unstorable_character",
            id="pointer escapes",
        ),
        pytest.param({"from": "+255"}, "/from", "unknown_field", id="a field of answers"),
        pytest.param({"status": "sent"}, "/status", "unknown_field", id="status"),
        pytest.param({"project_id": "x"}, "/project_id", "unknown_field", id="project"),
        pytest.param({"\ud83d": 1}, "/?", "unstorable_character", id="half a name"),
        pytest.param(
            {"x": [{"y": "\x00"}]}, "/x/0/y", "unstorable_character", id="deep in an unknown field"
        ),
    ],
)
def test_a_bad_field_is_named_and_nothing_else(
    fields: dict[str, Any], pointer: str, code: str
) -> None:
    assert _refused({**GOOD, **fields}) == [(pointer, code)]


@pytest.mark.parametrize("body", [None, [], "text", 7, True], ids=repr)
def test_what_is_no_object_is_refused_as_a_whole(body: Any) -> None:
    assert [pointer for pointer, _ in _refused(body)] == [""]


def test_all_bad_fields_are_named_at_once() -> None:
    body = {"priority": 5000, "metadata": {"k": 1}, "x": 1}
    assert _refused(body) == [
        ("/to", "required"),
        ("/text", "required"),
        ("/priority", "out_of_range"),
        ("/metadata/k", "wrong_type"),
        ("/x", "unknown_field"),
    ]


def test_everything_that_may_be_said_is_understood() -> None:
    body = {
        "to": "1" * 64,
        "text": "x" * 16_000,
        "route": {"device_id": None, "tag": "Tag_1.a-b"},
        "priority": -1000,
        "send_at": None,
        "expires_at": None,
        "max_attempts": 10,
        "if_uncertain": "resend",
        "reference": "r" * 255,
        "metadata": {f"{n:064}": "é" * 500 for n in range(50)},
    }
    draft = SendMessageRequest.model_validate(body).to_draft()
    assert draft.route == Route(tag="Tag_1.a-b")
    assert (draft.priority, draft.max_attempts, draft.if_uncertain) == (-1000, 10, "resend")
    assert draft.metadata == body["metadata"]
    assert SendMessageRequest.model_validate(GOOD).to_draft() == MessageDraft(**GOOD)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({**GOOD, "to": CANARY}, id="recipient"),
        pytest.param({**GOOD, "route": {"device_id": CANARY}}, id="device"),
        pytest.param({**GOOD, "text": CANARY + "\x00"}, id="text"),
        pytest.param({**GOOD, "text": CANARY + "\u0001"}, id="text no phone can carry"),
        pytest.param({**GOOD, "text": CANARY * 1500}, id="long text"),
        pytest.param({**GOOD, "priority": CANARY}, id="priority"),
        pytest.param({**GOOD, "send_at": CANARY}, id="time"),
        pytest.param({**GOOD, "if_uncertain": CANARY}, id="policy"),
        pytest.param({**GOOD, "metadata": {"k": [CANARY]}}, id="metadata"),
        pytest.param({**GOOD, "more": CANARY}, id="unknown field"),
        pytest.param([CANARY], id="no object"),
    ],
)
async def test_a_refusal_never_repeats_what_was_given(shared: httpx.AsyncClient, body: Any) -> None:
    answer = await shared.post("/v1/messages", json=body)
    assert answer.status_code == 422
    assert CANARY not in answer.text


async def test_a_whole_number_may_be_written_with_a_point(admin: httpx.AsyncClient) -> None:
    """To JSON, and so to the description of the API, 5.0 is an integer."""
    body = {"to": "+255712345678", "text": "Habari", "priority": 5.0}
    assert (await admin.post("/v1/messages", json=body)).json()["priority"] == 5


async def test_a_thousand_errors_are_not_all_told(shared: httpx.AsyncClient) -> None:
    answer = await shared.post("/v1/messages", json={f"field-{n}": n for n in range(1000)})
    assert len(refused_fields(answer)) == 50


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        pytest.param("limits=5", "/limits", "unknown_field", id="unknown parameter"),
        pytest.param("status=lost", "/status", "not_allowed", id="unknown status"),
        pytest.param("status=", "/status", "not_allowed", id="empty status"),
        pytest.param("direction=up", "/direction", "not_allowed", id="direction"),
        pytest.param("type=fax", "/type", "not_allowed", id="type"),
        pytest.param("tag=a%20b", "/tag", "malformed", id="tag"),
        pytest.param("q=", "/q", "too_short", id="empty search"),
        pytest.param("q=" + "x" * 201, "/q", "too_long", id="long search"),
        pytest.param("q=%00", "/q", "unstorable_character", id="NUL in search"),
        pytest.param("contact=a%00", "/contact", "unstorable_character", id="NUL in contact"),
        pytest.param("contact=", "/contact", "too_short", id="empty contact"),
        pytest.param("reference=%00", "/reference", "unstorable_character", id="NUL reference"),
        pytest.param("device_id=%00", "/device_id", "unstorable_character", id="NUL device"),
        pytest.param("cursor=%00", "/cursor", "unstorable_character", id="NUL in cursor"),
        pytest.param("%00=1", "/\x00", "unstorable_character", id="NUL in a name"),
        pytest.param("created_after=yesterday", "/created_after", "not_a_time", id="no time"),
        pytest.param(
            "created_before=2026-01-31T12:00:00%2B99:00", "/created_before", "not_a_time", id="zone"
        ),
        pytest.param("status=sent&status=failed", "/status", "repeated", id="two values"),
        pytest.param("limit=5&limit=5", "/limit", "repeated", id="twice the same"),
    ],
)
async def test_a_bad_parameter_is_named(
    shared: httpx.AsyncClient, query: str, pointer: str, code: str
) -> None:
    assert refused_fields(await shared.get(f"/v1/messages?{query}")) == [(pointer, code)]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/messages/{}",
        "/v1/devices/{}",
        "/v1/devices/{}/quarantine",
        "/v1/attachments/{}",
        "/v1/projects/{}",
        "/v1/api-keys/{}",
    ],
)
async def test_an_id_that_none_can_have_is_refused_or_not_found(
    shared: httpx.AsyncClient, path: str
) -> None:
    for item_id in ("%00", "a%00b", "x" * 65):
        answer = await shared.get(path.format(item_id))
        assert answer.status_code == 422
        assert problem_of(answer)["code"] == "invalid_input"
    for item_id in ("x", "%ed%a0%bd", "%ff", "%25", "'--", "019C1350-8A40-7C31-9A55-3F1C2B7D9E01"):
        assert (await shared.get(path.format(item_id))).status_code == 404
