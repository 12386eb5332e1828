"""In-process hints that wake held polls the moment a message is queued. Only hints: the database
decides, and a held poll asks it again now and then."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from gateway_hub.domain.devices import Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message
from gateway_hub.domain.routing import served_queues
from gateway_hub.storage.transactions import Transaction


class Waiter:
    """One held poll."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def wake(self) -> None:
        """End the wait now."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when woken, or after *seconds*."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()


class Wakeups:
    """Who waits for which queue."""

    def __init__(self) -> None:
        self._waiters: defaultdict[str, set[Waiter]] = defaultdict(set)
        self.stopping = False
        self.waiting = 0
        """How many polls are held now."""

    @contextmanager
    def listen(self, device: Device) -> Iterator[Waiter]:
        """Yield a waiter that is woken when a queue that *device* serves gets a message."""
        waiter = Waiter()
        queues = served_queues(device)
        for queue in queues:
            self._waiters[queue].add(waiter)
        self.waiting += 1
        try:
            yield waiter
        finally:
            self.waiting -= 1
            for queue in queues:
                self._waiters[queue].discard(waiter)
                if not self._waiters[queue]:
                    del self._waiters[queue]

    def wake(self, queue: str) -> None:
        """Wake everyone who waits for *queue*."""
        for waiter in tuple(self._waiters.get(queue, ())):
            waiter.wake()

    def wake_after_commit(self, tx: Transaction, messages: Iterable[Message]) -> None:
        """Wake those who wait for the queues of *messages* once these are on disk."""
        queued = {item.queue for item in messages if item.status is Status.QUEUED and item.queue}
        for queue in queued:
            self.wake_after_commit_queue(tx, queue)

    def wake_after_commit_queue(self, tx: Transaction, queue: str) -> None:
        """Wake those who wait for *queue* once the changes of *tx* are on disk."""
        tx.after_commit(partial(self.wake, queue))

    def stop(self) -> None:
        """Wake everyone and hold nobody from now on."""
        self.stopping = True
        for waiters in tuple(self._waiters.values()):
            for waiter in tuple(waiters):
                waiter.wake()
