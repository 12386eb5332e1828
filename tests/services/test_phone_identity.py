"""Which phone is speaking: proved by a password, or by what it signs with."""

import time
from pathlib import Path

import pytest
from sqlalchemy import event, text

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, MEDIC, register

CHOSEN = "a chosen password"


async def _medic(hub: Hub, username: str = "gateway", password: str | None = CHOSEN) -> str:
    """Return the id of a new device with those credentials."""
    project = await hub.access.ensure_default_project()
    draft = DeviceDraft("phone", MEDIC, username=username, password=password)
    view, _ = await hub.devices.create(project.id, draft)
    return view.device.id


async def _find(
    hub: Hub, *passwords: str, username: str = "gateway", project: str | None = None
) -> str | None:
    candidates = tuple(password.encode() for password in passwords)
    found = await hub.identity.find_by_password((username,), candidates, project)
    return found.id if found else None


async def test_a_phone_is_known_by_its_name_and_password_together(hub: Hub) -> None:
    device = await _medic(hub)
    assert await _find(hub, CHOSEN) == device
    assert await _find(hub, "wrong", CHOSEN) == device
    for wrong in ((), ("",), ("wrong",), (CHOSEN.upper(),), (f"{CHOSEN} ",)):
        assert await _find(hub, *wrong) is None
    for name in ("", "Gateway", "gateway ", "gatewa_", "%", "nobody"):
        assert await _find(hub, CHOSEN, username=name) is None


async def test_two_phones_with_one_name_are_told_apart_by_their_passwords(hub: Hub) -> None:
    first = await _medic(hub)
    second = await _medic(hub, password="another password")
    assert await _find(hub, CHOSEN) == first
    assert await _find(hub, "another password") == second
    assert await _find(hub, "wrong") is None


async def test_any_spelling_of_a_name_that_the_bytes_may_mean_will_do(hub: Hub) -> None:
    device = await _medic(hub, username="phöne")
    names = ("ph\u00c3\u00b6ne", "phöne")
    found = await hub.identity.find_by_password(names, (CHOSEN.encode(),), None)
    assert found is not None
    assert found.id == device
    assert await hub.identity.find_by_password((), (CHOSEN.encode(),), None) is None


async def test_an_envaya_phone_is_not_opened_by_a_password(hub: Hub) -> None:
    phone = await register(hub, ENVAYA)
    names = (phone.device.phone_number or "", phone.device.id, "")
    passwords = (phone.issued.password.encode(),)
    assert await hub.identity.find_by_password(names, passwords, None) is None


async def test_the_project_in_the_path_narrows_the_search(hub: Hub) -> None:
    medic, envaya = await _medic(hub), await register(hub, ENVAYA)
    number = envaya.device.phone_number or ""
    default = await hub.access.ensure_default_project()
    other = await hub.access.create_project("other", None)
    await hub.access.create_project(default.id, None)
    for project, known in {
        None: True,
        "default": True,
        default.id: True,
        "other": False,
        other.id: False,
        "nowhere": False,
        "": False,
    }.items():
        assert (await _find(hub, CHOSEN, project=project) == medic) is known
        signing = await hub.identity.find_signing_devices(number, project)
        assert [item.device.id for item in signing] == ([envaya.device.id] if known else [])


async def test_what_no_name_can_be_is_nobody(hub: Hub) -> None:
    """A stranger sends any bytes: they are no fault of ours, and nobody's name."""
    await _medic(hub)
    for odd in ("\0", "gate\0way", "\ud800", "x" * 100_000, "' OR 1=1 --", "\\"):
        assert await _find(hub, CHOSEN, username=odd) is None
        assert await _find(hub, CHOSEN, project=odd) is None
        assert await hub.identity.find_signing_devices(odd, None) == []
        assert await hub.identity.find_signing_devices("+255710000001", odd) == []
        passwords = (odd.encode("utf-8", "surrogatepass"),)
        assert await hub.identity.find_by_password(("gateway",), passwords, None) is None


async def test_a_signing_phone_is_found_by_its_number_in_any_spelling(hub: Hub) -> None:
    phone = await register(hub, ENVAYA, number="+255 710 000 099")
    twin = await register(hub, ENVAYA, number="255710000099")
    for spelling in ("+255710000099", "00255 710-000-099", "255710000099", "(255) 710 000 099"):
        found = await hub.identity.find_signing_devices(spelling, None)
        assert {item.device.id: item.passwords for item in found} == {
            phone.device.id: (phone.issued.password,),
            twin.device.id: (twin.issued.password,),
        }
    assert await hub.identity.find_signing_devices("+255710000098", None) == []
    assert await hub.identity.find_signing_devices("", None) == []


