"""A contact hears from the device that last talked with them, while it is there."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from gateway_hub.domain.devices import Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message
from gateway_hub.domain.reporting import prefer
from gateway_hub.domain.routing import served_queues
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.doubts import PREFERRED_FOR
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage.transactions import Transaction


async def stick(
    tx: Transaction, states: DeviceStates, messages: Sequence[Message], now: datetime
) -> list[Message]:
    """Return *messages*, each first attempt that is queued with the device it had better go by."""
    last = await _find_last_devices(tx, messages)
    devices = await device_rows.find_devices(tx, set(last.values()))
    return [
        _prefer_last(states, message, devices.get(last.get(message.id, "")), now)
        for message in messages
    ]


async def _find_last_devices(tx: Transaction, messages: Iterable[Message]) -> dict[str, str]:
    """Return by message id the device its contact last talked with, where it may matter."""
    contacts: defaultdict[str, list[Message]] = defaultdict(list)
    for message in messages:
        is_first = message.status is Status.QUEUED and not message.attempt_count
        if is_first and message.route.device_id is None:
            contacts[message.project_id].append(message)
    found: dict[str, str] = {}
    for project_id, waiting in contacts.items():
        keys = [message.contact_key for message in waiting]
        last = await message_rows.find_last_devices(tx, project_id, keys)
        found |= {item.id: last[item.contact_key] for item in waiting if item.contact_key in last}
    return found


def _prefer_last(
    states: DeviceStates, message: Message, device: Device | None, now: datetime
) -> Message:
    if device is None or not states.is_available(device):
        return message
    if message.queue not in served_queues(device):
        return message
    return prefer(message, device.id, now + PREFERRED_FOR)
