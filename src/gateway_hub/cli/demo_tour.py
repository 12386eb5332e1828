"""The scenes of ``gateway-hub demo``, in order; to show more, add a scene."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from gateway_hub.cli.demo_stage import POLL_SECONDS, Stage, say

_CLINIC = "Clinic"
_OFFICE = "Office"
_ASHA = "+255710000002"
_JUMA = "+255710000003"
_OPENING_HOURS = "From 8 to 16, Monday to Friday."


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of the tour; *play* raises CommandError if it does not come to its end."""

    title: str
    words: str
    play: Callable[[Stage], Awaitable[None]]


async def _start_clinic(stage: Stage) -> None:
    body: dict[str, object] = {"name": _CLINIC, "protocol": "medic"}
    device = await stage.post("/v1/devices", body, shown=["id", "credentials"])
    stage.switch_on(device)


async def _start_office(stage: Stage) -> None:
    body: dict[str, object] = {
        "name": _OFFICE,
        "protocol": "envaya",
        "phone_number": "+255710000001",
    }
    device = await stage.post("/v1/devices", body, shown=["id", "credentials"])
    stage.switch_on(device)


async def _send_through_clinic(stage: Stage) -> None:
    await _send(stage, _CLINIC, _ASHA, "The vaccination is on Monday.", "delivered")


async def _receive_through_clinic(stage: Stage) -> None:
    await _receive(stage, _CLINIC, _ASHA, "Thank you, we will come.")


async def _send_through_office(stage: Stage) -> None:
    await _send(stage, _OFFICE, _JUMA, "The meeting is at 10.", "sent")


async def _receive_through_office(stage: Stage) -> None:
    await _receive(stage, _OFFICE, _JUMA, "I am late.")


async def _reply_by_webhook(stage: Stage) -> None:
    service = await stage.open_service("Service", _OPENING_HOURS)
    body: dict[str, object] = {"url": service.url, "events": ["message.received"]}
    endpoint = await stage.post("/v1/webhook-endpoints", body, shown=["id", "secret"])
    service.secret = endpoint["secret"]
    await _receive(stage, _OFFICE, _JUMA, "When are you open?")

    def is_sent(answer: Any) -> bool:
        return any(
            item["text"] == _OPENING_HOURS and item["status"] == "sent" for item in answer["data"]
        )

    await stage.get_when(
        f"/v1/messages?direction=outbound&device_id={stage.phones[_OFFICE].device_id}",
        is_sent,
        shown=["to", "text", "status"],
        missing="the reply was not sent",
    )


async def _send(stage: Stage, name: str, to: str, text: str, end: str) -> None:
    route = {"device_id": stage.phones[name].device_id}
    message = await stage.post(
        "/v1/messages", {"to": to, "text": text, "route": route}, shown=["id", "status"]
    )

    def has_ended(answer: Any) -> bool:
        return bool(answer["status"] == end)

    ended = await stage.get_when(
        f"/v1/messages/{message['id']}",
        has_ended,
        shown=["status", "final"],
        missing=f"the message was not {end}",
    )
    say(f"  On its way it was {', '.join(ended['reached'])}.")


async def _receive(stage: Stage, name: str, contact: str, text: str) -> None:
    phone = stage.phones[name]
    phone.live.receive_sms(contact, text)

    def has_come(answer: Any) -> bool:
        return any(item["text"] == text for item in answer["data"])

    await stage.get_when(
        f"/v1/messages?direction=inbound&device_id={phone.device_id}",
        has_come,
        shown=["id", "from", "text"],
        missing="the SMS did not reach the hub",
    )


TOUR = (
    Scene(
        "Clinic, a phone with the CHT Gateway app, is registered and switched on",
        f"It asks for work every {POLL_SECONDS} seconds here; a real one does every minute.",
        _start_clinic,
    ),
    Scene(
        "A message goes out through Clinic",
        "Clinic gets it when it next asks, and tells what became of it when it asks again.",
        _send_through_clinic,
    ),
    Scene(
        "The recipient answers",
        "Clinic forwards each SMS at once, and again until the hub says that it has it.",
        _receive_through_clinic,
    ),
    Scene(
        "Office, a phone with EnvayaSMS, is registered and switched on",
        "When it asks for work, the hub lets it wait until there is some.",
        _start_office,
    ),
    Scene(
        "A message goes out through Office",
        "Office gets it at once. EnvayaSMS asks for no delivery report: sent is the end.",
        _send_through_office,
    ),
    Scene(
        "The recipient answers",
        "Office forwards it, signed with its password.",
        _receive_through_office,
    ),
    Scene(
        "A service hears of an SMS, and replies",
        "The hub tells a service of yours by a signed webhook; its answer goes back as an SMS.",
        _reply_by_webhook,
    ),
)
