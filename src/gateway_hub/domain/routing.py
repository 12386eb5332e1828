"""Which queues a device serves."""

from gateway_hub.domain.devices import Device
from gateway_hub.domain.messages import Route


def served_queues(device: Device) -> tuple[str, ...]:
    """Return the keys of the queues *device* may take messages from."""
    routes = [Route(device_id=device.id), *(Route(tag=tag) for tag in device.tags), Route()]
    return tuple(route.key(device.project_id) for route in routes)
