"""What simulated phones do, printed: a line a step, for people or as JSON for machines."""

import errno
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, get_args

import typer

from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.domain.clock import format_rfc3339, system_clock
from gateway_hub.ops.escaping import escape_controls
from gateway_hub.simulator.steps import Step, StepName

_LONGEST_DETAIL = 500

_SENTENCES: dict[StepName, str] = {
    "asked": "asks for work",
    "answered": "is answered: HTTP {http_status}",
    "given": "is given an SMS to {contact}: “{text}”",
    "nothing": "is given nothing to do",
    "on_air": "sends the SMS to {contact}: “{text}”",
    "reported": "has told the server: {status}",
    "received": "receives an SMS from {contact}: “{text}”",
    "forwarded": "has forwarded the SMS from {contact}: “{text}”",
    "commanded": "is told: {detail} {text}",
    "redirected": "is redirected (HTTP {http_status}) to {detail}",
    "lost": "loses by the redirect the SMS from {contact}, which it believes forwarded: “{text}”",
    "refused": "is refused: HTTP {http_status}",
    "not_understood": "does not understand the answer",
    "crashed": "crashes: HTTP {http_status} has no body, and the app dies of that",
    "no_answer": "gets no answer",
}
_LOST_STATUS = "loses by the redirect a status, which it believes told: {status}"
_WITH_DETAIL: frozenset[StepName] = frozenset(
    {"reported", "refused", "not_understood", "no_answer"}
)
_WITH_ID: frozenset[StepName] = frozenset({"given", "on_air", "reported", "commanded", "lost"})
_SUMMED: tuple[tuple[StepName, str], ...] = (
    ("asked", "polls"),
    ("given", "SMS given"),
    ("on_air", "SMS sent"),
    ("reported", "statuses told"),
    ("received", "SMS received"),
    ("forwarded", "forwarded"),
    ("commanded", "commands"),
    ("redirected", "redirects"),
    ("lost", "SMS and statuses lost by a redirect"),
    ("refused", "refusals"),
    ("not_understood", "answers not understood"),
    ("crashed", "crashes of the app"),
    ("no_answer", "requests without an answer"),
)
_SUCCESSES: tuple[StepName, ...] = ("given", "nothing", "reported", "forwarded", "commanded")
_FAULTS: tuple[tuple[StepName, str], ...] = (
    ("lost", "redirects lost SMS or statuses that a phone believes told"),
    ("not_understood", "some answers were not understood"),
    ("crashed", "some answers crashed the app"),
)
"""What no good server does, however much else goes well."""


def describe_step(step: Step, *, with_id: bool = True) -> str:
    """Return *step* as what is said of a phone; safe to show, whoever wrote the texts in it.

    *with_id* adds the wire id of what the server gave the phone.
    """
    texts = {name: "" if value is None else str(value) for name, value in asdict(step).items()}
    texts["detail"] = _cut(texts["detail"])
    words = _LOST_STATUS if step.name == "lost" and step.status else _SENTENCES[step.name]
    sentence = words.format_map(texts).rstrip()
    if step.parts is not None and step.parts > 1:
        sentence += f" ({step.parts} parts)"
    if step.detail and step.name in _WITH_DETAIL:
        sentence += f": {texts['detail']}"
    if with_id and step.wire_id and step.name in _WITH_ID:
        sentence += f" [{texts['wire_id']}]"
    if step.is_trouble:
        sentence = f"{sentence.rstrip('.')}. {_describe_next(step.next_seconds)}"
    return escape_controls(sentence)


def _describe_next(seconds: float | None) -> str:
    if seconds is None:
        return "It waits for something to happen."
    return f"It goes on in {seconds:.0f} s." if seconds >= 1 else "It goes on at once."


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"


class StepOutput:
    """Prints what phones do and counts it.

    *on_closed* is called when nobody reads the output any more; nothing is printed from then on.
    """

    def __init__(self, *, as_json: bool, on_closed: Callable[[], None] = lambda: None) -> None:
        self.counts: Counter[StepName] = Counter()
        self._is_closed = False
        self._phones = 0
        self._width = 0
        self._as_json = as_json
        self._on_closed = on_closed
        self._began = 0.0

    def tell_registered(self, device: dict[str, Any]) -> None:
        """Print what the hub told of a device that it made, its password included."""
        typed = {field["field"]: field["value"] for field in device["setup"]["fields"]}
        if self._as_json:
            made = {"device_id": device["id"], "setup": typed}
            self._print_json({"phone": device["name"], "step": "registered"} | made)
        else:
            in_app = ", ".join(f"{field} {value}" for field, value in typed.items())
            line = f"{device['name']} is device {device['id']}. In its app: {in_app}"
            self._print(escape_controls(line))

    def tell_start(
        self, names: Sequence[str], radio: str, seed: int, *, until_all_on_seconds: float = 0
    ) -> None:
        """Print that the phones *names* are switched on, the last after so many seconds."""
        self._began = time.monotonic()
        self._phones = len(names)
        self._width = max(len(escape_controls(name)) for name in names)
        if self._as_json:
            self._print_json({"step": "started", "radio": radio, "seed": seed})
        else:
            more = ""
            if until_all_on_seconds >= 1:
                more = f" {len(names)} phones are switched on in {until_all_on_seconds:.0f} s."
            self._print(f"Radio {radio}, seed {seed}.{more} Ctrl+C ends it.\n")

    def tell(self, name: str, step: Step) -> None:
        """Print a step of the phone *name*."""
        self.counts[step.name] += 1
        if self._as_json:
            self._print_json({"phone": name, "step": step.name} | _given(step))
        elif step.name != "answered":  # what the answer was follows
            clock = f"{system_clock().astimezone():%H:%M:%S}"
            self._print(f"{clock}  {escape_controls(name):<{self._width}}  {describe_step(step)}")

    def tell_sum(self) -> None:
        """Print how often what happened."""
        seconds = round(time.monotonic() - self._began, 3)
        if self._as_json:
            sums = {name: self.counts[name] for name in get_args(StepName)}
            self._print_json({"step": "sum", "phones": self._phones, "seconds": seconds} | sums)
            return
        parts = [f"{words} {self.counts[name]}" for name, words in _SUMMED if self.counts[name]]
        self._print(f"\nIn {seconds:.0f} s: {', '.join(parts) or 'nothing'}.")

    def raise_failure(self) -> None:
        """Raise what is wrong with the server: it took nothing, never answered, or did harm.

        Raises BrokenPipeError if nobody read to the end.
        """
        if self._is_closed:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        did_good = any(self.counts[name] for name in _SUCCESSES)
        reasons = [words for name, words in _FAULTS if self.counts[name]]
        if self.counts["answered"] and not did_good:
            reasons.insert(0, "the server took nothing from the phones")
        if reasons:
            raise CommandError(f"{'; '.join(reasons)}.")
        if self.counts["no_answer"] and not did_good:
            raise CommandError("the server never answered.", ExitCode.UNREACHABLE)

    def _print_json(self, fields: dict[str, object]) -> None:
        # Not orjson: a server may say half a surrogate pair, which only an escape can hold.
        self._print(json.dumps({"timestamp": format_rfc3339(system_clock())} | fields))

    def _print(self, line: str) -> None:
        if self._is_closed:
            return
        try:
            typer.echo(line)
        except BrokenPipeError:
            self._is_closed = True
            self._on_closed()


def _given(step: Step) -> dict[str, object]:
    fields = asdict(step)
    del fields["name"]
    return {name: value for name, value in fields.items() if value is not None}
