"""Which devices a route lets send, whether or not they are there."""

from collections.abc import AsyncIterator

from gateway_hub.domain.devices import Device
from gateway_hub.domain.ids import AFTER_ALL_IDS
from gateway_hub.domain.messages import Route
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage.transactions import Transaction

_PAGE = 200


async def iterate_serving(tx: Transaction, project_id: str, route: Route) -> AsyncIterator[Device]:
    """Yield the devices of *route*, newest first, paused ones included."""
    if route.device_id is not None:
        device = await device_rows.find_device(tx, project_id, route.device_id)
        if device is not None:
            yield device
        return
    before = AFTER_ALL_IDS
    while page := await device_rows.list_devices(
        tx, project_id, before=before, limit=_PAGE, tag=route.tag
    ):
        for device in page:
            yield device
        before = page[-1].id
