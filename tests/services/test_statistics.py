"""The numbers that are kept of messages are those that counting would find, whatever happens."""

import pytest

from gateway_hub.domain.messages import MessageFilter
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock
from tests.services.conftest import MakeQuietHub
from tests.services.kept_numbers import (
    change_by_hand,
    check_numbers,
    counted_backlogs,
    counted_counts,
    kept_backlogs,
    kept_counts,
    read,
)
from tests.services.phones import register, sms, submit
from tests.services.storm import Storm, fail_at_times


@pytest.mark.parametrize("seed", range(2))
async def test_kept_numbers_are_those_that_counting_finds_after_any_storm(
    make_quiet_hub: MakeQuietHub, database_url: str, clock: FakeClock, seed: int
) -> None:
    hubs = [await make_quiet_hub() for _ in range(1 if "sqlite" in database_url else 2)]
    project = await hubs[0].access.ensure_default_project()
    storm = Storm(hubs, clock, seed)
    await storm.begin(project.id)
    for hub in hubs:
        fail_at_times(hub, storm.random)
    for _ in range(3):
        await storm.blow(9)
        await check_numbers(hubs[0])
    backlogs, counts = await kept_backlogs(hubs[0]), await kept_counts(hubs[0])
    assert storm.refused
    assert {key[3] for key in counts} >= {"queued", "dispatched", "failed", "sent", "received"}
    clock.advance(hours=2)
    for hub in hubs:
        await hub.statistics.fold()
    for table in ("queue_backlogs", "message_counts"):
        assert await read(hubs[0], f"SELECT DISTINCT shard FROM {table}") in ([], [(0,)])  # noqa: S608
    assert (await kept_backlogs(hubs[0]), await kept_counts(hubs[0])) == (backlogs, counts)
    assert await hubs[0].statistics.recount() == len(await read(hubs[0], "SELECT 1 FROM messages"))
    assert (await kept_backlogs(hubs[0]), await kept_counts(hubs[0])) == (backlogs, counts)


async def test_a_recount_puts_right_what_was_changed_by_hand(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    hub = await make_quiet_hub()
    phone = await register(hub)
    kept = await submit(hub, phone.project_id, device=phone.device)
    for _ in range(3):
        await submit(hub, phone.project_id)
    await phone.post(messages=[sms("a"), sms("b")], takes_work=False)
    await change_by_hand(hub, f"DELETE FROM messages WHERE id <> '{kept.id}'")  # noqa: S608
    clock.advance(hours=2)
    assert await kept_backlogs(hub) != await counted_backlogs(hub)
    assert await kept_counts(hub) != await counted_counts(hub)
    assert await hub.statistics.recount() == 1
    await check_numbers(hub)
    assert (await hub.devices.get(phone.project_id, phone.device.id)).backlog == 1


async def test_a_recount_leaves_alone_the_hour_that_is_not_over(
    make_quiet_hub: MakeQuietHub, clock: FakeClock
) -> None:
    hub = await make_quiet_hub()
    project = await hub.access.ensure_default_project()
    await submit(hub, project.id)
    clock.advance(hours=2)
    await submit(hub, project.id)
    await change_by_hand(hub, "UPDATE message_counts SET messages = 7")
    await hub.statistics.recount()
    kept = await kept_counts(hub)
    assert [kept[key] for key in sorted(kept) if key[4] == "messages"] == [1, 7]


async def test_a_message_that_was_not_locked_cannot_be_changed(
    make_quiet_hub: MakeQuietHub,
) -> None:
    """What it was before would be a guess, and so would the numbers."""
    hub = await make_quiet_hub()
    project = await hub.access.ensure_default_project()
    message = await submit(hub, project.id)

    async def use_case(tx: Transaction) -> None:
        found = await message_rows.list_messages(
            tx, project.id, MessageFilter(), before="~", limit=1
        )
        await message_rows.save_progress(tx, found)

    with pytest.raises(RuntimeError, match=f"{message.id} was changed without being locked"):
        await hub.database.write(use_case)
    await check_numbers(hub)
