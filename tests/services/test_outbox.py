"""What backends ask for: submitted, looked up, taken back; and what becomes of it with time."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway_hub.domain.errors import ConflictError, HubError, InvalidInputError, NotFoundError
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import (
    IfUncertain,
    Message,
    MessageDetails,
    MessageDraft,
    MessageFilter,
    Route,
)
from gateway_hub.domain.segments import Encoding
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock
from tests.services.phones import ENVAYA, get, register, sms, status_of, stored, submit

NUMBER = "+255710000001"
NOON = datetime.fromisoformat("2026-03-01T12:00:00Z")


@pytest.fixture
def hub(quiet_hub: Hub) -> Hub:
    """A hub that does what is due when the test says so: two who do it pass over each other's."""
    return quiet_hub


async def _run_due(hub: Hub) -> None:
    """Let everything that is due be done; the hub does the same by itself every second."""
    while await hub.caretaker.run_due():
        pass


async def test_a_message_is_kept_as_it_was_asked_for(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    await hub.access.change_project(project.id, {"region": "TZ"})
    expires_at = NOON + timedelta(days=1)
    draft = MessageDraft(
        to="0710 000 001",
        text="Ça va? \N{GRINNING FACE}",
        route=Route(tag="clinic"),
        priority=7,
        expires_at=expires_at,
        max_attempts=3,
        if_uncertain=IfUncertain.RESEND,
        reference="order 17",
        metadata={"a": "1", "ü": "\N{GRINNING FACE}"},
    )
    message = await hub.outbox.submit(project.id, draft)
    details = await get(hub, message)
    assert details.message == message
    assert (details.attachments, details.attempts, details.reports) == ((), (), ())
    assert (message.to_number, message.to_e164) == ("0710 000 001", "+255710000001")
    assert (message.encoding, message.segments) == (Encoding.UCS2, 1)
    assert (message.status, message.final) == (Status.QUEUED, False)
    assert message.reached == {"queued": "2026-03-01T12:00:00.000Z"}
    for name in ("text", "route", "priority", "expires_at", "max_attempts", "if_uncertain"):
        assert getattr(message, name) == getattr(draft, name)
    assert (message.reference, message.metadata) == (draft.reference, draft.metadata)
    found = await stored(hub, project.id, contact_keys=("+255710000001",))
    assert [item.message.id for item in found] == [message.id]


@pytest.mark.parametrize(
    ("region", "to_device", "to_any"),
    [("KE", "+254710000001", "+255710000001"), (None, "+255710000001", "+255710000001")],
)
async def test_a_national_number_is_of_the_country_of_the_device_that_is_to_dial_it(
    hub: Hub, region: str | None, to_device: str, to_any: str
) -> None:
    project = await hub.access.ensure_default_project()
    await hub.access.change_project(project.id, {"region": "TZ"})
    phone = await register(hub, region=region)
    for device, e164 in ((phone.device, to_device), (None, to_any)):
        message = await submit(hub, project.id, to="0710 000 001", device=device)
        assert (message.to_number, message.to_e164) == ("0710 000 001", e164)
        found = await stored(hub, project.id, contact_keys=(e164,))
        assert message.id in [item.message.id for item in found]


_REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("a name", {"to": "Vodacom"}, "/to", "not_a_number"),
    ("nobody", {"to": ""}, "/to", "not_a_number"),
    ("full-width digits", {"to": "\uff10\uff11\uff12\uff13"}, "/to", "not_a_number"),
    ("an extension", {"to": "+41791234567;ext=5"}, "/to", "not_a_number"),
    ("a line break", {"to": "+255710000001\n"}, "/to", "not_a_number"),
    ("no text", {"text": ""}, "/text", "empty"),
    ("a NUL", {"text": "a\0b"}, "/text", "unsendable_character"),
    ("half an emoji", {"text": "a\ud83d"}, "/text", "unsendable_character"),
    ("no character", {"text": "\uffff"}, "/text", "unsendable_character"),
    ("an escape", {"text": "\x1b"}, "/text", "unsendable_character"),
    ("101 segments", {"text": "a" * (153 * 100 + 1)}, "/text", "text_too_long"),
    ("101 segments in UCS-2", {"text": "ж" * (67 * 100 + 1)}, "/text", "text_too_long"),
    ("an unknown device", {"route": Route(device_id="x")}, "/route/device_id", "unknown_device"),
    ("expiry now", {"expires_at": NOON}, "/expires_at", "too_early"),
    (
        "expiry before the sending",
        {"send_at": NOON + timedelta(hours=2), "expires_at": NOON + timedelta(hours=2)},
        "/expires_at",
        "too_early",
    ),
]


