"""All that happens to messages at once, on a database that fails at times."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from sqlalchemy import Connection, event

from gateway_hub.domain.errors import HubError
from gateway_hub.domain.messages import IfUncertain, Message, MessageDraft, Route
from gateway_hub.services.hub import Hub
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage.transactions import Transaction
from tests.conftest import FakeClock
from tests.services.phones import ENVAYA, MEDIC, Phone, register, sms, told


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


def fail_at_times(hub: Hub, chance: random.Random) -> None:
    """Let commits fail: before they are done, or after, so that nobody knows."""

    def fail(connection: Connection) -> None:
        way = chance.random()
        if way < 0.05:
            connection.exec_driver_sql("COMMIT")
        if way < 0.1:
            raise ConnectionResetError("the server went away")

    event.listen(hub.database._writer.sync_engine, "commit", fail)
