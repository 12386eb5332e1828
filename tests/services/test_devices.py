"""Registering phones, changing them, and keeping what proves them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.domain.errors import ConflictError, InvalidInputError, NotFoundError
from gateway_hub.domain.lifecycle import Status
from gateway_hub.services.devices import DeviceDraft, IssuedCredentials
from gateway_hub.services.hub import Hub
from gateway_hub.storage.engines import normalise_url
from gateway_hub.storage.tables import metadata
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, MEDIC, get, register, sms, status_of, submit

NUMBER = "+255 710 000 099"


async def _project(hub: Hub) -> str:
    return (await hub.access.ensure_default_project()).id


async def _opened_by(hub: Hub, issued: IssuedCredentials) -> list[str]:
    """Return the ids of the medic devices that *issued* opens."""
    names, passwords = (issued.username or "",), (issued.password.encode(),)
    found = await hub.identity.find_by_password(names, passwords, None)
    return [found.id] if found else []


async def _signing(hub: Hub, number: str = NUMBER) -> dict[str, tuple[str, ...]]:
    """Return the passwords each envaya device with that number may sign with."""
    found = await hub.identity.find_signing_devices(number, None)
    return {item.device.id: item.passwords for item in found}


async def test_a_device_is_kept_as_it_was_asked_for(hub: Hub) -> None:
    draft = DeviceDraft(
        name="Clinic \N{MOBILE PHONE}",
        protocol=ENVAYA,
        phone_number=NUMBER,
        tags=("clinic", "night.shift"),
        send_limit=SendLimit(7, 60),
        server_url="https://hub.example.org/envaya",
        region="TZ",
    )
    view, issued = await hub.devices.create(await _project(hub), draft)
    found = await hub.devices.get(await _project(hub), view.device.id)
    assert found == view
    assert (found.online, found.backlog, found.device.paused) == (False, 0, False)
    for name in ("name", "phone_number", "tags", "send_limit", "server_url", "region"):
        assert getattr(found.device, name) == getattr(draft, name)
    assert issued.username is None
    assert not issued.weak
    assert await _signing(hub, "00255710000099") == {view.device.id: (issued.password,)}


async def test_a_medic_device_gets_a_user_name_and_password_of_its_own(hub: Hub) -> None:
    project = await _project(hub)
    made = [await hub.devices.create(project, DeviceDraft("phone", MEDIC)) for _ in range(3)]
    assert len({issued.username for _, issued in made}) == 3
    assert len({issued.password for _, issued in made}) == 3
    for view, issued in made:
        assert await _opened_by(hub, issued) == [view.device.id]
        assert len(issued.password) == 26
        assert issued.password.isascii()
        assert issued.password.isalnum()


@pytest.mark.parametrize(
    ("password", "weak"),
    [("pässw\N{SNOWMAN}rd", True), ("correct horse battery staple", False)],
    ids=["weak", "strong"],
)
async def test_the_credentials_of_a_phone_that_is_set_up_are_taken_over(
    hub: Hub, password: str, weak: bool
) -> None:
    project = await _project(hub)
    medic, issued = await hub.devices.create(
        project, DeviceDraft("phone", MEDIC, username="gateway", password=password)
    )
    assert issued == IssuedCredentials("gateway", password, weak)
    assert await _opened_by(hub, issued) == [medic.device.id]
    assert await _opened_by(hub, replace(issued, password=password + "x")) == []
    envaya, issued = await hub.devices.create(
        project, DeviceDraft("phone", ENVAYA, phone_number=NUMBER, password=password)
    )
    assert issued.weak is weak
    assert await _signing(hub) == {envaya.device.id: (password,)}


async def test_a_device_that_could_never_post_is_refused(hub: Hub) -> None:
    project = await _project(hub)
    named = DeviceDraft("phone", ENVAYA, phone_number=NUMBER, username="gateway")
    for draft, pointer in {
        DeviceDraft("phone", ENVAYA): "/phone_number",
        DeviceDraft("phone", ENVAYA, phone_number=""): "/phone_number",
        named: "/credentials/username",
        DeviceDraft("phone", MEDIC, password=""): "/credentials/password",
        DeviceDraft("phone", MEDIC, region="XX"): "/region",
        DeviceDraft("phone", MEDIC, region="tz"): "/region",
    }.items():
        with pytest.raises(InvalidInputError) as raised:
            await hub.devices.create(project, draft)
        assert [item.pointer for item in raised.value.fields] == [pointer]
    assert await hub.devices.list_devices(project, before="~", limit=10) == []


async def test_phones_may_share_a_name_or_number_but_not_all_that_tells_them_apart(
    hub: Hub,
) -> None:
    project = await _project(hub)
    medic = DeviceDraft("phone", MEDIC, username="gateway", password="first password")
    envaya = DeviceDraft("phone", ENVAYA, phone_number=NUMBER, password="first password")
    for draft in (medic, envaya):
        first, _ = await hub.devices.create(project, draft)
        second, _ = await hub.devices.create(project, replace(draft, password="second password"))
        with pytest.raises(ConflictError) as raised:
            await hub.devices.create(project, draft)
        assert raised.value.code == "credentials_taken"
        assert first.device.id != second.device.id
    assert sorted((await _signing(hub)).values()) == [("first password",), ("second password",)]
    elsewhere = replace(envaya, server_url="https://hub.example.org/other")
    await hub.devices.create(project, elsewhere)
    other = await hub.access.create_project("other", None)
    await hub.devices.create(other.id, medic)


async def test_a_device_is_changed_in_what_is_named_and_nothing_else(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA, tags=("clinic",), number=NUMBER)
    clock.advance(minutes=1)
    before = (await hub.devices.get(phone.project_id, phone.device.id)).device
    changes: list[dict[str, Any]] = [
        {"name": "new name"},
        {"paused": True},
        {"tags": ()},
        {"send_limit": SendLimit(1, 2)},
        {"send_limit": None},
        {"server_url": "https://hub.example.org"},
        {"region": "TZ"},
        {"region": None, "tags": ("a", "b")},
        {"phone_number": "0710 000 098"},
    ]
    for change in changes:
        view = await hub.devices.change(phone.project_id, phone.device.id, change)
        assert view.device == replace(before, **change, updated_at=clock.now)
        before = (await hub.devices.get(phone.project_id, phone.device.id)).device
        assert before == view.device
    assert await _signing(hub) == {}
    assert await _signing(hub, "0710-000-098") == {phone.device.id: (phone.issued.password,)}


async def test_a_change_that_cannot_be_is_refused(hub: Hub) -> None:
    phone = await register(hub, ENVAYA)
    refused: list[dict[str, Any]] = [{"region": "XX"}, {"phone_number": None}, {"phone_number": ""}]
    for changes in refused:
        with pytest.raises(InvalidInputError):
            await hub.devices.change(phone.project_id, phone.device.id, changes)
    assert (await hub.devices.get(phone.project_id, phone.device.id)).device == phone.device


async def test_changes_made_at_the_same_moment_are_all_kept(
    make_hub: MakeHub, database_url: str
) -> None:
    hubs = [await make_hub()]
    if not hubs[0].database.is_sqlite:
        hubs.append(await make_hub())
    phone = await register(hubs[0])
    changes: list[dict[str, Any]] = [
        {"name": "new name"},
        {"paused": True},
        {"tags": ("clinic",)},
        {"send_limit": SendLimit(1, 2)},
        {"region": "TZ"},
        {"server_url": "https://hub.example.org"},
    ]
    await asyncio.gather(
        *(
            hubs[number % len(hubs)].devices.change(phone.project_id, phone.device.id, change)
            for number, change in enumerate(changes)
        )
    )
    device = (await hubs[0].devices.get(phone.project_id, phone.device.id)).device
    expected = {name: value for change in changes for name, value in change.items()}
    assert {name: getattr(device, name) for name in expected} == expected


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_old_credentials_work_for_the_grace_period_and_no_longer(
    hub: Hub, clock: FakeClock, protocol: Protocol
) -> None:
    phone = await register(hub, protocol, number=NUMBER)
    ids = (phone.project_id, phone.device.id)
    second = await hub.devices.renew_credentials(*ids, password=None, grace_seconds=60)
    third = await hub.devices.renew_credentials(*ids, password="chosen one", grace_seconds=30)

    async def working() -> list[bool]:
        given = (phone.issued, second, third)
        if protocol is ENVAYA:
            passwords = (await _signing(hub))[phone.device.id]
            return [item.password in passwords for item in given]
        return [await _opened_by(hub, item) == [phone.device.id] for item in given]

    assert await working() == [True, True, True]
    clock.advance(seconds=30, milliseconds=-1)
    assert await working() == [True, True, True]
    clock.advance(milliseconds=1)
    assert await working() == [False, False, True]
    clock.advance(days=365)
    assert await working() == [False, False, True]
    fourth = await hub.devices.renew_credentials(*ids, password=None, grace_seconds=0)
    assert await working() == [False, False, False]
    assert fourth.password != third.password


async def test_a_later_renewal_does_not_lengthen_an_earlier_grace(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    ids = (phone.project_id, phone.device.id)
    await hub.devices.renew_credentials(*ids, password=None, grace_seconds=10)
    await hub.devices.renew_credentials(*ids, password=None, grace_seconds=3600)
    clock.advance(seconds=11)
    assert await _opened_by(hub, phone.issued) == []


async def test_an_empty_new_password_is_refused_and_the_old_one_stays(hub: Hub) -> None:
    phone = await register(hub)
    with pytest.raises(InvalidInputError):
        await hub.devices.renew_credentials(
            phone.project_id, phone.device.id, password="", grace_seconds=0
        )
    assert await _opened_by(hub, phone.issued) == [phone.device.id]


async def test_a_removed_device_can_no_longer_post_and_its_messages_stay(hub: Hub) -> None:
    for protocol in (MEDIC, ENVAYA):
        phone = await register(hub, protocol, number=NUMBER)
        message = await submit(hub, phone.project_id, device=phone.device)
        await phone.poll(messages=[sms("1")])
        await hub.devices.delete(phone.project_id, phone.device.id)
        assert await _opened_by(hub, phone.issued) == []
        assert await _signing(hub) == {}
        for gone in (
            hub.devices.get(phone.project_id, phone.device.id),
            hub.devices.delete(phone.project_id, phone.device.id),
            hub.devices.change(phone.project_id, phone.device.id, {"name": "new name"}),
        ):
            with pytest.raises(NotFoundError):
                await gone
        assert await hub.devices.list_devices(phone.project_id, before="~", limit=10) == []
        assert await status_of(hub, message) is Status.UNCERTAIN
        assert (await get(hub, message)).message.device_id == phone.device.id


async def test_what_proved_a_removed_device_may_prove_a_new_one(hub: Hub) -> None:
    project = await _project(hub)
    draft = DeviceDraft("phone", MEDIC, username="gateway", password="secret password")
    first, _ = await hub.devices.create(project, draft)
    await hub.devices.delete(project, first.device.id)
    second, issued = await hub.devices.create(project, draft)
    assert await _opened_by(hub, issued) == [second.device.id]


async def test_one_project_never_sees_anothers_devices(hub: Hub) -> None:
    phone = await register(hub)
    other = await hub.access.create_project("other", None)
    for refused in (
        hub.devices.get(other.id, phone.device.id),
        hub.devices.change(other.id, phone.device.id, {"paused": True}),
        hub.devices.delete(other.id, phone.device.id),
        hub.devices.renew_credentials(other.id, phone.device.id, password=None, grace_seconds=0),
        hub.devices.list_quarantine(other.id, phone.device.id, before="~", limit=10),
    ):
        with pytest.raises(NotFoundError):
            await refused
    assert await hub.devices.list_devices(other.id, before="~", limit=10) == []
    assert await _opened_by(hub, phone.issued) == [phone.device.id]
    assert not (await hub.devices.get(phone.project_id, phone.device.id)).device.paused


async def test_a_device_is_online_until_it_has_been_silent_too_long(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)

    async def is_online() -> bool:
        view = await hub.devices.get(phone.project_id, phone.device.id)
        (listed,) = await hub.devices.list_devices(phone.project_id, before="~", limit=10)
        assert listed == view
        return view.online

    assert not await is_online()
    await phone.poll()
    assert await is_online()
    clock.advance(seconds=600)
    assert await is_online()
    clock.advance(milliseconds=1)
    assert not await is_online()


async def test_the_backlog_is_what_the_device_could_be_given(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, tags=("clinic",))
    neighbour = await register(hub)
    await submit(hub, phone.project_id)
    await submit(hub, phone.project_id, tag="clinic")
    await submit(hub, phone.project_id, device=phone.device)
    await submit(hub, phone.project_id, device=neighbour.device)
    await submit(hub, phone.project_id, send_at=clock.now + timedelta(hours=1))
    assert (await hub.devices.get(phone.project_id, phone.device.id)).backlog == 3
    assert (await hub.devices.get(phone.project_id, neighbour.device.id)).backlog == 2
    await phone.poll()
    assert (await hub.devices.get(phone.project_id, phone.device.id)).backlog == 0
    assert (await hub.devices.get(phone.project_id, neighbour.device.id)).backlog == 1


async def test_devices_are_listed_page_by_page_newest_first(hub: Hub) -> None:
    ids = [(await register(hub)).device.id for _ in range(5)]
    project = await _project(hub)
    first = await hub.devices.list_devices(project, before="~", limit=3)
    second = await hub.devices.list_devices(project, before=first[-1].device.id, limit=3)
    assert [view.device.id for view in (*first, *second)] == ids[::-1]


async def _everything_stored(database_url: str) -> bytes:
    """Return every byte the database holds of its rows."""
    url = normalise_url(database_url)
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        return b"".join(item.read_bytes() for item in path.parent.glob(f"{path.name}*"))
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        tables = [
            [str(dict(row)) for row in await connection.fetch(f'SELECT * FROM "{table}"')]  # noqa: S608 - our own tables
            for table in metadata.tables
        ]
    finally:
        await connection.close()
    return "\n".join(row for rows in tables for row in rows).encode()


async def test_no_secret_can_be_read_in_the_database(hub: Hub, database_url: str) -> None:
    project = await _project(hub)
    secrets: list[str] = []
    for protocol in (MEDIC, ENVAYA):
        for password in (None, "a chosen password"):
            draft = DeviceDraft("phone", protocol, phone_number=NUMBER, password=password)
            _, issued = await hub.devices.create(project, draft)
            secrets.append(issued.password)
    key = await hub.access.create_key(name="key", scopes=frozenset(), project=project)
    secrets.append(key.secret)
    dump = await _everything_stored(database_url)
    assert key.key.hint.encode() in dump
    assert [secret for secret in secrets if secret.encode() in dump] == []
    assert [secret for secret in secrets if secret.encode().hex().encode() in dump] == []