async def test_what_no_phone_could_send_is_refused_and_not_stored(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    refused = {}
    for name, fields, _, _ in _REFUSED:
        draft = MessageDraft(**({"to": NUMBER, "text": "hi"} | fields))
        with pytest.raises(InvalidInputError) as raised:
            await hub.outbox.submit(project.id, draft)
        refused[name] = [(item.pointer, item.code) for item in raised.value.fields]
        assert "\ud83d" not in str(raised.value)
    assert refused == {name: [(pointer, code)] for name, _, pointer, code in _REFUSED}
    assert await stored(hub, project.id) == []


@pytest.mark.parametrize("characters", [153 * 100, 67 * 100], ids=["GSM-7", "UCS-2"])
async def test_a_text_of_a_hundred_segments_is_taken(hub: Hub, characters: int) -> None:
    project = await hub.access.ensure_default_project()
    text = "a" * characters if characters % 153 == 0 else "ж" * characters
    assert (await submit(hub, project.id, text)).segments == 100


async def test_in_a_batch_each_draft_gets_its_own_answer_in_order(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    texts = ["first", "", "second", "a\0b", *(f"more {number}" for number in range(996))]
    results = await hub.outbox.submit_batch(
        project.id, [MessageDraft(NUMBER, text) for text in texts]
    )
    assert [item.text if isinstance(item, Message) else item.code for item in results] == [
        text if text not in {"", "a\0b"} else "invalid_input" for text in texts
    ]
    ids = [item.id for item in results if isinstance(item, Message)]
    assert ids == sorted(ids)
    assert len(ids) == 998
    page = await hub.outbox.list_messages(project.id, MessageFilter(), before="~", limit=1000)
    assert [item.message.id for item in page] == ids[::-1]
    assert await hub.outbox.submit_batch(project.id, []) == []


async def test_a_batch_of_nothing_but_bad_drafts_stores_nothing(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    results = await hub.outbox.submit_batch(project.id, [MessageDraft("", "")] * 3)
    assert all(isinstance(item, HubError) for item in results)
    assert await stored(hub, project.id) == []


async def test_a_message_is_taken_back_until_a_phone_has_it(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    queued = await submit(hub, phone.project_id)
    scheduled = await submit(hub, phone.project_id, send_at=NOON + timedelta(hours=1))
    clock.advance(minutes=1)
    for message in (queued, scheduled):
        cancelled = (await hub.outbox.cancel(phone.project_id, message.id)).message
        assert cancelled.status is Status.CANCELLED
        assert cancelled.final
        again = await hub.outbox.cancel(phone.project_id, message.id)
        assert again.message == cancelled
        assert (await get(hub, message)).message == cancelled
        assert cancelled.reached["cancelled"] == "2026-03-01T12:01:00.000Z"
    clock.advance(hours=2)
    await _run_due(hub)
    assert await phone.poll() == []


async def test_a_message_a_phone_may_have_is_not_taken_back(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    message = await submit(hub, phone.project_id)
    await phone.poll()
    for word in (None, "failed", "sent"):
        if word is not None:
            await phone.report(message.id, word)
        before = await get(hub, message)
        with pytest.raises(ConflictError) as raised:
            await hub.outbox.cancel(phone.project_id, message.id)
        assert raised.value.code == "not_cancellable"
        assert await get(hub, message) == before
    await phone.post(messages=[sms("1")])
    (inbound,) = await stored(hub, phone.project_id, device_id=phone.device.id, search="hello")
    with pytest.raises(ConflictError):
        await hub.outbox.cancel(phone.project_id, inbound.message.id)


async def test_a_message_is_either_taken_back_or_given_out_never_both(hub: Hub) -> None:
    phone = await register(hub)
    sent = [await submit(hub, phone.project_id) for _ in range(20)]
    polls = [phone.poll() for _ in range(2)]
    cancels = [hub.outbox.cancel(phone.project_id, message.id) for message in sent]
    answers = await asyncio.gather(*cancels[:10], *polls, *cancels[10:], return_exceptions=True)
    offered = {wire_id for answer in answers if isinstance(answer, list) for wire_id in answer}
    taken_back = {answer.message.id for answer in answers if isinstance(answer, MessageDetails)}
    assert not offered & taken_back
    assert offered | taken_back == {message.id for message in sent}
    for message in sent:
        expected = Status.DISPATCHED if message.id in offered else Status.CANCELLED
        assert await status_of(hub, message) is expected


async def test_a_scheduled_message_is_queued_at_its_time(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id, send_at=NOON + timedelta(minutes=10))
    assert message.status is Status.SCHEDULED
    clock.advance(minutes=10, milliseconds=-1)
    await _run_due(hub)
    assert await phone.poll() == []
    clock.advance(milliseconds=1)
    await _run_due(hub)
    details = await get(hub, message)
    assert details.message.reached == {
        "scheduled": "2026-03-01T12:00:00.000Z",
        "queued": "2026-03-01T12:10:00.000Z",
    }
    assert await phone.poll() == [message.id]


@pytest.mark.parametrize("minutes", [0, -5])
async def test_a_time_that_has_come_is_no_reason_to_wait(hub: Hub, minutes: int) -> None:
    project = await hub.access.ensure_default_project()
    message = await submit(hub, project.id, send_at=NOON + timedelta(minutes=minutes))
    assert message.status is Status.QUEUED


async def test_what_no_phone_fetched_in_time_expires(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    soon, late = NOON + timedelta(minutes=10), NOON + timedelta(minutes=20)
    dispatched = await submit(hub, phone.project_id, expires_at=soon)
    assert await phone.poll() == [dispatched.id]
    waiting = await submit(hub, phone.project_id, expires_at=soon)
    longer = await submit(hub, phone.project_id, expires_at=late)
    scheduled = await submit(
        hub, phone.project_id, send_at=NOON + timedelta(minutes=9), expires_at=soon
    )
    clock.advance(minutes=10)
    await _run_due(hub)
    found = {
        message.id: await status_of(hub, message)
        for message in (dispatched, waiting, longer, scheduled)
    }
    assert found == {
        dispatched.id: Status.UNCERTAIN,  # its phone is not to be asked again
        waiting.id: Status.EXPIRED,
        longer.id: Status.QUEUED,
        scheduled.id: Status.EXPIRED,
    }
    assert (await get(hub, waiting)).message.final
    with pytest.raises(ConflictError):
        await hub.outbox.cancel(phone.project_id, waiting.id)


async def test_many_messages_due_at_once_are_all_done(hub: Hub, clock: FakeClock) -> None:
    project = await hub.access.ensure_default_project()
    later = NOON + timedelta(minutes=1)
    drafts = [MessageDraft(NUMBER, "hi", send_at=later) for _ in range(250)]
    drafts += [MessageDraft(NUMBER, "hi", expires_at=later) for _ in range(250)]
    await hub.outbox.submit_batch(project.id, drafts)
    clock.advance(minutes=1)
    await _run_due(hub)
    for status in (Status.QUEUED, Status.EXPIRED):
        wanted = MessageFilter(status=status)
        page = await hub.outbox.list_messages(project.id, wanted, before="~", limit=500)
        assert len(page) == 250


async def test_one_project_never_reaches_anothers_messages(hub: Hub) -> None:
    phone = await register(hub)
    other = await hub.access.create_project("other", None)
    message = await submit(hub, phone.project_id, reference="r")
    await phone.post(messages=[sms("1")], takes_work=False)
    for id_ in [item.message.id for item in await stored(hub, phone.project_id)]:
        with pytest.raises(NotFoundError):
            await hub.outbox.get(other.id, id_)
        with pytest.raises(NotFoundError):
            await hub.outbox.cancel(other.id, id_)
    assert await status_of(hub, message) is Status.QUEUED
    for wanted in ({}, {"reference": "r"}, {"device_id": phone.device.id}, {"search": "h"}):
        assert await stored(hub, other.id, **wanted) == []
    with pytest.raises(InvalidInputError) as raised:
        await submit(hub, other.id, device=phone.device)
    assert raised.value.fields[0].code == "unknown_device"


async def test_a_message_cannot_be_routed_to_a_device_that_was_removed(hub: Hub) -> None:
    phone = await register(hub)
    await hub.devices.delete(phone.project_id, phone.device.id)
    with pytest.raises(InvalidInputError):
        await submit(hub, phone.project_id, device=phone.device)


async def test_what_is_not_there_is_not_found(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    for id_ in ("", "x" * 64, "01976d2a-0000-7000-8000-000000000001"):
        with pytest.raises(NotFoundError):
            await hub.outbox.get(project.id, id_)
        with pytest.raises(NotFoundError):
            await hub.outbox.cancel(project.id, id_)
        with pytest.raises(NotFoundError):
            await hub.outbox.get_attachment(project.id, id_)
