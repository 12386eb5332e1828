"""What a caller who is limited to a tag may do; a *tag* of None limits nothing.

What they may see is a condition of the queries: `storage.tags`.
"""

from collections.abc import Collection

from gateway_hub.domain.devices import Device
from gateway_hub.domain.errors import TagLimitedError
from gateway_hub.domain.messages import Route


def is_within(device: Device, tag: str | None) -> bool:
    """Say whether a caller limited to *tag* reaches *device*."""
    return tag is None or tag in device.tags


def confine(route: Route, tag: str | None) -> Route:
    """Return the route a caller limited to *tag* means: theirs, where they name none.

    Whether a device they name has the tag is for whoever looks it up. Raises TagLimitedError.
    """
    if tag is None or route.device_id is not None:
        return route
    if route.tag not in {None, tag}:
        raise TagLimitedError("The API key is limited to a tag and cannot send along another.")
    return Route(tag=tag)


def choose_tags(wanted: Collection[str], tag: str | None) -> tuple[str, ...]:
    """Return the tags of a device that a caller limited to *tag* registers.

    Another tag would let the device take, and them see, what is routed to that. Raises
    TagLimitedError.
    """
    if tag is None:
        return tuple(wanted)
    if not set(wanted) <= {tag}:
        raise TagLimitedError("The API key is limited to a tag: its devices have no other.")
    return (tag,)


def check_tags_stay(device: Device, wanted: Collection[str], tag: str | None) -> None:
    """Raise TagLimitedError if a caller limited to *tag* would give *device* other tags."""
    if tag is not None and set(wanted) != set(device.tags):
        raise TagLimitedError("The API key is limited to a tag and cannot change those of devices.")
