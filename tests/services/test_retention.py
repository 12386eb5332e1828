"""What is old and over is removed in small steps; what is not over stays, however old it is."""

import asyncio
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from gateway_hub.app import create_hub
from gateway_hub.domain.clock import to_epoch_ms
from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.errors import NotFoundError
from gateway_hub.domain.ids import IdSource, use_source
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message
from gateway_hub.domain.phone_posts import QuarantinedItem, QuarantineKind, StoredPart
from gateway_hub.services import retention
from gateway_hub.services.hub import Hub
from gateway_hub.services.retention import Purged, Retention
from gateway_hub.services.webhook_endpoints import EndpointDraft
from gateway_hub.settings import Settings
from gateway_hub.storage import retention as retention_rows
from gateway_hub.storage.events import find_bounds
from tests.conftest import FakeClock
from tests.services.conftest import MakeQuietHub
from tests.services.kept_numbers import change_by_hand, kept_counts, read
from tests.services.phones import (
    ENVAYA,
    MEDIC,
    Phone,
    get,
    register,
    sms,
    status_of,
    stored,
    submit,
)

MONTH = timedelta(days=30)


@pytest.fixture(autouse=True)
def _ids_by_the_clock(clock: FakeClock) -> Iterator[None]:
    """Make ids of the time the clock shows."""
    before = use_source(IdSource(lambda: to_epoch_ms(clock())))
    yield
    use_source(before)


async def _no_pause(_seconds: float) -> None:
    return


def removing(hub: Hub, clock: FakeClock, *, pause: retention.Pause = _no_pause) -> Retention:
    """Return what removes old things of *hub*."""
    return Retention(hub.database, hub.attachments, clock, keep=None, pause=pause)


def without_events(purged: Purged) -> Purged:
    """Return *purged* as if nothing were told: how much that is, is for one test alone."""
    return replace(purged, events=0)


async def in_each_status(phone: Phone, clock: FakeClock) -> dict[Status, Message]:
    """Return a message in each status an outbound one can be in, last changed now."""
    hub, project_id = phone.hub, phone.project_id
    found: dict[Status, Message] = {}
    words = {
        Status.DISPATCHED: [],
        Status.ACCEPTED: ["UNSENT"],
        Status.PENDING: ["PENDING"],
        Status.SENT: ["SENT"],
        Status.DELIVERED: ["DELIVERED"],
        Status.FAILED: ["FAILED"],
        Status.UNCERTAIN: [],
    }
    for status, told in words.items():
        found[status] = await submit(hub, project_id, device=phone.device)
        (wire_id,) = await phone.poll()
        for word in told:
            await phone.report(wire_id, word)
    found[Status.EXPIRED] = await submit(
        hub, project_id, device=phone.device, expires_at=clock() + timedelta(minutes=1)
    )
    found[Status.CANCELLED] = await submit(hub, project_id, device=phone.device)
    await hub.outbox.cancel(project_id, found[Status.CANCELLED].id)
    later = clock() + timedelta(days=300)
    found[Status.SCHEDULED] = await submit(hub, project_id, device=phone.device, send_at=later)
    found[Status.QUEUED] = await submit(hub, project_id, device=phone.device)
    # What only time brings about is written down: moving the clock would move the others too.
    for status in (Status.UNCERTAIN, Status.EXPIRED):
        await change_by_hand(
            hub,
            f"UPDATE messages SET status = '{status}', queue = NULL"  # noqa: S608 - our own words
            f" WHERE id = '{found[status].id}'",
        )
    for status, message in found.items():
        assert await status_of(hub, message) is status
    return found


async def left_of(hub: Hub, messages: dict[Status, Message]) -> set[Status]:
    """Return the statuses of *messages* that are still there."""
    there = {key for (key,) in await read(hub, "SELECT id FROM messages")}
    return {status for status, message in messages.items() if message.id in there}


OPEN = {
    Status.SCHEDULED,
    Status.QUEUED,
    Status.DISPATCHED,
    Status.ACCEPTED,
    Status.PENDING,
}


@pytest.mark.parametrize(
    ("protocol", "kept_after_ten_days"),
    [
        pytest.param(MEDIC, OPEN | {Status.SENT}, id="medic"),
        pytest.param(ENVAYA, OPEN, id="envaya, whose sent is final"),
    ],
)
async def test_what_is_not_over_is_never_removed_however_old_it_is(
    quiet_hub: Hub, clock: FakeClock, protocol: Protocol, kept_after_ten_days: set[Status]
) -> None:
    phone = await register(quiet_hub, protocol)
    messages = await in_each_status(phone, clock)
    keep = timedelta(days=10)
    clock.advance(days=10)
    assert without_events(await removing(quiet_hub, clock).purge(keep)) == Purged()
    assert await left_of(quiet_hub, messages) == set(messages)
    clock.advance(seconds=1)
    await removing(quiet_hub, clock).purge(keep)
    assert await left_of(quiet_hub, messages) == kept_after_ten_days
    clock.advance(days=400)
    await removing(quiet_hub, clock).purge(keep)
    assert await left_of(quiet_hub, messages) == OPEN


