"""A phone with EnvayaSMS, simulated without I/O."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from gateway_hub.adapters.envaya.simulator.answers import read_answer
from gateway_hub.adapters.envaya.simulator.commands import (
    AnswerError,
    Command,
    CommandCancel,
    CommandCancelAll,
    CommandLog,
    CommandSend,
    CommandSettings,
    PassedOver,
)
from gateway_hub.adapters.envaya.simulator.inbound import InboundMessage, Inbox
from gateway_hub.adapters.envaya.simulator.json import read_json_event
from gateway_hub.adapters.envaya.simulator.link import ServerLink
from gateway_hub.adapters.envaya.simulator.log import AppLog
from gateway_hub.adapters.envaya.simulator.network import Task
from gateway_hub.adapters.envaya.simulator.outbound import OutboundSms, Outbox
from gateway_hub.adapters.envaya.simulator.poller import Poller
from gateway_hub.adapters.envaya.simulator.requests import Fields, describe_parts
from gateway_hub.adapters.envaya.simulator.settings import EnvayaOptions, Settings
from gateway_hub.domain.clock import to_epoch_ms
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

__all__ = ["EnvayaOptions", "EnvayaPhone"]

_FIRST_WITH_AGE = 18
_FIRST_RESTART = timedelta(seconds=5)
_LAST_RESTART = timedelta(minutes=10)


class EnvayaPhone:
    """A phone that runs EnvayaSMS: 3.0.1 (version 30, 69a05ac), 2.0.5 (18, f53ccc3) or 2.0.4 (17).

    After ``Inbox``, ``Outbox``, ``QueuedMessage``, ``HttpTask``, ``ForwarderTask``, ``PollerTask``,
    ``JsonUtils``, ``XmlUtils`` and ``App`` of the app; queue and limits of the older versions are
    taken to be those of 3.0.1. The HTTP client is Apache's of Android 2.3, its XML parser that of
    Android 2.3 up to version 27 and of Android 7 above.

    *crashes* counts answers that killed the app. Android starts it again after a few seconds, each
    time in a row after twice as many, or when something comes in; how it really waits depends on
    its version.
    """

    def __init__(
        self,
        name: str,
        server_url: str,
        *,
        rng: random.Random,
        radio: Radio,
        now: datetime,
        options: EnvayaOptions,
    ) -> None:
        self.name = name
        self.airplane = False
        self.air: list[SentSms] = []
        self.lost: list[Step] = []
        self.crashes = 0
        self._settings = Settings(server_url, options, rng)
        self._agenda = Agenda()
        self._log = AppLog(is_version_3=self._settings.reads_json, clock_ahead=options.clock_ahead)
        self._link = ServerLink(self, self._settings, self._agenda, self._log)
        self._poller = Poller(self._settings, self._log, self._link)
        self._inbox = Inbox(self._agenda, self.log, self._forward)
        self._outbox = Outbox(
            self,
            self._agenda,
            radio,
            keeps_on_disk=self._settings.reads_json,
            refused=options.refused_numbers,
        )
        self._mms_received = 0
        self._is_down = False
        self._crashes_in_a_row = 0
        self._poller.restart(now)

    @property
    def idle(self) -> bool:
        """Whether nothing more will happen by itself but polls that have nothing to tell."""
        is_telling = any(task.action != "outgoing" for task in self._link.network.tasks)
        return not is_telling and not self._link.has_postponed and self._agenda.next_at is None

    @property
    def settings(self) -> dict[str, str | bool | int]:
        """What is set in the app now, by its own names."""
        return self._settings.values

    @property
    def inbound(self) -> list[InboundMessage]:
        """What the app has in its list of messages to forward."""
        return self._inbox.messages

    @property
    def outbound(self) -> list[OutboundSms]:
        """What the app has in its list of messages to send."""
        return self._outbox.messages

    def next_wakeup(self) -> datetime | None:
        """Return the earliest moment at which `run` has something to do."""
        network = self._link.network
        return earliest(
            network.outgoing.since,
            network.next_deadline,
            self._agenda.next_at,
            self._poller.next_tick_at,
        )

    def run(self, now: datetime) -> list[HttpRequest]:
        """Do all that is due by *now* and return the requests to put on the network."""
        self._link.time_out(now)
        self._agenda.run_due(now)
        self._poller.run(now)
        return self._link.network.outgoing.take()

    def take_answer(self, token: int, answer: HttpAnswer | NoAnswer, now: datetime) -> None:
        """Take the end of the request *token*."""
        self._link.take_answer(token, answer, now)

    def receive_sms(self, contact: str, text: str, now: datetime) -> None:
        """Receive an SMS; the network's timestamp has whole seconds."""
        stamp = to_epoch_ms(now.replace(microsecond=0))
        self._take(InboundMessage("sms", contact, text, stamp, now), now)

    def receive_mms(self, contact: str, parts: Sequence[MmsAttachment], now: datetime) -> None:
        """Receive an MMS; its first plain text is the message."""
        self._mms_received += 1
        message = InboundMessage(
            "mms",
            contact,
            next((_decode(part) for part in parts if part.content_type == "text/plain"), ""),
            to_epoch_ms(now.replace(microsecond=0)),
            now,
            attachments=tuple(parts),
            mms_number=self._mms_received,
        )
        self._take(message, now)

    def receive_call(self, contact: str, now: datetime) -> None:
        """Miss a call, which is stamped by the phone's own clock."""
        if self._settings.is_on("call_notifications"):
            stamp = to_epoch_ms(self._settings.phone_time(now))
            self._take(InboundMessage("call", contact, "", stamp, now), now)

    def type_sms(self, to: str, text: str, now: datetime) -> None:
        """Send an SMS from the phone's messaging app, which version 3 forwards if told to."""
        if self._settings.reads_json and self._settings.is_on("forward_sent"):
            stamp = to_epoch_ms(self._settings.phone_time(now))
            message = InboundMessage("sms", to, text, stamp, now, typed_by_hand=True)
            self._take(message, now)

    def report_device(self, status: str, now: datetime) -> None:
        """Notice a change of power or battery: ``power_connected``, ``battery_low`` and others."""
        head = (("action", "device_status"), ("status", status))
        self._link.start(Task("device_status", head, repeats=True), now)

    def test_connection(self, now: datetime) -> None:
        """Press "test connection"."""
        self._link.start(Task("test", (("action", "test"),)), now)

    def take_amqp_command(self, body: bytes, now: datetime) -> None:
        """Take a command from its RabbitMQ queue; the app has acknowledged it before."""
        try:
            self._obey(read_json_event(body, self._settings.options.version), now)
        except AnswerError as error:
            self.log(f"Error processing AMQP message: {error}", now)

    def press_retry(self, now: datetime) -> None:
        """Press Retry: everything that waits, for whatever, is tried now."""
        self._outbox.retry_all(now)
        self._inbox.retry_all(now)
        self._link.retry_postponed(now)

    def restart(self, now: datetime) -> None:
        """Lose power and come back. Version 3 keeps on disk what it has not told or tried yet."""
        kept = self._inbox.messages if self._settings.reads_json else []
        self._is_down = False
        self._agenda.clear()
        self._link.forget()
        self._log.clear()
        self._inbox.clear()
        self._poller.restart(now)
        for message in kept:
            self._inbox.take(message, now)
        self._outbox.restart(now)

    def log(self, line: str, now: datetime) -> None:
        """Write a line into the app's log."""
        self._log.add(line, now)

    def report_status(self, sms_id: str, status: str, error: str, now: datetime) -> None:
        """Tell the server of a message."""
        head = (("id", sms_id), ("status", status), ("error", error), ("action", "send_status"))
        self._link.start(Task("send_status", head, repeats=True), now)

    def report_limit(self, now: datetime) -> None:
        """Tell the server that the limit is reached."""
        self.report_device("send_limit_exceeded", now)

    def take_success(self, task: Task, answer: HttpAnswer, now: datetime, *, lost: bool) -> None:
        """Take a 200; raises AnswerError if it cannot be read."""
        self._crashes_in_a_row = 0
        if lost and task.action == "send_status":
            told = dict(task.head)
            self.lost.append(Step("lost", wire_id=told["id"], status=told["status"]))
        if task.action == "test":
            self.log("Server connection OK!", now)
        elif self._settings.reads_json:
            # Version 3 believes a message forwarded before it reads the answer.
            self._note_forwarded(task, now, lost=lost)
            self._obey(self._read(task, answer), now)
        elif task.action in ("incoming", "outgoing"):
            self._obey(self._read(task, answer), now)
            self._note_forwarded(task, now, lost=lost)

    def take_failure(self, task: Task, now: datetime) -> None:
        """Have a message that was not forwarded forwarded again."""
        if task.message is not None:
            self._inbox.fail(task.message, now)

    def take_end(self, task: Task, now: datetime) -> None:
        """Poll at once if that was asked for during the poll that ended."""
        if task.action == "outgoing":
            self._poller.finish(now)

    def reconnect(self, now: datetime) -> None:
        """Forward and poll: the server is there again."""
        self._inbox.retry_all(now)
        if self._settings.poll_interval is not None:
            self._poller.poll(now)

    def crash(self, now: datetime) -> None:
        """Die of an answer without a body, and be started again by Android."""
        self.crashes += 1
        wait = min(_FIRST_RESTART * 2**self._crashes_in_a_row, _LAST_RESTART)
        self._crashes_in_a_row += 1
        self._is_down = True
        self._poller.stop()
        self._link.forget()
        self._agenda.clear()
        self._agenda.add(now + wait, self.restart)

    def _take(self, message: InboundMessage, now: datetime) -> None:
        """Take what came in: Android starts an app that is down for it."""
        if self._is_down:
            self.restart(now)
        self._inbox.take(message, now)

    def _forward(self, message: InboundMessage, now: datetime) -> None:
        action = "forward_sent" if message.typed_by_hand else "incoming"
        head: Fields = (("message_type", message.type), ("message", message.text))
        tail: Fields = (
            ("action", action),
            ("to" if message.typed_by_hand else "from", message.contact),
        )
        stamp: Fields = (("timestamp", str(message.timestamp_ms)),)
        if self._settings.reads_json:
            head += stamp
        else:
            tail += stamp + self._age(message, now)
        if message.attachments:
            tail += (("mms_parts", describe_parts(message.attachments)),)
        task = Task(action, head, tail, message=message, attachments=message.attachments)
        self._link.start(task, now)

    def _age(self, message: InboundMessage, now: datetime) -> Fields:
        if self._settings.options.version < _FIRST_WITH_AGE:
            return ()
        return (("age", str(to_epoch_ms(now) - to_epoch_ms(message.created_at))),)

    def _note_forwarded(self, task: Task, now: datetime, *, lost: bool) -> None:
        if task.message is not None:
            if lost:
                step = Step("lost", contact=task.message.contact, text=task.message.text)
                self.lost.append(step)
            self._inbox.mark_forwarded(task.message, now)

    def _read(self, task: Task, answer: HttpAnswer) -> Iterable[Command]:
        version = self._settings.options.version
        return read_answer(answer, task.action, version, _default_recipient(task))

    def _obey(self, commands: Iterable[Command], now: datetime) -> None:
        for command in commands:
            match command:
                case CommandSend():
                    self._outbox.take(command, now)
                case CommandCancel(sms_id):
                    self._outbox.cancel(sms_id, now)
                case CommandCancelAll():
                    self._outbox.cancel_all(now)
                case CommandLog(line) | PassedOver(line):
                    self.log(line, now)
                case CommandSettings():
                    self._change_settings(command, now)

    def _change_settings(self, command: CommandSettings, now: datetime) -> None:
        self._settings.values.update(command.settings)
        for name in command.refused:
            self.log(f"Unknown setting type for name {name}", now)
        self.log("Updated app settings", now)
        self._poller.set_alarm(now)


def _default_recipient(task: Task) -> str:
    """Return to whom a message without recipient goes: the sender of what is being answered."""
    return task.message.contact if task.message and not task.message.typed_by_hand else ""


def _decode(part: MmsAttachment) -> str:
    return part.data.decode("utf-8", "replace")
