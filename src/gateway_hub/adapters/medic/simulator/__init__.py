"""A phone with the CHT gateway app, simulated without I/O."""

import random
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from itertools import islice

from gateway_hub.adapters.medic.simulator.http import (
    DEFAULT_USER_AGENT,
    InboundSms,
    Verification,
    get_headers,
    parse_server_url,
    parse_success,
    post_headers,
    read_verification,
    render_post,
)
from gateway_hub.adapters.medic.simulator.okhttp import Exchange, OkHttp
from gateway_hub.adapters.medic.simulator.outbox import (
    OutboundSms,
    Outbox,
    StatusUpdate,
    WireStatus,
)
from gateway_hub.adapters.medic.simulator.sender import Sender
from gateway_hub.simulator.android_json import to_string
from gateway_hub.simulator.phone import (
    Agenda,
    HttpAnswer,
    HttpRequest,
    MmsAttachment,
    NoAnswer,
    SentSms,
    earliest,
)
from gateway_hub.simulator.radio import Radio
from gateway_hub.simulator.steps import Step

MAX_MESSAGES = 10
MAX_UPDATES = 20
_OLD_AFTER = timedelta(days=7)
_STRIPPED_FROM_NUMBERS = re.compile(r"[-\s]", re.ASCII)


@dataclass(frozen=True, slots=True)
class MedicOptions:
    """How the app is set up, and the phone it runs on.

    *poll_seconds* is 30 up to Android 5.0, at least 60 since; None: only polls at incoming SMS.
    *encodes_password* is how the app writes the password since v1.7.1.
    *every_part_reports* has each part of a long SMS change its status. On Android all parts share
    one report that works once, so that the first to arrive speaks for all.
    *cdma* splits long texts in the app itself. *clock_ahead* is how wrong the phone's clock is.
    """

    poll_seconds: float | None = 60.0
    user_agent: str = DEFAULT_USER_AGENT
    encodes_password: bool = True
    every_part_reports: bool = False
    cdma: bool = False
    clock_ahead: timedelta = timedelta(0)


class _Purpose(Enum):
    TIMED_POLL = auto()
    POLL_AT_SMS = auto()
    VERIFICATION = auto()


@dataclass(slots=True)
class _Errand(Exchange):
    """An exchange, what it is for, and all that is told by it."""

    purpose: _Purpose = _Purpose.VERIFICATION
    messages: list[InboundSms] = field(default_factory=list)
    updates: list[StatusUpdate] = field(default_factory=list)

    @property
    def was_full(self) -> bool:
        """Whether there may be more to tell than fitted into it."""
        return len(self.messages) == MAX_MESSAGES or len(self.updates) == MAX_UPDATES