async def test_what_has_changed_of_late_stays_though_it_is_old(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    message = await submit(quiet_hub, phone.project_id, device=phone.device)
    await phone.poll()
    clock.advance(days=29)
    await phone.report(message.id, "FAILED")
    clock.advance(days=20)
    assert without_events(await removing(quiet_hub, clock).purge(MONTH)) == Purged()
    clock.advance(days=11)
    assert without_events(await removing(quiet_hub, clock).purge(MONTH)) == Purged(messages=1)
    with pytest.raises(NotFoundError):
        await get(quiet_hub, message)


async def picture(hub: Hub, content: bytes = b"picture") -> StoredPart:
    """Return a part whose bytes are in the store."""
    blob = await hub.attachments.store(io.BytesIO(content))
    return StoredPart("image/png", None, None, blob.size_bytes, blob.sha256, blob.key)


def files(tmp_path: Path) -> list[Path]:
    """Return the files of the attachment store."""
    return [path for path in (tmp_path / "attachments").rglob("*") if path.is_file()]


async def test_all_that_belongs_to_a_message_goes_with_it(
    quiet_hub: Hub, clock: FakeClock, tmp_path: Path
) -> None:
    phone = await register(quiet_hub)
    message = await submit(quiet_hub, phone.project_id, device=phone.device)
    await phone.post(
        messages=[sms("a", parts=(await picture(quiet_hub), await picture(quiet_hub)))]
    )
    await phone.report(message.id, "DELIVERED")
    await phone.post(quarantined=[QuarantinedItem(QuarantineKind.INVALID_MESSAGE, "no", "raw")])
    clock.advance(days=31)
    await phone.post(messages=[sms("b", parts=(await picture(quiet_hub),))], takes_work=False)
    counts = await kept_counts(quiet_hub)
    assert without_events(await removing(quiet_hub, clock).purge(MONTH)) == Purged(
        messages=2, quarantined=1
    )
    (left,) = await stored(quiet_hub, phone.project_id)
    assert [item.storage_key for item in left.attachments] == [p.name for p in files(tmp_path)]
    for table in ("attempts", "reports", "quarantine"):
        assert await read(quiet_hub, f"SELECT * FROM {table}") == []  # noqa: S608 - our own words
    assert await kept_counts(quiet_hub) == counts


async def test_a_repeat_of_a_removed_message_is_not_stored_again(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a", "secret")], takes_work=False)
    clock.advance(days=31)
    await removing(quiet_hub, clock).purge(MONTH)
    answer_with = await submit(quiet_hub, phone.project_id, device=phone.device)
    answer = await phone.post(messages=[sms("a", "secret")])
    assert answer.repeated
    assert [offer.wire_id for offer in answer.offers] == [answer_with.id]
    again = await phone.post(messages=[sms("a", "secret")])
    assert [offer.wire_id for offer in again.offers] == [answer_with.id]
    rows = await read(quiet_hub, "SELECT direction FROM messages")
    assert rows == [("outbound",)]
    assert await phone.quarantine() == []


async def test_nothing_of_its_content_stays_with_the_receipt(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a", "secret")], takes_work=False)
    clock.advance(days=31)
    ((before,),) = await read(quiet_hub, "SELECT content_digest FROM inbound_receipts")
    await removing(quiet_hub, clock).purge(MONTH)
    ((after,),) = await read(quiet_hub, "SELECT content_digest FROM inbound_receipts")
    assert (len(before), after) == (32, b"")


async def test_a_receipt_is_kept_for_400_days_after_its_last_use(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a"), sms("b")], takes_work=False)
    clock.advance(days=200)
    await phone.post(messages=[sms("b")], takes_work=False)
    clock.advance(days=199)
    await removing(quiet_hub, clock).purge(MONTH)
    assert (await phone.post(messages=[sms("a")], takes_work=False)).repeated
    clock.advance(days=202)
    await removing(quiet_hub, clock).purge(MONTH)
    assert (await phone.post(messages=[sms("a")], takes_work=False)).repeated
    assert not (await phone.post(messages=[sms("b")], takes_work=False)).repeated


async def test_a_receipt_stays_as_long_as_its_message(quiet_hub: Hub, clock: FakeClock) -> None:
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a")], takes_work=False)
    clock.advance(days=450)
    await removing(quiet_hub, clock).purge(timedelta(days=500))
    assert (await phone.post(messages=[sms("a")], takes_work=False)).repeated
    assert len(await stored(quiet_hub, phone.project_id)) == 1


async def store_many(hub: Hub, project_id: str, number: int) -> None:
    """Store that many messages that came in at this moment."""
    phone = await register(hub, project_id=project_id)
    messages = [sms(f"old {count}") for count in range(number)]
    await phone.post(messages=messages, takes_work=False)


async def test_intake_goes_on_between_steps_of_limited_size(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    await store_many(quiet_hub, phone.project_id, 2 * retention.AT_ONCE + 1)
    clock.advance(days=31)
    left: list[int] = []

    async def take_in(seconds: float) -> None:
        assert seconds > 0
        await phone.post(messages=[sms(f"new {len(left)}")], takes_work=False)
        ((number,),) = await read(quiet_hub, "SELECT count(*) FROM messages")
        left.append(number - len(left) - 1)

    purged = await removing(quiet_hub, clock, pause=take_in).purge(MONTH)
    assert purged.messages == 2 * retention.AT_ONCE + 1
    assert left[:3] == [retention.AT_ONCE + 1, 1, 0]
    assert len(await stored(quiet_hub, phone.project_id)) == len(left)


async def test_what_may_not_be_removed_is_passed_over_a_stretch_at_a_time(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    """However many old messages stay, no statement looks at more than a stretch of them."""
    project = await quiet_hub.access.ensure_default_project()
    await store_many(quiet_hub, project.id, retention_rows.STRETCH + 10)
    await change_by_hand(quiet_hub, "UPDATE messages SET updated_at = updated_at + 86400000")
    for table in ("events", "event_inbox"):
        await change_by_hand(quiet_hub, f"DELETE FROM {table}")  # noqa: S608 - our own words
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    clock.advance(days=31)
    before = len(pauses)
    assert without_events(await removing(quiet_hub, clock, pause=pause).count(MONTH)) == Purged()
    assert len(pauses) - before == 2 + 1 + 1
    clock.advance(days=1)
    expected = Purged(messages=retention_rows.STRETCH + 10)
    assert without_events(await removing(quiet_hub, clock).count(MONTH)) == expected
    assert without_events(await removing(quiet_hub, clock).purge(MONTH)) == expected


async def test_several_that_remove_at_once_do_it_once(
    make_quiet_hub: MakeQuietHub, database_url: str, clock: FakeClock
) -> None:
    hubs = [await make_quiet_hub() for _ in range(1 if "sqlite" in database_url else 2)]
    project = await hubs[0].access.ensure_default_project()
    await store_many(hubs[0], project.id, 3 * retention.AT_ONCE)
    clock.advance(days=31)
    purged = await asyncio.gather(*(removing(hub, clock).purge(MONTH) for hub in (*hubs, *hubs)))
    assert sum(item.messages for item in purged) == 3 * retention.AT_ONCE
    assert await read(hubs[0], "SELECT 1 FROM messages") == []


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.postgres
async def test_what_another_process_has_locked_is_left_to_it(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    quiet_hub, other = await make_quiet_hub(), await make_quiet_hub()
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a"), sms("b")], takes_work=False)
    (first, _) = await stored(quiet_hub, phone.project_id)
    clock.advance(days=31)
    async with other.database._writer.begin() as connection:
        await connection.exec_driver_sql(
            f"SELECT id FROM messages WHERE id = '{first.message.id}' FOR UPDATE"  # noqa: S608
        )
        assert without_events(await removing(quiet_hub, clock).purge(MONTH)) == Purged(messages=1)
    assert without_events(await removing(quiet_hub, clock).purge(MONTH)) == Purged(messages=1)


def make_old(path: Path) -> None:
    """Let *path* have been there for two days."""
    there_for = path.stat().st_mtime - 2 * 86_400
    os.utime(path, (there_for, there_for))


async def test_bytes_that_no_message_names_are_removed_after_a_day(
    quiet_hub: Hub, tmp_path: Path
) -> None:
    phone = await register(quiet_hub)
    named = await picture(quiet_hub)
    await phone.post(messages=[sms("a", parts=(named,))], takes_work=False)
    orphan = await picture(quiet_hub)
    for path in files(tmp_path):
        make_old(path)
    young = await picture(quiet_hub)
    assert await quiet_hub.orphans.remove_all() == 1
    assert {path.name for path in files(tmp_path)} == {named.storage_key, young.storage_key}
    assert orphan.storage_key not in {path.name for path in files(tmp_path)}


async def test_a_store_whose_bytes_are_mostly_unknown_is_left_alone(
    quiet_hub: Hub, tmp_path: Path
) -> None:
    """It is another database's: somebody began with a new one, or an old copy."""
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a", parts=(await picture(quiet_hub),))], takes_work=False)
    for _ in range(2):
        await picture(quiet_hub)
    for path in files(tmp_path):
        make_old(path)
    assert await quiet_hub.orphans.remove_all() == 0
    assert len(files(tmp_path)) == 3


async def test_a_recount_leaves_the_history_of_what_was_removed(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a"), sms("b")], takes_work=False)
    clock.advance(days=31)
    await phone.post(messages=[sms("c")], takes_work=False)
    await removing(quiet_hub, clock).purge(MONTH)
    clock.advance(hours=2)
    counts = await kept_counts(quiet_hub)
    assert sum(number for key, number in counts.items() if key[4] == "messages") == 3
    assert await quiet_hub.statistics.recount() == 1
    assert await kept_counts(quiet_hub) == counts


async def test_a_hub_keeps_everything_for_ever_if_it_is_not_told_otherwise(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    await phone.post(messages=[sms("a")], takes_work=False)
    clock.advance(days=4000)
    await quiet_hub.retention.remove_old()
    assert len(await stored(quiet_hub, phone.project_id)) == 1
    await Retention(quiet_hub.database, quiet_hub.attachments, clock, keep=MONTH).remove_old()
    assert await stored(quiet_hub, phone.project_id) == []


@pytest.mark.parametrize(("days", "works"), [(None, 1), (30, 2)])
async def test_a_hub_removes_by_itself_if_it_is_told_to(
    tmp_path: Path, days: int | None, works: int
) -> None:
    hub = create_hub(Settings(data_dir=tmp_path, retention_days=days))
    await hub.start()
    names = {task.get_name() for task in hub._tasks}
    await hub.stop()
    assert len(names & {"Retention.remove_old", "Orphans.remove_all"}) == works


async def _event_seqs(hub: Hub) -> list[int]:
    await hub.publisher.publish_all()
    return [row[0] for row in await read(hub, "SELECT seq FROM events ORDER BY seq")]


@pytest.mark.parametrize(
    ("keep", "keep_events", "left"),
    [
        pytest.param(None, timedelta(days=10), [3], id="events only"),
        pytest.param(timedelta(days=40), timedelta(days=10), [3], id="events sooner"),
        pytest.param(timedelta(days=10), timedelta(days=40), [3], id="no longer than messages"),
        pytest.param(None, timedelta(days=40), [1, 2, 3], id="none is old"),
        pytest.param(None, None, [1, 2, 3], id="for ever"),
    ],
)
async def test_events_are_kept_for_their_time_and_no_longer_than_messages(
    quiet_hub: Hub,
    clock: FakeClock,
    *,
    keep: timedelta | None,
    keep_events: timedelta | None,
    left: list[int],
) -> None:
    phone = await register(quiet_hub)
    for _ in range(2):
        await submit(quiet_hub, phone.project_id)
    clock.advance(days=20)
    await submit(quiet_hub, phone.project_id)
    assert await _event_seqs(quiet_hub) == [1, 2, 3]
    retention = Retention(
        quiet_hub.database,
        quiet_hub.attachments,
        clock,
        keep=keep,
        keep_events=keep_events,
        pause=_no_pause,
    )
    await retention.remove_old()
    await retention.remove_old()
    assert await _event_seqs(quiet_hub) == left
    bounds = await quiet_hub.database.read(find_bounds)
    assert (bounds.removed, bounds.last) == (3 - len(left), 3)


async def test_the_log_goes_on_after_all_of_it_was_removed(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    hub = await make_quiet_hub()
    phone = await register(hub)
    await submit(hub, phone.project_id)
    assert await _event_seqs(hub) == [1]
    clock.advance(days=31)
    assert (await removing(hub, clock).purge(MONTH)).events == 1
    assert await _event_seqs(hub) == []
    await submit(hub, phone.project_id)
    assert await _event_seqs(hub) == [2]


async def test_an_event_that_is_still_to_be_delivered_stays(
    quiet_hub: Hub, clock: FakeClock
) -> None:
    phone = await register(quiet_hub)
    await submit(quiet_hub, phone.project_id)
    await quiet_hub.publisher.publish_all()
    endpoint = EndpointDraft("https://backend.example.org/")
    await quiet_hub.webhook_endpoints.create(phone.project_id, endpoint)
    await submit(quiet_hub, phone.project_id)
    assert await _event_seqs(quiet_hub) == [1, 2]
    clock.advance(days=31)
    assert (await removing(quiet_hub, clock).purge(MONTH)).events == 1
    assert await _event_seqs(quiet_hub) == [2]
    await change_by_hand(quiet_hub, "UPDATE webhook_deliveries SET status = 'dead'")
    assert (await removing(quiet_hub, clock).purge(MONTH)).events == 1
