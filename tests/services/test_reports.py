"""What phones report of what they were given: both apps' words, repeats, disorder and nonsense."""

from dataclasses import replace

import pytest

from gateway_hub.domain.devices import ENVAYA_MAX_TRIES
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageError
from gateway_hub.domain.phone_posts import PhoneReport
from gateway_hub.domain.phone_posts import QuarantineKind as Kind
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock
from tests.services.phones import ENVAYA, Phone, get, register, status_of, submit, told

S = Status


async def _handed_over(hub: Hub, phone: Phone) -> Message:
    message = await submit(hub, phone.project_id)
    assert await phone.poll() == [message.id]
    return message


_MEDIC_WORDS = {
    "UNSENT": S.ACCEPTED,
    "UNSENT PENDING": S.PENDING,
    "UNSENT PENDING SENT": S.SENT,
    "UNSENT PENDING SENT DELIVERED": S.DELIVERED,
    "UNSENT PENDING UNSENT PENDING UNSENT": S.PENDING,
    "SENT PENDING UNSENT": S.SENT,
    "DELIVERED SENT PENDING UNSENT FAILED": S.DELIVERED,
    "UNSENT FAILED": S.FAILED,
    "PENDING FAILED PENDING": S.FAILED,
    "PENDING FAILED PENDING SENT": S.SENT,
    "PENDING FAILED DELIVERED": S.DELIVERED,
    "SENT FAILED": S.SENT,
    "SENT SENT SENT": S.SENT,
}


@pytest.mark.parametrize("in_one_post", [False, True], ids=["one by one", "in one post"])
async def test_a_medic_phones_words_move_a_message_forwards_only(
    hub: Hub, in_one_post: bool
) -> None:
    phone = await register(hub)
    found = {}
    for words in _MEDIC_WORDS:
        message = await _handed_over(hub, phone)
        reports = [told(message.id, word) for word in words.split()]
        for post in [reports] if in_one_post else [[report] for report in reports]:
            await phone.post(reports=post)
        details = await get(hub, message)
        assert [item.raw_status for item in details.reports] == words.split()
        assert details.attempts[0].status is details.message.status
        found[words] = details.message.status
    assert found == _MEDIC_WORDS


async def test_a_failure_says_why_until_good_news_lifts_it(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub)
    message = await _handed_over(hub, phone)
    clock.advance(seconds=1)
    await phone.report(message.id, "FAILED", reason="radio-off")
    failed = (await get(hub, message)).message
    assert failed.error == MessageError("device_failed", "radio-off")
    assert failed.final
    clock.advance(seconds=1)
    await phone.report(message.id, "SENT")
    details = await get(hub, message)
    assert details.message.error is None
    assert not details.message.final
    assert details.message.reached == {
        "queued": "2026-03-01T12:00:00.000Z",
        "dispatched": "2026-03-01T12:00:00.000Z",
        "failed": "2026-03-01T12:00:01.000Z",
        "sent": "2026-03-01T12:00:02.000Z",
    }
    assert [(item.raw_status, item.reason, item.applied) for item in details.reports] == [
        ("FAILED", "radio-off", True),
        ("SENT", None, True),
    ]


