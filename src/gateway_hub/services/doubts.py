"""What to do with a message that a phone was given and nobody knows the fate of."""

from datetime import datetime, timedelta

from gateway_hub.domain.devices import Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageError
from gateway_hub.domain.reporting import move, prefer, requeue
from gateway_hub.domain.retries import may_resend
from gateway_hub.services.budgets import read_budget
from gateway_hub.services.candidates import iterate_serving
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage.transactions import Transaction

PREFERRED_FOR = timedelta(minutes=5)
"""How long a message waits for the device it had better go through."""

_MOST_ASKED = 20
"""How many devices are looked at for one that suits: each is a question to the database."""

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
    other = await _find_other(tx, states, message, now)
    return prefer(message, other.id, now + PREFERRED_FOR) if other is not None else message


async def _find_other(
    tx: Transaction, states: DeviceStates, message: Message, now: datetime
) -> Device | None:
    """Return another device than the last one: best one that had no attempt, and has budget."""
    tried = {item.device_id for item in await attempt_rows.find_attempts(tx, [message.id])}
    found: list[tuple[bool, bool, int, Device]] = []
    async for device in iterate_serving(tx, message.project_id, message.route):
        if device.id == message.device_id or not states.is_available(device):
            continue
        used_up = (await read_budget(tx, device, now)).is_used_up
        found.append((device.id in tried, used_up, len(found), device))
        if found[-1][:2] == (False, False) or len(found) == _MOST_ASKED:
            break
    return min(found)[-1] if found else None
