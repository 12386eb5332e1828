"""One exchange with a phone, on both databases: all it says is on disk before it is answered."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import event

from gateway_hub.domain.errors import UnavailableError
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.phone_posts import PhoneAnswer, QuarantinedItem, QuarantineKind
from gateway_hub.services.hub import Hub
from tests.conftest import MakeHub
from tests.services.phones import MEDIC, get, register, sms, status_of, stored, submit, told


async def test_a_queued_message_is_offered_once(hub: Hub) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id, "hello")
    assert await phone.poll() == [message.id]
    assert await phone.poll() == []
    assert await status_of(hub, message) is Status.DISPATCHED


async def test_one_post_may_say_and_be_given_everything_at_once(hub: Hub) -> None:
    phone = await register(hub)
    first = await submit(hub, phone.project_id)
    await phone.poll()
    second = await submit(hub, phone.project_id)
    answer = await phone.post(
        messages=[sms("1"), sms("2")],
        reports=[told(first.id, "UNSENT"), told("unknown", "SENT")],
        quarantined=[QuarantinedItem(QuarantineKind.INVALID_MESSAGE, "from is missing", "{}")],
    )
    assert [offer.wire_id for offer in answer.offers] == [second.id]
    assert await status_of(hub, first) is Status.ACCEPTED
    assert len(await stored(hub, phone.project_id)) == 4
    assert len(await phone.quarantine()) == 2


async def test_a_report_frees_the_phone_of_what_the_same_post_would_repeat(hub: Hub) -> None:
    """What was reported on in a post is not offered again in the answer to it."""
    phone = await register(hub)
    message = await submit(hub, phone.project_id)
    assert await phone.poll(messages=[sms("1")]) == [message.id]
    answer = await phone.post(messages=[sms("1")], reports=[told(message.id, "UNSENT")])
    assert answer == PhoneAnswer(offers=(), repeated=True)


async def test_a_post_that_says_nothing_when_there_is_nothing_costs_no_commit(hub: Hub) -> None:
    phone = await register(hub)
    commits: list[object] = []
    event.listen(hub.database._writer.sync_engine, "commit", commits.append)
    for _ in range(100):
        assert await phone.post() == PhoneAnswer()
    assert len(commits) < 20  # what the hub does by itself meanwhile


async def test_posts_in_flight_share_commits(make_hub: MakeHub, database_url: str) -> None:
    hub = await make_hub()
    phones = [await register(hub) for _ in range(5)]
    commits: list[object] = []
    event.listen(hub.database._writer.sync_engine, "commit", commits.append)
    await asyncio.gather(
        *(phone.post(messages=[sms(str(turn))]) for turn in range(20) for phone in phones)
    )
    assert len(commits) < 20
    assert len(await stored(hub, phones[0].project_id)) == 100


async def test_a_post_that_cannot_be_stored_is_not_answered_and_may_come_again(hub: Hub) -> None:
    phone = await register(hub)
    message = await submit(hub, phone.project_id)
    engine = hub.database._writer.sync_engine

    def fail(_connection: object) -> None:
        raise ConnectionResetError("the server went away")

    event.listen(engine, "commit", fail)
    with pytest.raises(UnavailableError):
        await phone.post(messages=[sms("1")], patience_seconds=0)
    event.remove(engine, "commit", fail)
    assert [item.message.id for item in await stored(hub, phone.project_id)] == [message.id]
    answer = await phone.post(messages=[sms("1")])
    assert not answer.repeated
    assert [offer.wire_id for offer in answer.offers] == [message.id]
    assert (await get(hub, message)).attempts[0].offers == 1


async def test_a_phone_that_hangs_up_leaves_its_post_done_or_not_done(hub: Hub) -> None:
    phone = await register(hub)
    posts = [asyncio.create_task(phone.post(messages=[sms(str(number))])) for number in range(10)]
    await asyncio.sleep(0)
    for post in posts[::2]:
        post.cancel()
    await asyncio.wait(posts)
    done = {item.message.text for item in await stored(hub, phone.project_id)}
    assert done <= {"hello"}
    for number in range(10):
        await phone.post(messages=[sms(str(number))])
    assert len(await stored(hub, phone.project_id)) == 10


async def test_a_hub_that_stops_finishes_what_it_was_told(make_hub: MakeHub) -> None:
    hub = await make_hub()
    phone = await register(hub)
    posts = [asyncio.create_task(phone.post(messages=[sms(str(number))])) for number in range(30)]
    await asyncio.sleep(0)
    await hub.stop()
    answered = [post for post in posts if not isinstance(await _outcome(post), UnavailableError)]
    again = await make_hub()
    assert len(await stored(again, phone.project_id)) == len(answered)
    assert await replace(phone, hub=again).poll() == []


async def _outcome(post: asyncio.Task[PhoneAnswer]) -> PhoneAnswer | BaseException:
    return (await asyncio.gather(post, return_exceptions=True))[0]


async def test_no_text_is_too_odd_to_be_kept(hub: Hub) -> None:
    phone = await register(hub, MEDIC)
    texts = ["", " \t\r\n", "'; DROP TABLE messages; --", "\x01\x1b\x7f", "\uffff\ufffe\ufffd"]
    texts += ["\N{GRINNING FACE}" * 5000, "%s %(a)s {0} \\", "\u202eabc", "é" * 100_000]
    await phone.post(messages=[sms(str(number), text) for number, text in enumerate(texts)])
    assert [item.message.text for item in await stored(hub, phone.project_id)] == texts
