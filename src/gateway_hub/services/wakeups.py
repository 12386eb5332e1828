"""Wakes held polls the moment a message is queued, in this process or another. Only hints: the
database decides."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice

from gateway_hub.domain.devices import Device
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, Route
from gateway_hub.domain.routing import served_queues
from gateway_hub.services.notices import About, Notice, Tell, tell_nobody
from gateway_hub.services.work_hints import WorkHints
from gateway_hub.storage.transactions import Transaction


class Waiter:
    """One held poll; thousands may be held, so it is a future and a timer and no more."""

    __slots__ = ("_future", "_woken", "device", "outdated")

    def __init__(self, device: Device) -> None:
        self.device = device
        self.outdated = False
        """Whether the device was changed or removed since."""
        self._woken = False
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the wait now."""
        self._woken = True
        self._end()

    async def wait(self, seconds: float) -> None:
        """Return when woken, or after *seconds*."""
        if not self._woken:
            loop = asyncio.get_running_loop()
            self._future = loop.create_future()
            timer = loop.call_later(seconds, self._end)
            try:
                await self._future
            finally:
                timer.cancel()
                self._future = None
        self._woken = False

    def _end(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


class Wakeups:
    """Who waits for which queue."""

    def __init__(self, hints: WorkHints, tell: Tell = tell_nobody) -> None:
        """*tell* lets the other processes wake who waits there."""
        self._hints = hints
        self._tell = tell
        # The one who was woken longest ago comes first.
        self._waiters: defaultdict[str, dict[Waiter, None]] = defaultdict(dict)
        self.stopping = False
        self.waiting = 0
        """How many polls are held now."""

    @contextmanager
    def listen(self, device: Device) -> Iterator[Waiter]:
        """Yield a waiter that is woken when a queue that *device* serves gets a message.

        A paused device takes nothing from a queue: it is woken for what it holds, or when changed.
        """
        waiter = Waiter(device)
        queues = [_queue_of(device.id)] if device.paused else served_queues(device)
        for queue in queues:
            self._waiters[queue][waiter] = None
        self.waiting += 1
        try:
            yield waiter
        finally:
            self.waiting -= 1
            for queue in queues:
                del self._waiters[queue][waiter]
                if not self._waiters[queue]:
                    del self._waiters[queue]

    def wake(self, queue: str, count: int = 1) -> None:
        """Note that *queue* has got *count* messages, here and in every other process."""
        self.rouse(queue, count)
        self._tell(Notice(About.QUEUED, queue, count))

    def rouse(self, queue: str, count: int = 1) -> None:
        """Note that *queue* has got something, and wake as many as may be needed for it.

        Whoever gets some of it wakes the next, see `pass_on`: of a thousand who wait for one
        message nearly all would ask for it in vain.
        """
        self._hints.note_queued(queue)
        self._rouse(queue, count)

    def pass_on(self, device: Device) -> None:
        """Wake the next of those who share a queue with *device*, which has just been served."""
        for queue in served_queues(device):
            if queue in self._waiters and self._hints.may_hold(queue):
                self._rouse(queue, 1)

    def rouse_all(self, queues: Collection[str], device_ids: Iterable[str]) -> None:
        """Wake somebody for each of *queues*, and each of the devices."""
        for queue in self._waiters.keys() & queues:
            self._rouse(queue, 1)
        for device_id in device_ids:
            self._rouse(_queue_of(device_id), 1)

    def waiting_devices(self) -> list[Device]:
        """Return the devices whose polls are held."""
        return list({waiter.device.id: waiter.device for waiter in self._all_waiters()}.values())

    def let_go(self, device_id: str, updated_at: datetime | None = None) -> None:
        """End the held polls of a device that was changed; not of one known as of *updated_at*."""
        for waiter in self._waiters.get(_queue_of(device_id), ()):
            if updated_at is None or waiter.device.updated_at != updated_at:
                waiter.outdated = True
                waiter.wake()

    def wake_after_commit(self, tx: Transaction, messages: Iterable[Message]) -> None:
        """Wake those who wait for the queues of *messages* once these are on disk."""
        queued = Counter(
            item.queue for item in messages if item.status is Status.QUEUED and item.queue
        )
        for queue, count in queued.items():
            tx.after_commit(partial(self.wake, queue, count))

    def wake_to_ask_back(self, tx: Transaction, device: Device) -> None:
        """Let *device* be asked to give a message back once the changes of *tx* are on disk."""
        tx.after_commit(partial(self._hints.note_asked_back, device.id))
        tx.after_commit(partial(self.wake, _queue_of(device.id)))

    def let_go_after_commit(self, tx: Transaction, device_id: str) -> None:
        """End the held polls of that device, in every process, once its change is on disk."""
        tx.after_commit(partial(self.let_go, device_id))
        tx.after_commit(partial(self._tell, Notice(About.DEVICE, device_id)))

    def stop(self) -> None:
        """Wake everyone and hold nobody from now on."""
        self.stopping = True
        for waiter in self._all_waiters():
            waiter.wake()

    def _rouse(self, queue: str, count: int) -> None:
        waiters = self._waiters.get(queue)
        if not waiters:
            return
        # Of two polls of one phone, one may be dead without anyone having noticed.
        chosen = list(waiters if queue.startswith("device:") else islice(waiters, count))
        for waiter in chosen:
            waiters[waiter] = waiters.pop(waiter)
            waiter.wake()

    def _all_waiters(self) -> list[Waiter]:
        return [
            waiter
            for queue, waiters in self._waiters.items()
            if queue.startswith("device:")
            for waiter in waiters
        ]


def _queue_of(device_id: str) -> str:
    """Return the queue that this device alone serves; every waiter is among its waiters."""
    return Route(device_id=device_id).key("")
