"""The numbers that are kept of messages are those that counting would find, whatever happens."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import Connection, event

from gateway_hub.domain.errors import HubError
from gateway_hub.domain.messages import IfUncertain, Message, MessageDraft, Route
from gateway_hub.services.hub import Hub
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage.messages import MessageFilter
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
from tests.services.phones import ENVAYA, MEDIC, Phone, register, sms, submit, told


class Storm:
    """All that changes messages, at random and at once, on a database that fails at times."""

    def __init__(self, hubs: list[Hub], clock: FakeClock, seed: int) -> None:
        self.hubs = hubs
        self.clock = clock
        self.random = random.Random(seed)
        self.phones: list[Phone] = []
        self.messages: list[Message] = []
        self.wire_ids: list[str] = []
        self.refused = 0
        self._number = 0

    async def begin(self, project_id: str) -> None:
        """Register phones of both kinds."""
        for protocol, tags in ((MEDIC, ("a",)), (MEDIC, ()), (ENVAYA, ("a", "b")), (ENVAYA, ())):
            number = f"+2557100000{len(self.phones):02}"
            self.phones.append(
                await register(self.hub, protocol, project_id=project_id, number=number, tags=tags)
            )

    @property
    def hub(self) -> Hub:
        return self.random.choice(self.hubs)

    async def blow(self, times: int) -> None:
        """Do several things at one moment, *times* times."""
        for _ in range(times):
            things = self.random.choices(
                [self.submit, self.forward, self.poll, self.cancel, self.resend, self.fail],
                weights=[6, 3, 8, 2, 2, 1],
                k=self.random.randint(1, 12),
            )
            await asyncio.gather(*(self._try(thing) for thing in things))
            if self.random.random() < 0.5:
                self.clock.advance(minutes=self.random.choice([1, 7, 70, 60 * 26]))
                for hub in self.hubs:
                    await hub.caretaker.run_due()
            if self.random.random() < 0.2:
                await self.hub.statistics.fold()
            if self.random.random() < 0.05 and len(self.phones) > 2:
                phone = self.phones.pop(0)
                await self.hub.devices.delete(phone.project_id, phone.device.id)

    async def _try(self, thing: Callable[[], Awaitable[None]]) -> None:
        try:
            await thing()
        except HubError:
            self.refused += 1

    async def submit(self) -> None:
        """Submit several messages, one of which may be refused."""
        results = await self.hub.outbox.submit_batch(
            self.phones[0].project_id, [self._draft() for _ in range(self.random.randint(1, 5))]
        )
        self.messages += [item for item in results if isinstance(item, Message)]

    def _draft(self) -> MessageDraft:
        chance = self.random.random()
        now = self.clock()
        soon = now + timedelta(minutes=self.random.randint(1, 90))
        return MessageDraft(
            to=f"+2557{self.random.randint(0, 30):08}",
            text="" if chance < 0.05 else "word " * self.random.randint(1, 60),
            route=self.random.choice(
                [
                    Route(),
                    Route(tag="a"),
                    Route(tag="nobody"),
                    Route(device_id=self.random.choice(self.phones).device.id),
                ]
            ),
            send_at=soon if self.random.random() < 0.2 else None,
            expires_at=now + timedelta(hours=3) if self.random.random() < 0.3 else None,
            max_attempts=self.random.choice([1, 3]),
            if_uncertain=self.random.choice(list(IfUncertain)),
        )

    async def forward(self) -> None:
        """Forward messages, some of them again."""
        messages = []
        for _ in range(self.random.randint(1, 3)):
            self._number += self.random.choice([0, 1, 1])
            messages.append(sms(f"key {self._number}", "hello " * self.random.randint(1, 40)))
        await self.random.choice(self.phones).post(messages=messages, hub=self.hub)

    async def poll(self) -> None:
        """Report on what was handed out, and take more."""
        words = ["UNSENT", "PENDING", "SENT", "DELIVERED", "FAILED", "failed", "cancelled", "?"]
        known = self.random.sample(self.wire_ids, min(4, len(self.wire_ids)))
        phone = self.random.choice(self.phones)
        self.wire_ids += await phone.poll(
            reports=[told(wire_id, self.random.choice(words)) for wire_id in known], hub=self.hub
        )

    async def cancel(self) -> None:
        """Cancel any message, whatever its state."""
        if self.messages:
            message = self.random.choice(self.messages)
            await self.hub.outbox.cancel(message.project_id, message.id)

    async def resend(self) -> None:
        """Resend any message, whatever its state."""
        if self.messages:
            message = self.random.choice(self.messages)
            await self.hub.outbox.resend(message.project_id, message.id)

    async def fail(self) -> None:
        """Change messages, then fail: nothing of it is to remain."""
        chosen = self.random.choices(self.messages, k=3) if self.messages else []

        async def use_case(tx: Transaction) -> None:
            locked = await message_rows.lock_messages(tx, [message.id for message in chosen])
            await message_rows.save_progress(tx, locked.values())
            raise HubError("not like this")

        await self.hub.database.write(use_case)


def _fail_at_times(hub: Hub, chance: random.Random) -> None:
    """Let commits fail: before they are done, or after, so that nobody knows."""

    def fail(connection: Connection) -> None:
        way = chance.random()
        if way < 0.05:
            connection.exec_driver_sql("COMMIT")
        if way < 0.1:
            raise ConnectionResetError("the server went away")

    event.listen(hub.database._writer.sync_engine, "commit", fail)


@pytest.mark.parametrize("seed", range(2))
async def test_kept_numbers_are_those_that_counting_finds_after_any_storm(
    make_quiet_hub: MakeQuietHub, database_url: str, clock: FakeClock, seed: int
) -> None:
    hubs = [await make_quiet_hub() for _ in range(1 if "sqlite" in database_url else 2)]
    project = await hubs[0].access.ensure_default_project()
    storm = Storm(hubs, clock, seed)
    await storm.begin(project.id)
    for hub in hubs:
        _fail_at_times(hub, storm.random)
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
