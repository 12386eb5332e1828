"""What to do with a message that a phone was given and nobody knows the fate of."""

from datetime import datetime, timedelta

from gateway_hub.domain.devices import Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageError
from gateway_hub.domain.reporting import move, prefer, requeue
from gateway_hub.domain.retries import may_resend
from gateway_hub.services.candidates import iterate_serving
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.storage.transactions import Transaction

PREFERRED_FOR = timedelta(minutes=5)
"""How long a message waits for the device it had better go through."""

_SILENT = MessageError("device_silent", "the phone was given the message and fell silent")
_GONE = MessageError("device_deleted", "the phone was given the message, then its device removed")


async def end_in_doubt(
    tx: Transaction, states: DeviceStates, message: Message, device: Device, now: datetime
) -> Message:
    """Return *message*, which *device* was given, as uncertain, or waiting to be sent again.

    Again only if its sender wants that, and if there may be a phone that would.
    """
    gone = device.deleted_at is not None
    doubtful = move(message, Status.UNCERTAIN, now, error=_GONE if gone else _SILENT)
    nobody_left = gone and message.route.device_id is not None
    if nobody_left or not may_resend(message, now):
        return doubtful
    return await redirect(tx, states, requeue(doubtful, now), now)


async def redirect(
    tx: Transaction, states: DeviceStates, message: Message, now: datetime
) -> Message:
    """Send a further attempt through another device of the route, if one is there."""
    if message.status is not Status.QUEUED or not message.attempt_count:
        return message
    if message.route.device_id is not None:
        return message
    async for device in iterate_serving(tx, message.project_id, message.route):
        if device.id != message.device_id and states.is_available(device):
            return prefer(message, device.id, now + PREFERRED_FOR)
    return message
