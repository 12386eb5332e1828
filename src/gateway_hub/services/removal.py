"""What becomes of the messages of devices that were removed: no phone comes for them any more."""

from collections.abc import Sequence
from datetime import datetime

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message, MessageError, Route
from gateway_hub.domain.reporting import move, release
from gateway_hub.domain.silence import doubt
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.doubts import end_in_doubt, redirect
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import queues as queue_rows
from gateway_hub.storage.transactions import Transaction

_AT_ONCE = 200
_DELETED = MessageError("device_deleted", "the only device that was to send it has been removed")


async def let_go(
    tx: Transaction, states: DeviceStates, device_ids: Sequence[str], now: datetime
) -> list[Message]:
    """Return, moved on, what waits for the removed devices or is in their hands: to be saved.

    Takes a limited number: call again until nothing is returned.
    """
    if not device_ids:
        return []
    return [
        *await _release_waiting(tx, states, device_ids, now),
        *await _judge_held(tx, states, device_ids, now),
    ]


async def _release_waiting(
    tx: Transaction, states: DeviceStates, device_ids: Sequence[str], now: datetime
) -> list[Message]:
    """End what only those devices might send; give the rest back to its whole route."""
    queues = [Route(device_id=item).key("") for item in device_ids]
    waiting = await queue_rows.lock_waiting(tx, queues, limit=_AT_ONCE)
    last = await attempt_rows.find_last_attempts(tx, waiting)
    changed: list[Message] = []
    for message in waiting:
        if message.route.device_id is not None:
            changed.append(_end_undelivered(message, last.get(message.id), now))
            continue
        changed.append(await redirect(tx, states, release(message), now))
    return changed


def _end_undelivered(message: Message, last: Attempt | None, now: datetime) -> Message:
    """Return *message*, which nobody may send any more: failed, unless it may have been sent."""
    if last is not None and last.status is Status.UNCERTAIN:
        return move(message, Status.UNCERTAIN, now, error=message.error)
    return move(message, Status.FAILED, now, error=_DELETED)


async def _judge_held(
    tx: Transaction, states: DeviceStates, device_ids: Sequence[str], now: datetime
) -> list[Message]:
    """Doubt what they were given and have not said the end of: what they say is not heard now."""
    held = await attempt_rows.lock_held(tx, device_ids, limit=_AT_ONCE)
    messages = await message_rows.lock_messages(tx, (item.message_id for item in held))
    devices = await device_rows.find_devices(tx, {item.device_id for item in held})
    changed: list[Message] = []
    for attempt in held:
        device = devices[attempt.device_id]
        await attempt_rows.save_attempts(tx, [doubt(attempt, device.protocol)])
        message = messages[attempt.message_id]
        changed.append(await end_in_doubt(tx, states, message, device, now))
    return changed