async def _cut_readers_off(hub: Hub, times: float) -> None:
    """Close every reading connection, and let the next *times* new ones be refused."""
    left = times

    def refuse(*_arguments: object) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise ConnectionRefusedError("nobody listens")

    await hub.database._reader.dispose()
    event.listen(hub.database._reader.sync_engine, "do_connect", refuse)


async def test_a_phone_is_not_refused_while_the_database_restarts(hub: Hub) -> None:
    medic, envaya = await _medic(hub), await register(hub, ENVAYA)
    await _cut_readers_off(hub, times=3)
    assert await _find(hub, CHOSEN) == medic
    await _cut_readers_off(hub, times=3)
    (found,) = await hub.identity.find_signing_devices("+255710000099", None)
    assert found.device.id == envaya.device.id


async def test_a_caller_of_the_api_is_told_at_once_that_the_database_is_away(hub: Hub) -> None:
    await _cut_readers_off(hub, times=float("inf"))
    started = time.monotonic()
    with pytest.raises(UnavailableError):
        await hub.access.authenticate("ghk_x")
    assert time.monotonic() - started < 3


async def _spoil_stored_secrets(hub: Hub) -> None:
    """Replace what is stored of every secret by something that no password opens."""

    async def use_case(tx: Transaction) -> None:
        await tx.execute(text("UPDATE device_credentials SET secret = :spoilt"), {"spoilt": b"x"})
        await hub.directory.note_change(tx)

    await hub.database.write(use_case)


async def test_a_chosen_password_is_hashed_once_and_then_remembered(hub: Hub) -> None:
    device = await _medic(hub)
    assert await _find(hub, CHOSEN) == device
    await _spoil_stored_secrets(hub)
    assert await _find(hub, CHOSEN) == device
    assert await _find(hub, "wrong") is None


async def test_a_wrong_password_is_not_remembered(hub: Hub) -> None:
    await _medic(hub)
    assert await _find(hub, "wrong") is None
    assert await _find(hub, "wrong") is None
    await _spoil_stored_secrets(hub)
    assert await _find(hub, CHOSEN) is None


async def test_a_remembered_password_is_forgotten_with_its_credential_in_every_process(
    make_hub: MakeHub, database_url: str, clock: FakeClock
) -> None:
    hubs = [await make_hub()]
    if not hubs[0].database.is_sqlite:
        hubs.append(await make_hub())
    device = await _medic(hubs[0])
    project = await hubs[0].access.ensure_default_project()
    for hub in hubs:
        assert await _find(hub, CHOSEN) == device
    await hubs[0].devices.renew_credentials(
        project.id, device, password="new password", grace_seconds=0
    )
    for hub in hubs:
        assert await _find(hub, "new password") == device
        await hub.directory.follow()
        assert await _find(hub, CHOSEN) is None
        assert await _find(hub, "new password") == device


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.postgres
async def test_a_secret_that_no_key_opens_is_left_out_and_the_others_work(
    hub: Hub, database_url: str, clock: FakeClock, tmp_path: Path
) -> None:
    lost = await register(hub, ENVAYA)
    options = HubOptions(database_url, tmp_path, [SecretBox.generate_key()], migrate=False)
    other = Hub(options, clock)
    await other.start()
    try:
        kept = await register(other, ENVAYA)
        found = await other.identity.find_signing_devices("+255710000099", None)
    finally:
        await other.stop()
    assert {item.device.id: item.passwords for item in found} == {
        lost.device.id: (),
        kept.device.id: (kept.issued.password,),
    }


async def test_spellings_of_one_number_fill_no_memory(hub: Hub) -> None:
    """Whoever asks has proved nothing yet."""
    phone = await register(hub, ENVAYA)
    number = phone.device.phone_number or ""
    for count in range(50):
        (found,) = await hub.identity.find_signing_devices(number + "-" * count, None)
        assert found.device.id == phone.device.id
    assert len(hub.directory._known) == 1
    assert not await hub.identity.find_signing_devices(number + "-" * 1000, None)
