"""What phones forward is stored once, however often and from wherever at once it comes."""

import asyncio
import io
from datetime import UTC, datetime

import asyncpg
import pytest

from gateway_hub.domain.messages import Direction, MessageType
from gateway_hub.domain.phone_posts import ForwardedMessage, QuarantinedItem, StoredPart
from gateway_hub.domain.phone_posts import QuarantineKind as Kind
from gateway_hub.domain.segments import Encoding
from gateway_hub.services.hub import Hub
from gateway_hub.storage.engines import normalise_url
from tests.conftest import FakeClock, MakeHub
from tests.services.phones import ENVAYA, register, sms, stored, submit


async def test_a_repeated_message_is_stored_once(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    first = await phone.post(messages=[sms("1"), sms("2", "other")])
    clock.advance(hours=1)
    again = await phone.post(messages=[sms("2", "other"), sms("3", "new")])
    repeat = await phone.post(messages=[sms("3", "new"), sms("1")])
    messages = [item.message for item in await stored(hub, phone.project_id)]
    assert [(item.text, item.repeats) for item in messages] == [
        ("hello", 1),
        ("other", 1),
        ("new", 1),
    ]
    assert (first.repeated, again.repeated, repeat.repeated) == (False, False, True)
    assert messages[0].created_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert await phone.quarantine() == []


async def test_a_message_twice_in_one_post_is_stored_once(hub: Hub) -> None:
    phone = await register(hub)
    answer = await phone.post(messages=[sms("1"), sms("2", "other"), sms("1")])
    messages = [item.message for item in await stored(hub, phone.project_id)]
    assert [(item.text, item.repeats) for item in messages] == [("hello", 1), ("other", 0)]
    assert not answer.repeated


async def test_equal_texts_under_two_keys_are_two_messages(hub: Hub) -> None:
    phone = await register(hub)
    await phone.post(messages=[sms("at 12:00:00"), sms("at 12:00:01")])
    assert len(await stored(hub, phone.project_id)) == 2


async def test_two_phones_may_use_one_key(hub: Hub) -> None:
    phones = [await register(hub), await register(hub)]
    await asyncio.gather(*(phone.post(messages=[sms("1")]) for phone in phones))
    messages = [item.message for item in await stored(hub, phones[0].project_id)]
    assert {item.device_id for item in messages} == {phone.device.id for phone in phones}
    assert [item.repeats for item in messages] == [0, 0]


async def test_posts_at_the_same_moment_in_any_process_store_each_message_once(
    make_hub: MakeHub, database_url: str
) -> None:
    hubs = [await make_hub()]
    if not hubs[0].database.is_sqlite:
        hubs.append(await make_hub())
    phone = await register(hubs[0])
    batch = [sms(str(number), f"text {number}") for number in range(5)]
    answers = await asyncio.gather(
        *(phone.post(messages=batch, hub=hubs[turn % len(hubs)]) for turn in range(20))
    )
    messages = [item.message for item in await stored(hubs[0], phone.project_id)]
    assert sorted(item.text for item in messages) == [f"text {number}" for number in range(5)]
    assert [item.repeats for item in messages] == [19] * 5
    assert [answer.repeated for answer in answers].count(False) == 1


_CLAIM = """
    INSERT INTO inbound_receipts (device_id, dedupe_key, message_id, content_digest, first_seen_at,
                                  repeats)
    VALUES ($1, '5', 'm', '', 0, 0)
"""
_BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.postgres
async def test_posts_that_hold_the_same_messages_in_other_orders_do_not_block_one_another(
    make_hub: MakeHub, database_url: str
) -> None:
    """The timed poll and the poll at an incoming SMS run in parallel on the phone.

    A third party stops both in the middle; were each then to wait for the other, PostgreSQL would
    let one fail after a second.
    """
    hubs = [await make_hub(), await make_hub()]
    phone = await register(hubs[0])
    batch = [sms(str(number), f"text {number}") for number in range(10)]
    url = normalise_url(database_url).set(drivername="postgresql")
    other = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(_CLAIM, phone.device.id)
        posts = [
            asyncio.create_task(phone.post(messages=order, hub=hub, patience_seconds=0))
            for order, hub in zip([batch, batch[::-1]], hubs, strict=True)
        ]
        async with asyncio.timeout(5):
            while await other.fetchval(_BLOCKED) < 2:
                await asyncio.sleep(0.01)
        await transaction.rollback()
        answers = await asyncio.gather(*posts)
    finally:
        await other.close()
    assert sorted(answer.repeated for answer in answers) == [False, True]
    messages = [item.message for item in await stored(hubs[0], phone.project_id)]
    assert sorted(item.text for item in messages) == sorted(item.text for item in batch)


@pytest.mark.parametrize(
    "conflicting",
    [
        pytest.param(sms("1", "another text"), id="another text"),
        pytest.param(sms("1", contact="+255710000008"), id="another sender"),
    ],
)
async def test_of_two_messages_under_one_key_the_first_is_kept_and_the_other_shown(
    hub: Hub, conflicting: ForwardedMessage
) -> None:
    phone = await register(hub)
    await phone.post(messages=[sms("1")])
    await phone.post(messages=[conflicting])
    answer = await phone.post(messages=[conflicting, sms("2", "next")])
    assert [item.message.text for item in await stored(hub, phone.project_id)] == ["hello", "next"]
    aside = await phone.quarantine()
    assert [(item.kind, item.seen) for item in aside] == [(Kind.CONFLICTING_MESSAGE, 2)]
    assert conflicting.text in aside[0].raw
    assert conflicting.contact in aside[0].raw
    assert not answer.repeated


async def test_a_conflict_within_one_post_keeps_the_first(hub: Hub) -> None:
    phone = await register(hub)
    await phone.post(messages=[sms("1", "first"), sms("1", "second")])
    assert [item.message.text for item in await stored(hub, phone.project_id)] == ["first"]
    assert [item.kind for item in await phone.quarantine()] == [Kind.CONFLICTING_MESSAGE]


async def test_a_repeat_gets_the_replies_of_the_first_answer_again(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    sent = [await submit(hub, phone.project_id, f"text {number}") for number in range(2)]
    first = await phone.post(messages=[sms("1"), sms("2", "other")])
    await submit(hub, phone.project_id, "later")
    clock.advance(seconds=20)
    again = await phone.post(messages=[sms("1"), sms("2", "other")])
    assert [offer.wire_id for offer in first.offers] == [item.id for item in sent]
    assert again.offers == first.offers
    assert again.repeated


async def test_a_reply_that_was_reported_on_is_not_given_again(hub: Hub) -> None:
    phone = await register(hub)
    sent = [await submit(hub, phone.project_id, f"text {number}") for number in range(2)]
    await phone.post(messages=[sms("1")])
    await phone.report(sent[0].id, "UNSENT")
    again = await phone.poll(messages=[sms("1")])
    assert again == [sent[1].id]


async def test_bad_items_cost_only_themselves_and_are_shown_with_how_often(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    bad = [
        QuarantinedItem(Kind.INVALID_MESSAGE, "from is missing", '{"id": "1"}'),
        QuarantinedItem(Kind.INVALID_REPORT, "status is missing", '{"id": "1"}'),
    ]
    await phone.post(messages=[sms("2")], quarantined=bad)
    clock.advance(minutes=1)
    await phone.post(quarantined=[*bad[:1], *bad[:1]])
    shown = {item.kind: item for item in await phone.quarantine()}
    assert {kind: (item.detail, item.raw, item.seen) for kind, item in shown.items()} == {
        Kind.INVALID_MESSAGE: ("from is missing", '{"id": "1"}', 3),
        Kind.INVALID_REPORT: ("status is missing", '{"id": "1"}', 1),
    }
    first = shown[Kind.INVALID_MESSAGE]
    assert (first.last_seen_at - first.first_seen_at).total_seconds() == 60
    assert len(await stored(hub, phone.project_id)) == 1


async def test_the_parts_of_an_mms_are_stored_once_in_their_order(hub: Hub) -> None:
    phone = await register(hub, ENVAYA)

    async def with_parts() -> ForwardedMessage:
        parts = []
        for name, content in [("b.jpg", b"photo"), ("../../etc/passwd", b"text"), (None, b"")]:
            blob = await hub.attachments.store(io.BytesIO(content))
            parts.append(
                StoredPart("image/jpeg", "<c>", name, blob.size_bytes, blob.sha256, blob.key)
            )
        return sms("1", "", type=MessageType.MMS, parts=tuple(parts))

    first, second = await with_parts(), await with_parts()
    assert not (await phone.post(messages=[first])).repeated
    assert (await phone.post(messages=[second])).repeated
    await hub.attachments.discard(second.parts)
    (details,) = await stored(hub, phone.project_id)
    assert [item.filename for item in details.attachments] == ["b.jpg", "../../etc/passwd", None]
    assert [item.position for item in details.attachments] == [0, 1, 2]
    for attachment, content in zip(details.attachments, [b"photo", b"text", b""], strict=True):
        known = await hub.outbox.get_attachment(phone.project_id, attachment.id)
        assert known == attachment
        assert (await hub.attachments.get_path(known)).read_bytes() == content


@pytest.mark.parametrize(
    ("type_", "from_number", "to_number"),
    [
        (MessageType.SMS, "0710 000 009", "+255710000099"),
        (MessageType.MMS, "0710 000 009", "+255710000099"),
        (MessageType.CALL, "0710 000 009", "+255710000099"),
        (MessageType.SENT, "+255710000099", "0710 000 009"),
    ],
    ids=["sms", "mms", "call", "sent"],
)
async def test_who_wrote_to_whom_is_kept_as_given_and_in_e164(
    hub: Hub, type_: MessageType, from_number: str, to_number: str
) -> None:
    phone = await register(hub, region="TZ")
    await phone.post(messages=[sms("1", "abc€", contact="0710 000 009", type=type_)])
    (details,) = await stored(hub, phone.project_id)
    message = details.message
    assert message.direction is Direction.INBOUND
    assert (message.from_number, message.to_number) == (from_number, to_number)
    assert {message.from_e164, message.to_e164} == {"+255710000009", "+255710000099"}
    assert (message.from_e164 == "+255710000099") is (type_ is MessageType.SENT)
    no_call = (None, None) if type_ is MessageType.CALL else (Encoding.GSM7, 1)
    assert (message.encoding, message.segments) == no_call
    assert message.final
    found = await stored(hub, phone.project_id, contact_keys=("+255710000009",))
    assert [item.message.id for item in found] == [message.id]


async def test_a_number_is_read_in_the_devices_region_or_else_in_the_projects(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    await hub.access.change_project(project.id, {"region": "KE"})
    for region, key in [("TZ", "1"), (None, "2")]:
        phone = await register(hub, region=region)
        await phone.post(messages=[sms(key, contact="0710 000 009")])
    found = [item.message.from_e164 for item in await stored(hub, project.id)]
    assert found == ["+255710000009", "+254710000009"]


async def test_what_cannot_be_a_number_stays_as_it_came(hub: Hub) -> None:
    phone = await register(hub, region="TZ")
    contacts = ["", "Vodacom", "15000", "user@example.org", "x" * 255]
    await phone.post(
        messages=[sms(str(number), contact=item) for number, item in enumerate(contacts)]
    )
    found = [item.message for item in await stored(hub, phone.project_id)]
    assert [item.from_number for item in found] == contacts
    assert {item.from_e164 for item in found} == {None}
