"""Which devices may send a message, however many there are."""

import pytest

from gateway_hub.domain.devices import Device
from gateway_hub.domain.messages import Route
from gateway_hub.services.candidates import iterate_serving
from gateway_hub.services.hub import Hub
from gateway_hub.storage.transactions import Transaction
from tests.services.phones import register

MORE_THAN_A_PAGE = 201


async def _serving(hub: Hub, project_id: str, route: Route) -> list[str]:
    async def query(tx: Transaction) -> list[Device]:
        return [device async for device in iterate_serving(tx, project_id, route)]

    return [device.id for device in await hub.database.read(query)]


@pytest.mark.parametrize("tag", [None, "clinic"])
async def test_every_device_of_a_route_is_found_newest_first(
    quiet_hub: Hub, tag: str | None
) -> None:
    tags = ("clinic", "other") if tag else ()
    phones = [await register(quiet_hub, tags=tags) for _ in range(MORE_THAN_A_PAGE)]
    project_id = phones[0].project_id
    await register(quiet_hub, tags=("Clinic",), project_id=(await _other_project(quiet_hub)))
    expected = [phone.device.id for phone in reversed(phones)]
    assert await _serving(quiet_hub, project_id, Route(tag=tag)) == expected


async def test_a_tag_is_found_as_it_is_written(quiet_hub: Hub) -> None:
    phone = await register(quiet_hub, tags=("Clinic",))
    await register(quiet_hub, tags=("clinic", "clinic 2"))
    assert await _serving(quiet_hub, phone.project_id, Route(tag="Clinic")) == [phone.device.id]


async def test_a_device_that_is_named_is_found_alone(quiet_hub: Hub) -> None:
    phone, _ = await register(quiet_hub), await register(quiet_hub)
    stranger = await register(quiet_hub, project_id=await _other_project(quiet_hub))
    named = Route(device_id=phone.device.id)
    assert await _serving(quiet_hub, phone.project_id, named) == [phone.device.id]
    assert await _serving(quiet_hub, phone.project_id, Route(device_id=stranger.device.id)) == []


async def _other_project(hub: Hub) -> str:
    return (await hub.access.create_project("other", None)).id
