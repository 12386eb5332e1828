"""Every request recorded from the real apps, byte for byte over a socket, to a running hub."""

import json
from typing import Any
from xml.parsers import expat

import pytest
from starlette.applications import Starlette

from gateway_hub.adapters.envaya.routes import EnvayaOptions, create_envaya_routes
from gateway_hub.adapters.medic.routes import create_medic_routes
from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.messages import MessageDetails, MessageFilter
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub
from tests.captures import Capture, load_captures
from tests.serving import RawAnswer, send_raw, serving

_USERNAME, _PASSWORD = "gateway", "topSecret"
_BASIC = b"Authorization: Basic Z2F0ZXdheTp0b3BTZWNyZXQ=\r\n"

MEDIC = [capture for capture in load_captures("medic") if capture.expect.isdigit()]
ENVAYA = [capture for capture in load_captures("envaya") if capture.expect.isdigit()]


def _application(hub: Hub) -> Starlette:
    envaya = create_envaya_routes(hub, EnvayaOptions())
    return Starlette(routes=[*create_medic_routes(hub), *envaya])


async def _register(hub: Hub, captures: list[Capture]) -> str:
    """Make the devices that *captures* were recorded with, each once; return their project."""
    project = await hub.access.ensure_default_project()
    drafts = {_draft(capture) for capture in captures if capture.expect == "200"}
    for draft in sorted(drafts, key=str):
        await hub.devices.create(project.id, draft)
    return project.id


def _draft(capture: Capture) -> DeviceDraft:
    if capture.protocol == "medic":
        given = capture.entry["credentials"] or {"username": _USERNAME, "password": _PASSWORD}
        return DeviceDraft(
            "phone", Protocol.MEDIC, username=given["username"], password=given["password"]
        )
    fields = capture.entry["fields"]
    return DeviceDraft(
        "phone",
        Protocol.ENVAYA,
        phone_number=fields["phone_number"],
        password=capture.entry["password"],
        server_url=capture.server_url,
    )


def _bytes_to_send(capture: Capture) -> bytes:
    if capture.protocol == "envaya" or capture.entry["authorization_header"] is not None:
        return capture.raw
    line, _, rest = capture.raw.partition(b"\r\n")
    return line + b"\r\n" + _BASIC + rest


async def _stored(hub: Hub, project_id: str) -> list[MessageDetails]:
    found = await hub.outbox.list_messages(project_id, MessageFilter(), before="~", limit=200)
    return list(reversed(found))


def _shown(details: MessageDetails) -> dict[str, Any]:
    message = details.message
    contact = message.to_number if message.type == "sent" else message.from_number
    return {
        "type": message.type.value,
        "contact": contact,
        "text": message.text,
        "parts": [part.sha256 for part in details.attachments],
    }


def _expected(capture: Capture) -> list[dict[str, Any]]:
    """What the manifest says the request holds, as the hub should show it."""
    if capture.protocol == "medic":
        items = (capture.entry.get("json") or {}).get("messages") or []
        return [
            {
                "type": "sms",
                "contact": item["from"],
                "text": item["content"].replace("\0", "\N{REPLACEMENT CHARACTER}"),
                "parts": [],
            }
            for item in items
        ]
    fields = capture.entry["fields"]
    if fields["action"] not in {"incoming", "forward_sent"}:
        return []
    sent = fields["action"] == "forward_sent"
    return [
        {
            "type": "sent" if sent else fields.get("message_type", "sms"),
            "contact": fields["to"] if sent else fields["from"],
            "text": fields.get("message", ""),
            "parts": [file["sha256"] for file in capture.entry["files"]],
        }
    ]


def _check_form_of_answer(capture: Capture, answer: RawAnswer) -> None:
    assert answer.status == int(capture.expect), answer.body
    if capture.protocol == "medic":
        assert isinstance(json.loads(answer.body), dict)
        return
    version = int(capture.entry["fields"].get("version", "1"))
    if version >= 28:
        assert answer.headers["content-type"].startswith("application/json")
        assert isinstance(json.loads(answer.body), dict)
    else:
        assert answer.headers["content-type"].startswith("text/xml")
        expat.ParserCreate().Parse(answer.body, True)
    assert "content-encoding" not in answer.headers


# Two forwards that one phone cannot tell apart either: same sender, same second, same content.
_TWINS = {"mms_filename_non_ascii"}


@pytest.mark.parametrize("captures", [MEDIC, ENVAYA], ids=["medic", "envaya"])
async def test_every_recorded_request_is_answered_and_stored_once(
    hub: Hub, captures: list[Capture]
) -> None:
    project_id = await _register(hub, captures)
    expected: list[dict[str, Any]] = []
    seen_ids: set[str] = set()
    async with serving(_application(hub)) as port:
        for capture in captures:
            for _repeat in range(2):
                answer = await send_raw(port, _bytes_to_send(capture))
                _check_form_of_answer(capture, answer)
            if capture.expect != "200" or capture.name in _TWINS:
                continue
            new = [
                item for item in await _stored(hub, project_id) if item.message.id not in seen_ids
            ]
            seen_ids |= {item.message.id for item in new}
            assert [_shown(item) for item in new] == _expected(capture), capture.id
            expected += _expected(capture)
    assert len(seen_ids) == len(expected) > 5
