"""Which devices a route lets send, whether or not they are there."""

from gateway_hub.domain.devices import Device
from gateway_hub.domain.ids import AFTER_ALL_IDS
from gateway_hub.domain.messages import Route
from gateway_hub.domain.routing import served_queues
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage.transactions import Transaction

_MOST_DEVICES = 1000


async def list_serving(tx: Transaction, project_id: str, route: Route) -> list[Device]:
    """Return the devices of *route*, newest first, paused ones included; at most 1000."""
    if route.device_id is not None:
        device = await device_rows.find_device(tx, project_id, route.device_id)
        return [device] if device is not None else []
    queue = route.key(project_id)
    found = await device_rows.list_devices(
        tx, project_id, before=AFTER_ALL_IDS, limit=_MOST_DEVICES
    )
    return [device for device in found if queue in served_queues(device)]