class MedicPhone:
    """A phone that runs medic/cht-gateway as of a122e03 (v1.8), on okhttp as of Android 7.1.

    After ``WakefulService``, ``WebappPoller``, ``IntentProcessor``, ``SmsSender``, ``Db`` and
    ``DeliveryReportHandler`` of the app. The SysCo "SMS Gateway" app has the same code.

    *last_error* is what a person sees.
    """

    def __init__(
        self,
        name: str,
        server_url: str,
        *,
        rng: random.Random,
        radio: Radio,
        now: datetime,
        options: MedicOptions | None = None,
    ) -> None:
        self.name = name
        self.airplane = False
        self.lost: list[Step] = []
        self.last_error: str | None = None
        self.verification: Verification | None = None
        self._options = settings = options or MedicOptions()
        self._target = parse_server_url(server_url, encodes_password=settings.encodes_password)
        self._post_headers = post_headers(self._target, settings.user_agent)
        self._interval = timedelta(seconds=settings.poll_seconds or 0)
        self._rng = rng
        self._waiting: dict[str, InboundSms] = {}
        self._agenda = Agenda()
        self._http: OkHttp[_Errand] = OkHttp()
        self._outbox = Outbox()
        self._sender = Sender(
            self._outbox,
            radio,
            self._agenda,
            cdma=settings.cdma,
            every_part_reports=settings.every_part_reports,
        )
        self.air: list[SentSms] = self._sender.air
        self._is_awake = False
        self._next_tick_at: datetime | None = None
        self._set_alarm(now)

    @property
    def idle(self) -> bool:
        """Whether nothing more will happen by itself but polls that have nothing to tell."""
        nothing_to_tell = self._outbox.is_quiet and not self._waiting
        return nothing_to_tell and not self._http.is_busy and self._agenda.next_at is None

    @property
    def messages(self) -> dict[str, OutboundSms]:
        """What the app has in its list of outbound messages, by wire id."""
        return self._outbox.messages

    def next_wakeup(self) -> datetime | None:
        """Return the earliest moment at which `run` has something to do."""
        tick_at = None if self._is_awake else self._next_tick_at
        return earliest(self._http.outgoing.since, self._agenda.next_at, tick_at)

    def run(self, now: datetime) -> list[HttpRequest]:
        """Do all that is due by *now* and return the requests to put on the network."""
        self._agenda.run_due(now)
        if not self._is_awake and self._next_tick_at is not None and self._next_tick_at <= now:
            self._skip_missed_ticks(self._next_tick_at, now)
            self._wake(now)
        return self._http.outgoing.take()

    def take_answer(self, token: int, answer: HttpAnswer | NoAnswer, now: datetime) -> None:
        """Take the end of the request *token*."""
        errand = self._http.take_answer(token, answer, now)
        if errand is not None:
            self._conclude(errand, answer, now)

    def receive_sms(self, contact: str, text: str, now: datetime) -> None:
        """Store an SMS and poll at once, whatever the timed poll is doing."""
        sms_id = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        # The network's timestamp has whole seconds.
        sent_at = now.replace(microsecond=0)
        received_at = now + self._options.clock_ahead
        self._waiting[sms_id] = InboundSms(sms_id, contact, text, sent_at, received_at)
        self._poll(_Purpose.POLL_AT_SMS, now)

    def receive_mms(self, contact: str, parts: Sequence[MmsAttachment], now: datetime) -> None:
        """Ignore an MMS, as the app does."""

    def receive_call(self, contact: str, now: datetime) -> None:
        """Ignore a call, as the app does."""

    def type_sms(self, to: str, text: str, now: datetime) -> None:
        """Ignore what other apps send, as the app does."""

    def press_retry(self, now: datetime) -> None:
        """Press Retry at every failed message; the next wake sends them."""
        for sms in self._outbox.messages.values():
            if sms.status is WireStatus.FAILED:
                self._outbox.retry(sms, now)

    def retry_message(self, wire_id: str, now: datetime) -> None:
        """Press Retry at one message; the app offers it for a pending one too.

        That one may be on its way: this sends an SMS twice.
        """
        self._outbox.retry(self._outbox.messages[wire_id], now)

    def delete_old_data(self, now: datetime) -> None:
        """Press "delete old data": what was not touched for a week is gone, ids included."""
        since = now - _OLD_AFTER
        self._outbox.forget_untouched(since)
        old = [sms_id for sms_id, sms in self._waiting.items() if sms.received_at < since]
        for sms_id in old:
            del self._waiting[sms_id]

    def verify_server(self, now: datetime) -> None:
        """Ask the server whether it is a gateway's, as when settings are saved.

        *verification* tells the result.
        """
        headers = get_headers(self._target, self._options.user_agent)
        self.verification = None
        self._transmit(_Errand("GET", self._target.url, headers, b""), now)

    def restart(self, now: datetime) -> None:
        """Lose power and come back: the database is left, but no report of the radio."""
        self._agenda.clear()
        self._http.forget()
        self._is_awake = False
        self._set_alarm(now)

    def _set_alarm(self, now: datetime) -> None:
        self._next_tick_at = None if self._options.poll_seconds is None else now

    def _skip_missed_ticks(self, tick_at: datetime, now: datetime) -> None:
        """Set the tick after *now*: an alarm that is late rings once."""
        missed = (now - tick_at) // self._interval
        self._next_tick_at = tick_at + (missed + 1) * self._interval

    def _wake(self, now: datetime) -> None:
        self._is_awake = True
        self._poll(_Purpose.TIMED_POLL, now)

    def _end_wake(self, now: datetime) -> None:
        """Send, then sleep; each tick that came meanwhile is a wake of its own, one by one."""
        self._send_unsent(now)
        self._is_awake = False
        if self._next_tick_at is not None and self._next_tick_at <= now:
            self._next_tick_at += self._interval
            self._wake(now)

    def _send_unsent(self, now: datetime) -> None:
        self._sender.send_unsent(now, airplane=self.airplane)

    def _poll(self, purpose: _Purpose, now: datetime) -> None:
        messages = list(islice(self._waiting.values(), MAX_MESSAGES))
        updates = self._outbox.untold(MAX_UPDATES)
        errand = _Errand(
            "POST",
            self._target.url,
            self._post_headers,
            render_post(messages, updates),
            purpose=purpose,
            messages=messages,
            updates=updates,
        )
        self._transmit(errand, now)

    def _transmit(self, errand: _Errand, now: datetime) -> None:
        if self.airplane:
            self._agenda.add(now, partial(self._conclude, errand, NoAnswer("unknown_host")))
        else:
            self._http.send(errand, now)

    def _conclude(self, errand: _Errand, end: HttpAnswer | NoAnswer, now: datetime) -> None:
        if errand.purpose is _Purpose.VERIFICATION:
            self.verification = read_verification(end)
            return
        succeeded = self._take_end(errand, end, now)
        if errand.purpose is _Purpose.POLL_AT_SMS:
            if succeeded:
                self._send_unsent(now)
        elif succeeded and errand.was_full:
            self._poll(_Purpose.TIMED_POLL, now)
        else:
            self._end_wake(now)

    def _take_end(self, errand: _Errand, end: HttpAnswer | NoAnswer, now: datetime) -> bool:
        """Take what the server says; say whether it went well from beginning to end."""
        if isinstance(end, NoAnswer):
            self.last_error = f"Received error from server: -1: {end.kind}"
            return False
        document = parse_success(end)
        if isinstance(document, str):
            self.last_error = document
            return False
        self._mark_told(errand)
        messages = document.get("messages")
        if messages is not None and not isinstance(messages, list):
            self.last_error = "Exception caught trying to poll webapp: messages is no JSONArray"
            return False
        for item in messages or ():
            self._store(item, now)
        return True

    def _mark_told(self, errand: _Errand) -> None:
        """Take all that was told as known to the server, whatever it answered."""
        if errand.redirects:
            self.lost += _describe_loss(errand)
        for message in errand.messages:
            self._waiting.pop(message.id, None)
        for update in errand.updates:
            self._outbox.mark_told(update)

    def _store(self, item: object, now: datetime) -> None:
        """Store one message of an answer; one that lacks something is skipped."""
        if isinstance(item, dict) and {"id", "to", "content"} <= item.keys():
            to = _STRIPPED_FROM_NUMBERS.sub("", to_string(item["to"]))
            self._outbox.store(to_string(item["id"]), to, to_string(item["content"]), now)


def _describe_loss(errand: _Errand) -> list[Step]:
    return [
        *(
            Step("lost", wire_id=message.id, contact=message.contact, text=message.content)
            for message in errand.messages
        ),
        *(
            Step("lost", wire_id=update.sms_id, status=update.status.value)
            for update in errand.updates
        ),
    ]
