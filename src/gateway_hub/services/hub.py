"""All services of one process, started and stopped together."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.errors import HubError
from gateway_hub.services.access import Access
from gateway_hub.services.attachments import Attachments
from gateway_hub.services.backlogs import Backlogs
from gateway_hub.services.caretaker import Caretaker
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.devices import Devices
from gateway_hub.services.directory import Directory
from gateway_hub.services.estimates import Estimates
from gateway_hub.services.event_log import EventLog
from gateway_hub.services.event_tail import EventTail
from gateway_hub.services.exchange import PhoneExchange
from gateway_hub.services.following import Following
from gateway_hub.services.idempotency import IdempotencyKeys
from gateway_hub.services.insights import Insights
from gateway_hub.services.log_cursors import LogCursors
from gateway_hub.services.notices import tell_over
from gateway_hub.services.orphans import Orphans
from gateway_hub.services.outbox import Outbox
from gateway_hub.services.phone_identity import PhoneIdentity
from gateway_hub.services.presence import Presence
from gateway_hub.services.publisher import Publisher
from gateway_hub.services.retention import Retention
from gateway_hub.services.secrets import SecretBox
from gateway_hub.services.statistics import Statistics
from gateway_hub.services.waiting import Waiting
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.services.webhook_deliveries import WebhookDeliveries
from gateway_hub.services.webhook_endpoints import WebhookEndpoints, WebhookRules
from gateway_hub.services.webhook_history import WebhookHistory
from gateway_hub.services.webhook_replies import WebhookReplies
from gateway_hub.services.webhook_subscriptions import WebhookSubscriptions
from gateway_hub.services.work_hints import WorkHints
from gateway_hub.storage.blobs import FileBlobStore
from gateway_hub.storage.database import Database

_DUE_SECONDS = 1.0
_FORGET_SECONDS = 3600.0
_SWEEP_SECONDS = 86_400.0
_RETRY_SECONDS = 5.0
_BETWEEN_CATCHING_UP_SECONDS = 0.2

Work = Callable[[], Coroutine[None, None, object]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HubOptions:
    """What the services need to know; see the settings of the same names."""

    database_url: str
    attachments_folder: Path
    secret_keys: list[str]
    migrate: bool
    offline_after: timedelta = timedelta(minutes=10)
    operator_token: str | None = None
    direct_database_url: str | None = None
    max_queued: int | None = None
    max_event_streams: int = 200
    keep: timedelta | None = None
    """How long what is over is kept; None: for ever."""
    keep_events: timedelta | None = None
    """How long events are kept, if that is less; None: for ever."""
    webhook_rules: WebhookRules = field(default_factory=WebhookRules)


class Hub:
    """The services, wired. Use them between `start` and `stop`."""

    def __init__(self, options: HubOptions, clock: Clock) -> None:
        self._options = options
        self._tasks: list[asyncio.Task[None]] = []
        self.database = Database(options.database_url, options.direct_database_url)
        secret_box = SecretBox(options.secret_keys)
        tell = tell_over(self.database.line)
        self.tail = EventTail(self.database, options.max_event_streams)
        self.events = EventLog(self.database, LogCursors(options.secret_keys), self.tail)
        self.subscriptions = WebhookSubscriptions(clock)
        self.publisher = Publisher(
            self.database, tell, on_published=self.tail.rouse, subscribers=self.subscriptions
        )
        self.database.when_events(self.publisher.note_events)
        self.directory = Directory(self.database, tell)
        self.hints = WorkHints(self.database, clock, tell)
        self.wakeups = Wakeups(self.hints, tell)
        self.following = Following(
            self.database,
            directory=self.directory,
            hints=self.hints,
            wakeups=self.wakeups,
            tail=self.tail,
            clock=clock,
        )
        self.states = DeviceStates(self.database, options.offline_after, clock)
        self.presence = Presence(self.database, self.states, options.offline_after, clock)
        self.states.when_written(self.presence.tell_of_seen)
        self.access = Access(self.database, self.directory, clock, options.operator_token)
        self.idempotency = IdempotencyKeys(self.database, secret_box, clock)
        self.identity = PhoneIdentity(self.directory, secret_box, clock)
        self.devices = Devices(
            self.database,
            secret_box,
            identity=self.identity,
            directory=self.directory,
            states=self.states,
            wakeups=self.wakeups,
            clock=clock,
        )
        self.webhook_endpoints = WebhookEndpoints(
            self.database,
            secret_box,
            self.subscriptions,
            rules=options.webhook_rules,
            clock=clock,
        )
        self.outbox = Outbox(
            self.database,
            self.directory,
            self.states,
            wakeups=self.wakeups,
            clock=clock,
            backlogs=Backlogs(self.database, options.max_queued),
            callbacks=self.webhook_endpoints,
        )
        self.webhook_deliveries = WebhookDeliveries(
            self.database,
            secret_box,
            self.subscriptions,
            replies=WebhookReplies(self.outbox),
            clock=clock,
        )
        self.webhook_history = WebhookHistory(self.database, self.subscriptions, clock)
        self.waiting = Waiting(self.database, self.states, clock)
        self.estimates = Estimates(self.database, self.states, clock)
        self.caretaker = Caretaker(self.database, self.states, self.wakeups, clock)
        self.statistics = Statistics(self.database, clock)
        self.insights = Insights(self.database, self.states, clock)
        self.attachments = Attachments(FileBlobStore(options.attachments_folder))
        self.retention = Retention(
            self.database,
            self.attachments,
            clock,
            keep=options.keep,
            keep_events=options.keep_events,
        )
        self.orphans = Orphans(self.database, self.attachments)
        self.phones = PhoneExchange(
            self.database,
            self.states,
            self.directory,
            hints=self.hints,
            wakeups=self.wakeups,
            clock=clock,
        )

    async def start(self) -> None:
        """Open the database and begin the background work."""
        try:
            await self.database.start(migrate=self._options.migrate)
            await self.access.ensure_default_project()
            await self.attachments.prepare()
        except BaseException:
            await self.database.stop()
            raise
        self._tasks = [
            asyncio.create_task(_keep_doing(work, seconds), name=work.__qualname__)
            for work, seconds in (
                (self._run_due, _DUE_SECONDS),
                (self.states.flush, self.states.FLUSH_SECONDS),
                (self.presence.tell_of_absent, self.presence.LOOK_SECONDS),
                (self.caretaker.forget_old_usage, _FORGET_SECONDS),
                (self.caretaker.let_go_of_all_deleted, _FORGET_SECONDS),
                (self.idempotency.forget_old, _FORGET_SECONDS),
                (self.statistics.fold, _FORGET_SECONDS),
                (self.webhook_deliveries.bury, self.webhook_deliveries.BURY_SECONDS),
                (self.following.refresh, self.hints.REFRESH_SECONDS),
                (self.tail.follow, 0),
                *self._publishing_work(),
                *self._cross_process_work(),
                *self._removal_work(),
            )
        ]

    def let_go(self) -> None:
        """Answer held polls and end event streams; hold none from now on."""
        self.wakeups.stop()
        self.tail.stop()

    async def stop(self) -> None:
        """End held polls, streams and background work, write what is buffered, then close."""
        self.let_go()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.states.flush()
        finally:
            await self.database.stop()

    async def check(self) -> dict[str, str]:
        """Return the failing checks, by name, with what is wrong; empty when ready to serve."""
        failing: dict[str, str] = {}
        checks = {"database": self.database.check, "attachments": self.attachments.check}
        for name, check in checks.items():
            try:
                await check()
            except HubError as error:
                failing[name] = error.detail
            except Exception as error:  # noqa: BLE001 - any failure means "not ready"
                failing[name] = type(error).__name__
        return failing

    def _publishing_work(self) -> list[tuple[Work, float]]:
        """What is needed only where events are not in the log as soon as they are written."""
        if not self.publisher.is_needed:
            return []
        return [(self.publisher.publish_due, self.publisher.PAUSE_SECONDS)]

    def _cross_process_work(self) -> list[tuple[Work, float]]:
        """What is needed only where other processes write too."""
        if self.database.is_sqlite:
            return []
        return [
            (self.following.follow, self.directory.FOLLOW_SECONDS),
            (self.states.follow, self.states.FLUSH_SECONDS),
            (self.following.catch_up, _BETWEEN_CATCHING_UP_SECONDS),
            (self.following.listen, _FORGET_SECONDS),
        ]

    def _removal_work(self) -> list[tuple[Work, float]]:
        """What is needed only where things are not kept for ever."""
        work: list[tuple[Work, float]] = []
        if self._options.keep is not None or self._options.keep_events is not None:
            work.append((self.retention.remove_old, _FORGET_SECONDS))
        if self._options.keep is not None:
            work.append((self.orphans.remove_all, _SWEEP_SECONDS))
        return work

    async def _run_due(self) -> None:
        while await self.caretaker.run_due():
            pass


async def _keep_doing(work: Work, seconds: float) -> None:
    """Do *work* every *seconds* until cancelled; a failure is logged and tried again later."""
    while True:
        try:
            await work()
            await asyncio.sleep(seconds)
        except Exception:
            log.exception("background_work_failed", work=work.__qualname__)
            await asyncio.sleep(_RETRY_SECONDS)
