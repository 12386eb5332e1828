"""Which queues a device takes messages from, and in which a message stands."""

from datetime import UTC, datetime

import pytest

from gateway_hub.domain.devices import Device, Protocol
from gateway_hub.domain.messages import Route
from gateway_hub.domain.routing import served_queues

MADE_AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def _device(project_id: str, *tags: str, device_id: str = "d") -> Device:
    return Device(device_id, project_id, "phone", Protocol.MEDIC, MADE_AT, MADE_AT, tags=tags)


def test_a_device_serves_its_own_queue_those_of_its_tags_and_the_projects() -> None:
    assert served_queues(_device("p", "clinic", "x")) == (
        "device:d",
        "tag:p:clinic",
        "tag:p:x",
        "any:p",
    )
    assert served_queues(_device("p")) == ("device:d", "any:p")


@pytest.mark.parametrize(
    ("route", "served"),
    [
        pytest.param(Route(), True, id="any"),
        pytest.param(Route(device_id="d"), True, id="this device"),
        pytest.param(Route(device_id="e"), False, id="another device"),
        pytest.param(Route(tag="clinic"), True, id="its tag"),
        pytest.param(Route(tag="Clinic"), False, id="a tag that differs in case"),
        pytest.param(Route(tag="clini"), False, id="a part of its tag"),
        pytest.param(Route(tag="p:clinic"), False, id="a tag that looks like a queue"),
    ],
)
def test_a_message_stands_in_a_queue_of_the_devices_its_route_names(
    route: Route, served: bool
) -> None:
    assert (route.key("p") in served_queues(_device("p", "clinic", "x"))) is served


@pytest.mark.parametrize("route", [Route(), Route(tag="clinic")])
def test_no_queue_is_shared_by_two_projects(route: Route) -> None:
    assert route.key("other") not in served_queues(_device("p", "clinic", "x"))
    assert not set(served_queues(_device("p", "x"))) & set(
        served_queues(_device("q", "x", device_id="e"))
    )
