"""Sends what is due, again and again: one for each process, and several share the work.

An attempt is a task of its own and holds no transaction. What is under way is bounded, for each
webhook endpoint and in all, so that a slow one delays no other. For one that has not failed of late
more is taken than is under way, so that its pace is not that of our transactions; when it fails,
what has not begun is given back.
"""

import asyncio
from collections import Counter, defaultdict, deque
from contextlib import suppress

import structlog

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.webhooks.deliveries import (
    LEASE,
    MOST_AT_ONCE_PER_ENDPOINT,
    MOST_UNWRITTEN_PER_ENDPOINT,
    ClaimedDelivery,
    FinishedAttempt,
)
from gateway_hub.services.webhook_deliveries import WebhookDeliveries
from gateway_hub.webhooks.sender import SendLimits, WebhookSender

MOST_AT_ONCE = SendLimits().most_at_once
MOST_TAKEN = 4 * MOST_AT_ONCE

_NET_SECONDS = 1.0
_LAST_SENDS_SECONDS = 3.0
_LAST_RECORDS_SECONDS = 2.0
# A process that was stopped for a while must not begin what another may have by then.
_BEGINS_WITHIN_SECONDS = LEASE.total_seconds() / 2

log = structlog.get_logger(__name__)

_Taken = tuple[ClaimedDelivery, float]
"""What is to be sent, and until when that may begin, by the loop's clock."""


class WebhookWorker:
    """Sends webhooks between `start` and `stop`."""

    def __init__(
        self, deliveries: WebhookDeliveries, sender: WebhookSender, *, clock: Clock
    ) -> None:
        self._deliveries = deliveries
        self._sender = sender
        self._clock = clock
        self._due = asyncio.Event()
        self._under_way: Counter[str] = Counter()
        self._unwritten: Counter[str] = Counter()
        self._taken: defaultdict[str, deque[_Taken]] = defaultdict(deque)
        self._sends: set[asyncio.Task[None]] = set()
        self._finished: list[FinishedAttempt] = []
        self._returned: list[ClaimedDelivery] = []
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin; call once, from the running loop."""
        self._loop = asyncio.create_task(self._work(), name="webhook-worker")

    def wake(self) -> None:
        """Look at once whether something is due."""
        self._due.set()

    async def stop(self) -> None:
        """Take on nothing more, let what is under way end for a few seconds, and write it down.

        What did not end is sent again, by whoever takes it when its lease is over.
        """
        self._stopping = True
        for endpoint_id in list(self._taken):
            self._give_back(endpoint_id)
        self._due.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_SENDS_SECONDS):
                    await self._end_sends()
        finally:
            for task in (self._loop, *self._sends):
                if task is not None:
                    task.cancel()
            with suppress(Exception):
                async with asyncio.timeout(_LAST_RECORDS_SECONDS):
                    await self._record_and_claim(room=0)
            await self._sender.aclose()

    async def _end_sends(self) -> None:
        if self._loop is not None:
            await self._loop
        if self._sends:
            await asyncio.wait(self._sends)

    async def work_once(self) -> int:
        """Take what is due, send it, write it down; return how many attempts that were."""
        self._begin(await self._record_and_claim(room=MOST_TAKEN))
        begun = 0
        while self._sends or self._finished:
            if self._sends:
                await asyncio.wait(self._sends)
            begun += len(self._finished)
            self._begin(await self._record_and_claim(room=0))
        return begun

    async def _work(self) -> None:
        while not self._stopping:
            woken = await self._wait()
            try:
                if woken or await self._deliveries.may_be_due():
                    room = 0 if self._stopping else MOST_TAKEN - self._held.total()
                    self._begin(await self._record_and_claim(room=room))
            except Exception:
                log.exception("webhook_worker_failed")
                await asyncio.sleep(_NET_SECONDS)

    async def _wait(self) -> bool:
        """Wait until woken, or for the net's time; return which it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_NET_SECONDS):
                await self._due.wait()
        woken = self._due.is_set() or bool(self._finished or self._returned)
        self._due.clear()
        return woken

    @property
    def _held(self) -> Counter[str]:
        """How much is taken and not written down, for each webhook endpoint."""
        waiting = {endpoint_id: len(queue) for endpoint_id, queue in self._taken.items()}
        return self._under_way + Counter(waiting)

    async def _record_and_claim(self, *, room: int) -> list[ClaimedDelivery]:
        finished, self._finished = self._finished, []
        returned, self._returned = self._returned, []
        if not (finished or returned or room):
            return []
        try:
            claimed = await self._deliveries.record_and_claim(
                finished, returned=returned, busy=self._held, room=room
            )
        except BaseException:
            self._finished = [*finished, *self._finished]
            self._returned = [*returned, *self._returned]
            raise
        self._unwritten -= Counter(item.claimed.endpoint_id for item in finished)
        return claimed

    def _begin(self, claimed: list[ClaimedDelivery]) -> None:
        begins_until = asyncio.get_running_loop().time() + _BEGINS_WITHIN_SECONDS
        for item in claimed:
            self._taken[item.endpoint_id].append((item, begins_until))
        if self._stopping:
            for endpoint_id in list(self._taken):
                self._give_back(endpoint_id)
        self._begin_next()

    def _begin_next(self) -> None:
        """Begin as many of those that are taken as may be under way."""
        for endpoint_id, queue in list(self._taken.items()):
            while queue and self._may_begin(endpoint_id):
                item, begins_until = queue.popleft()
                if asyncio.get_running_loop().time() > begins_until:
                    self._returned.append(item)
                    continue
                self._under_way[endpoint_id] += 1
                self._unwritten[endpoint_id] += 1
                task = asyncio.create_task(self._send(item))
                self._sends.add(task)
                task.add_done_callback(self._sends.discard)
            if not queue:
                del self._taken[endpoint_id]

    def _may_begin(self, endpoint_id: str) -> bool:
        return (
            len(self._sends) < MOST_AT_ONCE
            and self._under_way[endpoint_id] < MOST_AT_ONCE_PER_ENDPOINT
            and self._unwritten[endpoint_id] < MOST_UNWRITTEN_PER_ENDPOINT
        )

    def _give_back(self, endpoint_id: str) -> None:
        self._returned += [item for item, _ in self._taken.pop(endpoint_id, ())]

    async def _send(self, item: ClaimedDelivery) -> None:
        try:
            started_at = self._clock()
            result = await self._sender.send(
                item.url, item.delivery.event_id, item.body, item.secrets
            )
            self._finished.append(FinishedAttempt(item, started_at, result))
            if not result.outcome.is_delivered:
                self._give_back(item.endpoint_id)
        except Exception:
            self._unwritten[item.endpoint_id] -= 1
            log.exception("webhook_not_sent", delivery_id=item.delivery.id)
        finally:
            self._under_way[item.endpoint_id] -= 1
            if not self._under_way[item.endpoint_id]:
                del self._under_way[item.endpoint_id]
            self._begin_next()
            self._due.set()