async def test_an_envaya_failure_is_one_of_five_tries(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    message = await _handed_over(hub, phone)
    for delay, seconds in enumerate([0, 20, 300, 3600, 86_400], start=1):
        clock.advance(seconds=seconds)
        await phone.report(message.id, "failed", reason=f"try {delay}")
        now = (await get(hub, message)).message
        last = delay == ENVAYA_MAX_TRIES
        assert now.status is (S.FAILED if last else S.ACCEPTED)
        code = "device_failed" if last else "device_retrying"
        assert now.error == MessageError(code, f"try {delay}")
        assert now.final is last
    clock.advance(minutes=1)
    await phone.report(message.id, "sent")
    details = await get(hub, message)
    assert (details.message.status, details.message.error) == (S.SENT, None)
    assert details.message.final
    assert details.attempts[0].soft_failures == ENVAYA_MAX_TRIES


async def test_a_failure_repeated_at_once_is_the_same_try(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    message = await _handed_over(hub, phone)
    for _ in range(3):
        await phone.report(message.id, "failed", reason="no service")
        clock.advance(seconds=14, milliseconds=999)
        await phone.report(message.id, "failed", reason="no service")
        clock.advance(milliseconds=1)
    details = await get(hub, message)
    assert details.attempts[0].soft_failures == 3
    assert details.message.status is S.ACCEPTED
    assert [item.applied for item in details.reports] == [True, False] * 3


async def test_failures_told_twice_do_not_take_the_place_of_later_tries(
    hub: Hub, clock: FakeClock
) -> None:
    """The app repeats what it got no answer to when the hub is there again, minutes later."""
    phone = await register(hub, ENVAYA)
    message = await _handed_over(hub, phone)
    for seconds in [0, 20, 300, 3600, 86_400]:
        clock.advance(seconds=seconds)
        assert await status_of(hub, message) is not S.FAILED
        for _ in range(2):
            await phone.report(message.id, "failed", reason="no service")
            clock.advance(minutes=1)
    assert await status_of(hub, message) is S.FAILED


async def test_an_envaya_failure_that_no_try_can_mend_is_final(hub: Hub) -> None:
    phone = await register(hub, ENVAYA)
    message = await _handed_over(hub, phone)
    report = PhoneReport(message.id, S.FAILED, "failed", "Message body is empty", gives_up=True)
    await phone.post(reports=[report])
    assert (await get(hub, message)).message.error == MessageError(
        "device_failed", "Message body is empty"
    )
    assert await status_of(hub, message) is S.FAILED


_ENVAYA_WORDS = {
    "cancelled": S.CANCELLED,
    "failed cancelled": S.CANCELLED,
    "cancelled sent": S.CANCELLED,
    "sent cancelled": S.SENT,
    "sent failed": S.SENT,
    "failed sent failed": S.SENT,
}


async def test_an_envaya_phones_last_word_stands(hub: Hub, clock: FakeClock) -> None:
    phone = await register(hub, ENVAYA)
    found = {}
    for words in _ENVAYA_WORDS:
        message = await _handed_over(hub, phone)
        for word in words.split():
            clock.advance(minutes=1)
            await phone.report(message.id, word)
        details = await get(hub, message)
        assert details.message.error is None or details.message.status is not S.SENT
        assert len(details.reports) == len(words.split())
        found[words] = details.message.status
    assert found == _ENVAYA_WORDS


async def test_a_failure_told_after_the_sending_is_kept_and_changes_nothing(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub, ENVAYA)
    message = await _handed_over(hub, phone)
    await phone.report(message.id, "sent")
    before = await get(hub, message)
    for _ in range(2 * ENVAYA_MAX_TRIES):
        clock.advance(minutes=1)
        await phone.report(message.id, "failed")
    after = await get(hub, message)
    assert after.message == before.message
    heard = tuple(replace(item, last_sign_at=clock.now) for item in before.attempts)
    assert after.attempts == heard
    assert {item.applied for item in after.reports[1:]} == {False}


async def test_a_report_that_changes_nothing_leaves_the_message_untouched(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    message = await _handed_over(hub, phone)
    await phone.report(message.id, "SENT")
    before = (await get(hub, message)).message
    clock.advance(hours=1)
    await phone.post(reports=[told(message.id, word) for word in ("UNSENT", "SENT", "PENDING")])
    assert (await get(hub, message)).message == before


async def test_an_unknown_word_or_id_is_put_aside_and_costs_the_others_nothing(
    hub: Hub, clock: FakeClock
) -> None:
    phone = await register(hub)
    message = await _handed_over(hub, phone)
    reports = [
        told("no-such-id", "SENT"),
        told(message.id, "EXPLODED", reason="boom"),
        told("x" * 255, "EXPLODED"),
        told(message.id, "UNSENT"),
    ]
    await phone.post(reports=reports)
    clock.advance(minutes=1)
    await phone.post(reports=reports[:2])
    details = await get(hub, message)
    assert details.message.status is S.ACCEPTED
    assert [(item.raw_status, item.applied) for item in details.reports] == [
        ("EXPLODED", False),
        ("UNSENT", True),
        ("EXPLODED", False),
    ]
    aside = {(item.kind, item.seen): item.raw for item in await phone.quarantine()}
    assert set(aside) == {
        (Kind.UNKNOWN_WIRE_ID, 2),
        (Kind.UNKNOWN_STATUS, 2),
        (Kind.UNKNOWN_WIRE_ID, 1),
    }
    assert "EXPLODED" in aside[Kind.UNKNOWN_STATUS, 2]
    assert "boom" in aside[Kind.UNKNOWN_STATUS, 2]


async def test_a_report_on_another_devices_message_changes_nothing(hub: Hub) -> None:
    phone, neighbour = await register(hub), await register(hub)
    project = await hub.access.create_project("other", None)
    stranger = await register(hub, project_id=project.id)
    held = await _handed_over(hub, phone)
    queued = await submit(hub, phone.project_id, device=phone.device)
    before = [await get(hub, message) for message in (held, queued)]
    for other in (neighbour, stranger):
        for message in (held, queued):
            await other.report(message.id, "FAILED")
            await other.report(message.id, "DELIVERED")
        assert {item.kind for item in await other.quarantine()} == {Kind.UNKNOWN_WIRE_ID}
    assert [await get(hub, message) for message in (held, queued)] == before
    assert await phone.quarantine() == []


async def test_reports_on_many_messages_in_any_order_reach_each(hub: Hub) -> None:
    phone = await register(hub)
    sent = [await submit(hub, phone.project_id) for _ in range(10)]
    await phone.poll()
    words = ["UNSENT", "PENDING", "SENT"]
    reports = [told(message.id, word) for word in words for message in reversed(sent)]
    await phone.post(reports=reports)
    for message in sent:
        details = await get(hub, message)
        assert details.message.status is S.SENT
        assert [item.raw_status for item in details.reports] == words
