"""The outbound half of a simulated CHT gateway app's database: which status may follow which.

After ``Db.java``, ``WoMessage.java`` and ``IntentProcessor.java`` of medic/cht-gateway at a122e03.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice

SMS_PER_WAKE = 10
MAX_SOFT_FAILURES = 20


class WireStatus(StrEnum):
    """The app's own words."""

    UNSENT = "UNSENT"
    PENDING = "PENDING"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


@dataclass(slots=True)
class OutboundSms:
    """A message the server handed out; *last_action* is what the app's retries count from."""

    id: str
    to: str
    content: str
    status: WireStatus
    last_action: datetime
    soft_failures: int = 0


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A status once reached; *number* is its place among all."""

    number: int
    sms_id: str
    status: WireStatus
    reason: str | None


class Outbox:
    """Messages by id, for ever, and the status updates that wait to be told to the server."""

    def __init__(self) -> None:
        self.messages: dict[str, OutboundSms] = {}
        self._unsent: dict[str, OutboundSms] = {}
        self._untold: dict[int, StatusUpdate] = {}
        self._latest: dict[str, StatusUpdate] = {}
        self._numbers = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is to be sent or told."""
        return not self._unsent and not self._untold

    def store(self, sms_id: str, to: str, content: str, now: datetime) -> None:
        """Take a message from the server; one that is known is not sent again.

        Its last status is told once more, and its own next try is pushed away.
        """
        known = self.messages.get(sms_id)
        if known is None:
            sms = OutboundSms(sms_id, to, content, WireStatus.UNSENT, now)
            self.messages[sms_id] = self._unsent[sms_id] = sms
            self._note(sms, None)
            return
        update = self._latest[sms_id]
        self._untold[update.number] = update
        known.last_action = now

    def take_unsent(self, now: datetime) -> list[OutboundSms]:
        """Return what to send in one wake.

        Of the ten longest untouched, those that need not wait: ten that wait block all others.
        """
        oldest = sorted(self._unsent.values(), key=lambda sms: sms.last_action)
        return [sms for sms in oldest[:SMS_PER_WAKE] if _may_be_sent(sms, now)]

    def mark_pending(self, sms: OutboundSms, now: datetime) -> None:
        """Note that *sms* is given to the radio."""
        self._change(sms, WireStatus.PENDING, now)

    def mark_sent(self, sms: OutboundSms, now: datetime) -> None:
        """Note that the radio sent *sms*."""
        if sms.status is WireStatus.PENDING:
            self._change(sms, WireStatus.SENT, now)

    def mark_delivered(self, sms: OutboundSms, now: datetime) -> None:
        """Note that the recipient has *sms*, whatever was thought of it before."""
        self._change(sms, WireStatus.DELIVERED, now)

    def fail(self, sms: OutboundSms, reason: str, now: datetime) -> None:
        """Give up on *sms*, which only works while it is pending."""
        if sms.status is WireStatus.PENDING:
            sms.soft_failures = 0
            self._change(sms, WireStatus.FAILED, now, reason)

    def fail_softly(self, sms: OutboundSms, reason: str, now: datetime) -> None:
        """Have *sms* sent again later, unless that was the last try."""
        if sms.soft_failures >= MAX_SOFT_FAILURES:
            self.fail(sms, reason, now)
            return
        sms.soft_failures += 1
        self._change(sms, WireStatus.UNSENT, now)

    def retry(self, sms: OutboundSms, now: datetime) -> None:
        """Send *sms* again because a person says so: also one that was never reported on."""
        if sms.status in (WireStatus.FAILED, WireStatus.PENDING):
            self._change(sms, WireStatus.UNSENT, now)

    def untold(self, limit: int) -> list[StatusUpdate]:
        """Return the first *limit* updates that wait, oldest first."""
        return [self._untold[number] for number in islice(sorted(self._untold), limit)]

    def mark_told(self, update: StatusUpdate) -> None:
        """Note that the server knows *update*."""
        self._untold.pop(update.number, None)

    def forget_untouched(self, since: datetime) -> None:
        """Delete messages without any action *since* then, as "delete old data" does."""
        old = [sms.id for sms in self.messages.values() if sms.last_action < since]
        for sms_id in old:
            del self.messages[sms_id]
            self._unsent.pop(sms_id, None)

    def _change(
        self, sms: OutboundSms, status: WireStatus, now: datetime, reason: str | None = None
    ) -> None:
        sms.status, sms.last_action = status, now
        if status is WireStatus.UNSENT:
            self._unsent[sms.id] = sms
        else:
            self._unsent.pop(sms.id, None)
        self._note(sms, reason)

    def _note(self, sms: OutboundSms, reason: str | None) -> None:
        self._numbers += 1
        update = StatusUpdate(self._numbers, sms.id, sms.status, reason)
        self._untold[update.number] = self._latest[sms.id] = update


def _may_be_sent(sms: OutboundSms, now: datetime) -> bool:
    wait = timedelta(milliseconds=int(60_000 * sms.soft_failures**1.5))
    return sms.soft_failures == 0 or now >= sms.last_action + wait
