"""Sends what is due, again and again: one for each process, and several share the work.

An attempt is a task of its own and holds no transaction. What is under way is bounded, for each
webhook endpoint and in all, so that a slow one delays no other.
"""

import asyncio
from collections import Counter
from contextlib import suppress

import structlog

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.webhooks.deliveries import LEASE, ClaimedDelivery, FinishedAttempt
from gateway_hub.services.webhook_deliveries import WebhookDeliveries
from gateway_hub.webhooks.sender import SendLimits, WebhookSender

MOST_AT_ONCE = SendLimits().most_at_once

_NET_SECONDS = 1.0
_LAST_SENDS_SECONDS = 3.0
_LAST_RECORDS_SECONDS = 2.0
# A process that was stopped for a while must not begin what another may have by then.
_BEGINS_WITHIN_SECONDS = LEASE.total_seconds() / 2

log = structlog.get_logger(__name__)


class WebhookWorker:
    """Sends webhooks between `start` and `stop`."""

    def __init__(
        self, deliveries: WebhookDeliveries, sender: WebhookSender, *, clock: Clock
    ) -> None:
        self._deliveries = deliveries
        self._sender = sender
        self._clock = clock
        self._due = asyncio.Event()
        self._busy: Counter[str] = Counter()
        self._sends: set[asyncio.Task[None]] = set()
        self._finished: list[FinishedAttempt] = []
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
        self._begin(await self._record_and_claim(room=MOST_AT_ONCE))
        begun = len(self._sends)
        if self._sends:
            await asyncio.gather(*self._sends)
            await self._record_and_claim(room=0)
        return begun

    async def _work(self) -> None:
        while not self._stopping:
            woken = await self._wait()
            try:
                if woken or await self._deliveries.may_be_due():
                    room = 0 if self._stopping else MOST_AT_ONCE - len(self._sends)
                    self._begin(await self._record_and_claim(room=room))
            except Exception:
                log.exception("webhook_worker_failed")
                await asyncio.sleep(_NET_SECONDS)

    async def _wait(self) -> bool:
        """Wait until woken, or for the net's time; return which it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_NET_SECONDS):
                await self._due.wait()
        woken = self._due.is_set() or bool(self._finished)
        self._due.clear()
        return woken

    async def _record_and_claim(self, *, room: int) -> list[ClaimedDelivery]:
        finished, self._finished = self._finished, []
        if not finished and not room:
            return []
        try:
            return await self._deliveries.record_and_claim(finished, busy=self._busy, room=room)
        except BaseException:
            self._finished = [*finished, *self._finished]
            raise

    def _begin(self, claimed: list[ClaimedDelivery]) -> None:
        begins_until = asyncio.get_running_loop().time() + _BEGINS_WITHIN_SECONDS
        for item in claimed:
            self._busy[item.endpoint_id] += 1
            task = asyncio.create_task(self._send(item, begins_until))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)

    async def _send(self, item: ClaimedDelivery, begins_until: float) -> None:
        try:
            if asyncio.get_running_loop().time() > begins_until:
                return
            started_at = self._clock()
            result = await self._sender.send(
                item.url, item.delivery.event_id, item.body, item.secrets
            )
            self._finished.append(FinishedAttempt(item, started_at, result))
        except Exception:
            log.exception("webhook_not_sent", delivery_id=item.delivery.id)
        finally:
            self._busy[item.endpoint_id] -= 1
            if not self._busy[item.endpoint_id]:
                del self._busy[item.endpoint_id]
            self._due.set()
