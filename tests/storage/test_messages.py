"""Finding messages: every filter finds what it says and nothing else, page by page."""

from datetime import timedelta
from typing import Any

from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, MessageFilter, MessageType
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock
from tests.services.phones import ENVAYA, Phone, register, sms, stored, submit


async def _fill(hub: Hub, clock: FakeClock) -> tuple[Phone, Phone]:
    """Store messages of both directions, each told apart by its text."""
    medic = await register(hub, tags=("clinic", "night.shift"))
    envaya = await register(hub, ENVAYA, tags=("Clinic", "clinic_x"))
    project = medic.project_id
    await submit(hub, project, "50% off", to="+255710000001", device=medic.device)
    await submit(hub, project, "500 off", to="0710 000 001", reference="r%1", tag="clinic")
    assert await medic.poll() != []
    clock.advance(minutes=1)
    await submit(hub, project, "a_b", to="+255710000002", device=envaya.device, reference="r_1")
    await submit(hub, project, "aXb", to="15000", device=envaya.device)
    assert await envaya.poll() != []
    clock.advance(minutes=1)
    await submit(hub, project, r"C:\new/old", to="+255710000002", reference="rX1", tag="clinic")
    in_an_hour = clock.now + timedelta(hours=1)
    await submit(hub, project, "later", to="+255710000003", send_at=in_an_hour, tag="clinic-x")
    await medic.post(
        messages=[sms("1", "Hello Hub", contact="+255710000001"), sms("2", "x", contact="Bank")],
        takes_work=False,
    )
    await envaya.post(
        messages=[
            sms("3", "", contact="", type=MessageType.CALL),
            sms("4", "photo", type=MessageType.MMS),
            sms("5", "by hand", type=MessageType.SENT),
        ],
        takes_work=False,
    )
    other = await hub.access.create_project("other", None)
    await submit(hub, other.id, "50% off of another project", reference="r_1", tag="clinic")
    return medic, envaya


def _filters(medic: Phone, envaya: Phone, clock: FakeClock) -> dict[str, tuple[Any, set[str]]]:
    """Return filters, and by hand what each must find in what `_fill` stored."""
    outbound = {"50% off", "500 off", "a_b", "aXb", r"C:\new/old", "later"}
    inbound = {"Hello Hub", "x", "", "photo", "by hand"}
    last_minute = clock.now - timedelta(seconds=1)
    return {
        "all": ({}, outbound | inbound),
        "outbound": ({"direction": Direction.OUTBOUND}, outbound),
        "inbound": ({"direction": Direction.INBOUND}, inbound),
        "scheduled": ({"status": Status.SCHEDULED}, {"later"}),
        "queued": ({"status": Status.QUEUED}, {r"C:\new/old"}),
        "calls": ({"type": MessageType.CALL}, {""}),
        "typed by hand": ({"type": MessageType.SENT}, {"by hand"}),
        "of a device": (
            {"device_id": envaya.device.id},
            {"a_b", "aXb", "", "photo", "by hand"},
        ),
        "of a device that sent by tag": (
            {"device_id": medic.device.id, "direction": Direction.OUTBOUND},
            {"50% off", "500 off"},
        ),
        "with a contact": (
            {"contact_keys": ("+255710000001",)},
            {"50% off", "Hello Hub"},
        ),
        "with a contact in two spellings": (
            {"contact_keys": ("+255710000001", "0710000001")},
            {"50% off", "500 off", "Hello Hub"},
        ),
        "with a name": ({"contact_keys": ("Bank",)}, {"x"}),
        "with a hidden caller": ({"contact_keys": ("",)}, {""}),
        "with nobody": ({"contact_keys": ()}, set()),
        "with a tag": (
            {"tag": "clinic"},
            {"50% off", "500 off", r"C:\new/old", "Hello Hub", "x"},
        ),
        "with a tag that differs in case": (
            {"tag": "Clinic"},
            {"a_b", "aXb", "", "photo", "by hand"},
        ),
        "with a tag as a pattern": ({"tag": "clini_"}, set()),
        "with a part of a tag": ({"tag": "night"}, set()),
        "with a tag nobody has": ({"tag": "clinic-x"}, {"later"}),
        "with a tag as a JSON text": ({"tag": 'clinic", "night.shift'}, set()),
        "with a reference": ({"reference": "r_1"}, {"a_b"}),
        "with a reference as a pattern": ({"reference": "r%"}, set()),
        "made since": (
            {"created_after": last_minute},
            {r"C:\new/old", "later"} | inbound,
        ),
        "made before": (
            {"created_before": last_minute, "direction": Direction.OUTBOUND},
            {"50% off", "500 off", "a_b", "aXb"},
        ),
        "made after that very moment": ({"created_after": clock.now}, set()),
        "made before the first": ({"created_before": clock.now - timedelta(minutes=2)}, set()),
        "a part of the text in any case": ({"search": "hELLO"}, {"Hello Hub"}),
        "a percent sign": ({"search": "0% o"}, {"50% off"}),
        "an underscore": ({"search": "a_"}, {"a_b"}),
        "a backslash": ({"search": "\\"}, {r"C:\new/old"}),
        "a slash": ({"search": "/o"}, {r"C:\new/old"}),
        "an apostrophe": ({"search": "' OR 1=1 --"}, set()),
        "several things at once": (
            {"search": "off", "tag": "clinic", "reference": "r%1", "status": Status.DISPATCHED},
            {"500 off"},
        ),
    }


async def test_each_filter_finds_what_it_says(hub: Hub, clock: FakeClock) -> None:
    medic, envaya = await _fill(hub, clock)
    wrong = {}
    for name, (wanted, expected) in _filters(medic, envaya, clock).items():
        found = {item.message.text for item in await stored(hub, medic.project_id, **wanted)}
        if found != expected:
            wrong[name] = found
    assert wrong == {}


async def test_pages_neither_repeat_nor_leave_out_while_messages_come_in(hub: Hub) -> None:
    project = (await hub.access.ensure_default_project()).id
    first = [(await submit(hub, project, f"text {number}")).id for number in range(7)]
    seen: list[str] = []
    before = "~"
    while True:
        page = await hub.outbox.list_messages(project, MessageFilter(), before=before, limit=3)
        if not page:
            break
        seen += [item.message.id for item in page]
        before = seen[-1]
        await submit(hub, project, "meanwhile")
    assert seen == first[::-1]


async def test_a_list_shows_of_each_message_its_own_attempts_and_attachments(hub: Hub) -> None:
    phone = await register(hub)
    sent = [await submit(hub, phone.project_id, f"text {number}") for number in range(3)]
    await phone.poll()
    waiting = await submit(hub, phone.project_id, "waiting")
    shown = await stored(hub, phone.project_id)
    assert [item.message.id for item in shown] == [*(item.id for item in sent), waiting.id]
    assert [[tried.wire_id for tried in item.attempts] for item in shown] == [
        *([item.id] for item in sent),
        [],
    ]
