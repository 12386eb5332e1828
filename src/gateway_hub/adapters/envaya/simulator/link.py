"""How a simulated EnvayaSMS app talks with its server: what it makes of an answer, or of none.

After ``BaseHttpTask.java``, ``HttpTask.java``, ``CheckConnectivityTask.java`` and ``App.java`` of
3.0.1 and 2.0.5.
"""

from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from gateway_hub.adapters.envaya.simulator.answers import is_deadly, read_error
from gateway_hub.adapters.envaya.simulator.commands import AnswerError
from gateway_hub.adapters.envaya.simulator.log import NO_LOG, AppLog
from gateway_hub.adapters.envaya.simulator.network import Ended, Network, Task
from gateway_hub.adapters.envaya.simulator.requests import (
    render_body,
    render_headers,
    request_url,
)
from gateway_hub.adapters.envaya.simulator.settings import Settings
from gateway_hub.simulator.phone import Agenda, HttpAnswer, NoAnswer, NoAnswerKind

_CHECK_AFTER = timedelta(seconds=1)
_CHECK_AGAIN_AFTER = timedelta(minutes=15)
_ERRORS = range(400, 500)

_EXCEPTIONS: dict[NoAnswerKind, str] = {
    "refused": "org.apache.http.conn.HttpHostConnectException: Connection refused",
    "cut": "org.apache.http.NoHttpResponseException: The target server failed to respond",
    "timeout": "java.net.SocketTimeoutException: Read timed out",
    "unknown_host": "java.net.UnknownHostException: Unable to resolve host",
}


class Caller(Protocol):
    """What the app around the link does with its outcomes."""

    airplane: bool

    def take_success(self, task: Task, answer: HttpAnswer, now: datetime, *, lost: bool) -> None:
        """Take a 200; *lost* if another page gave it. Raises AnswerError if it cannot be read."""
        ...

    def take_failure(self, task: Task, now: datetime) -> None:
        """Note that *task* was not told."""
        ...

    def take_end(self, task: Task, now: datetime) -> None:
        """Note that *task* is over, well or not."""
        ...

    def reconnect(self, now: datetime) -> None:
        """Do what waited for the server to be reached again."""
        ...

    def crash(self, now: datetime) -> None:
        """Die of an exception, and be started again by Android."""
        ...


class ServerLink:
    """The app's tasks on their way to the server and back."""

    def __init__(self, app: Caller, settings: Settings, agenda: Agenda, log: AppLog) -> None:
        self.network = Network()
        self._app = app
        self._settings = settings
        self._agenda = agenda
        self._log = log
        self._postponed: deque[Task] = deque()
        self._is_unreachable = False
        self._checked_at: datetime | None = None

    @property
    def has_postponed(self) -> bool:
        """Whether something waits for the server to be reached again."""
        return bool(self._postponed)

    def start(self, task: Task, now: datetime) -> None:
        """Tell the server *task*; the log and the time are those of now, however long it waits."""
        task.log = self._log.take()
        if self._app.airplane:
            ended = Ended(task, NoAnswer("unknown_host"), was_redirected=False)
            self._agenda.add(now, partial(self._finish, ended))
            return
        form = self._settings.make_form(task, now)
        url = request_url(form.server_url)
        self.network.post(task, url, render_headers(form), render_body(form), now)

    def take_answer(self, token: int, end: HttpAnswer | NoAnswer, now: datetime) -> None:
        """Take the end of a request."""
        ended = self.network.take_answer(token, end, now)
        if ended is not None:
            self._finish(ended, now)

    def time_out(self, now: datetime) -> None:
        """Give up what has waited for an answer for a minute."""
        for ended in self.network.time_out(now):
            self._finish(ended, now)

    def retry_postponed(self, now: datetime) -> None:
        """Start all that waits for the server to be reached again."""
        waiting, self._postponed = self._postponed, deque()
        for task in waiting:
            self.start(task, now)

    def forget(self) -> None:
        """Give up everything."""
        self.network.forget()
        self._postponed.clear()
        self._is_unreachable = False
        self._checked_at = None

    def _finish(self, ended: Ended, now: datetime) -> None:
        task, end = ended.task, ended.end
        if isinstance(end, NoAnswer):
            self._meet_silence(task, end, now)
        elif end.status == HTTPStatus.OK:
            self._take_success(ended, end, now)
        else:
            self._take_refusal(task, end, now)
        self._app.take_end(task, now)
        if isinstance(end, HttpAnswer) and is_deadly(end, self._settings.options.version):
            self._app.crash(now)

    def _take_success(self, ended: Ended, answer: HttpAnswer, now: datetime) -> None:
        try:
            self._app.take_success(ended.task, answer, now, lost=ended.was_redirected)
        except AnswerError as error:
            self._log.add(f"Error in server response: {error}", now)
            self._fail(ended.task, now)
            return
        if self._is_unreachable:
            self._reconnect(now)

    def _take_refusal(self, task: Task, answer: HttpAnswer, now: datetime) -> None:
        self._log.add(self._describe_refusal(answer), now)
        self._fail(task, now)

    def _describe_refusal(self, answer: HttpAnswer) -> str:
        if answer.status not in _ERRORS:
            return f"Error in server response: java.lang.Exception: HTTP {answer.status}"
        try:
            return read_error(answer, self._settings.options.version)
        except AnswerError as problem:
            return f"Error in server response: {problem}"

    def _fail(self, task: Task, now: datetime) -> None:
        # What an incoming message had taken from the log is lost with it.
        if task.message is None:
            self._log.put_back(task.log)
        self._app.take_failure(task, now)

    def _meet_silence(self, task: Task, end: NoAnswer, now: datetime) -> None:
        self._log.add(f"Error while contacting server: {_EXCEPTIONS[end.kind]}", now)
        if end.kind in ("timeout", "unknown_host"):
            if task.repeats:
                # The copy the app keeps is not kept a second time.
                self._postponed.append(replace(task, repeats=False, log=NO_LOG))
            self._is_unreachable = True
            self._check_connectivity(end.kind, now)
        self._fail(task, now)

    def _check_connectivity(self, kind: NoAnswerKind, now: datetime) -> None:
        """Look whether the host answers at all: it does, if it was only too slow."""
        if self._app.airplane:
            self._log.add("Not connected to any network.", now)
            return
        if self._checked_at is not None and now - self._checked_at < _CHECK_AGAIN_AFTER:
            return
        self._checked_at = now
        self._log.add(f"Checking connectivity to {self._host}...", now)
        checked = partial(self._take_check, is_reachable=kind == "timeout")
        self._agenda.add(now + _CHECK_AFTER, checked)

    def _take_check(self, now: datetime, *, is_reachable: bool) -> None:
        if is_reachable:
            self._log.add("OK", now)
            self._reconnect(now)
        else:
            self._log.add(f"Can't connect to {self._host}.", now)

    @property
    def _host(self) -> str:
        return urlsplit(self._settings.text("server_url")).hostname or ""

    def _reconnect(self, now: datetime) -> None:
        self._is_unreachable = False
        self._app.reconnect(now)
        self.retry_postponed(now)
