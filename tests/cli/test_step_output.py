import json
import re
from pathlib import Path
from typing import get_args

import pytest

from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.cli.step_output import StepOutput, describe_step
from gateway_hub.simulator.steps import Step, StepName

STEPS = [
    (Step("asked"), "asks for work"),
    (Step("given", "m1", "+255", "Hi"), "is given an SMS to +255: “Hi” [m1]"),
    (Step("on_air", "m1", "+255", "Hi", parts=1), "sends the SMS to +255: “Hi” [m1]"),
    (Step("on_air", None, "+255", "Hi", parts=2), "sends the SMS to +255: “Hi” (2 parts)"),
    (Step("reported", "m1", status="SENT"), "has told the server: SENT [m1]"),
    (
        Step("reported", "m1", status="FAILED", detail="no-service"),
        "has told the server: FAILED: no-service [m1]",
    ),
    (Step("commanded", "m1", detail="cancel"), "is told: cancel [m1]"),
    (Step("commanded", text="password", detail="settings"), "is told: settings password"),
    (
        Step("redirected", http_status=301, detail="http://x/"),
        "is redirected (HTTP 301) to http://x/",
    ),
    (
        Step("lost", contact="+255", text="Hi"),
        "loses by the redirect the SMS from +255, which it believes forwarded: “Hi”",
    ),
    (
        Step("lost", "m1", status="SENT"),
        "loses by the redirect a status, which it believes told: SENT [m1]",
    ),
    (
        Step("crashed", http_status=204, next_seconds=5),
        "crashes: HTTP 204 has no body, and the app dies of that. It goes on in 5 s.",
    ),
    (
        Step("refused", http_status=403, detail="No.", next_seconds=20.4),
        "is refused: HTTP 403: No. It goes on in 20 s.",
    ),
    (
        Step("no_answer", detail="none in time", next_seconds=0),
        "gets no answer: none in time. It goes on at once.",
    ),
    (
        Step("not_understood", http_status=200, detail="no JSON"),
        "does not understand the answer: no JSON. It waits for something to happen.",
    ),
]


@pytest.mark.parametrize(("step", "sentence"), STEPS)
def test_a_step_is_a_sentence(step: Step, sentence: str) -> None:
    assert describe_step(step) == sentence


def test_what_strangers_wrote_cannot_command_the_terminal() -> None:
    step = Step("given", "\x1b[2J", "\ud800", "{0}\n\u202e")
    assert describe_step(step) == "is given an SMS to \\ud800: “{0}\\n\\u202e” [\\x1b[2J]"


def test_a_page_instead_of_an_answer_is_cut() -> None:
    sentence = describe_step(Step("refused", http_status=500, detail="x" * 10_000))
    assert len(sentence) < 600
    assert "x…" in sentence


def test_lines_of_several_phones_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    output = StepOutput(as_json=False)
    output.tell_start(["a", "long"], "flaky", 7)
    output.tell("a", Step("asked"))
    output.tell("a", Step("answered", http_status=200, seconds=0.1))
    output.tell("long", Step("asked"))
    output.tell_sum()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Radio flaky, seed 7. Ctrl+C ends it."
    assert [line.split(maxsplit=1)[1] for line in lines[2:4]] == [
        "a     asks for work",
        "long  asks for work",
    ]
    assert lines[-1].endswith(" s: polls 2.")


def test_the_sum_tells_of_all_that_happened(capsys: pytest.CaptureFixture[str]) -> None:
    output = StepOutput(as_json=False)
    output.tell_start(["a"], "stock", 7)
    for name in get_args(StepName):
        output.tell("a", Step(name))
    output.tell_sum()
    last = capsys.readouterr().out.splitlines()[-1]
    words = ["redirects", "SMS and statuses lost by a redirect", "crashes of the app"]
    assert all(f", {word} 1" in last for word in [*words, "answers not understood"])


def test_the_json_sum_counts_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    output = StepOutput(as_json=True)
    for name in get_args(StepName):
        output.tell("a", Step(name))
    output.tell_sum()
    total = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: total[name] for name in get_args(StepName)} == dict.fromkeys(
        get_args(StepName), 1
    )


def test_many_phones_are_told_how_long_switching_on_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = StepOutput(as_json=False)
    output.tell_start(["a", "b"], "flaky", 7, until_all_on_seconds=19.95)
    line = capsys.readouterr().out.splitlines()[0]
    assert line == "Radio flaky, seed 7. 2 phones are switched on in 20 s. Ctrl+C ends it."


def test_json_lines_hold_every_fact_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    output = StepOutput(as_json=True)
    output.tell_start(["a"], "perfect", 7)
    output.tell("a", Step("answered", http_status=200, seconds=0.1))
    output.tell("a", Step("given", "m1", "+255", "\ud800\n"))
    output.tell_sum()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(line.pop("timestamp").endswith("Z") for line in lines)
    started, answered, given, total = lines
    assert started == {"step": "started", "radio": "perfect", "seed": 7}
    assert answered == {"phone": "a", "step": "answered", "http_status": 200, "seconds": 0.1}
    assert given == {
        "phone": "a",
        "step": "given",
        "wire_id": "m1",
        "contact": "+255",
        "text": "\ud800\n",
    }
    assert (total["step"], total["phones"], total["asked"], total["refused"]) == ("sum", 1, 0, 0)


ENDS: list[tuple[list[StepName], ExitCode | None]] = [
    ([], None),
    (["asked", "answered", "nothing"], None),
    (["no_answer", "answered", "forwarded", "refused"], None),
    (["answered", "refused"], ExitCode.REFUSED),
    (["answered", "not_understood", "no_answer"], ExitCode.REFUSED),
    (["no_answer"], ExitCode.UNREACHABLE),
    (["answered", "redirected", "lost"], ExitCode.REFUSED),
    (["answered", "forwarded", "redirected", "lost"], ExitCode.REFUSED),
    (["answered", "forwarded", "not_understood"], ExitCode.REFUSED),
    (["answered", "nothing", "crashed"], ExitCode.REFUSED),
    (["answered", "nothing", "redirected"], None),
]


@pytest.mark.parametrize(("names", "exit_code"), ENDS)
def test_a_run_fails_if_nothing_came_of_it(
    names: list[StepName], exit_code: ExitCode | None
) -> None:
    output = StepOutput(as_json=True)
    for name in names:
        output.tell("a", Step(name))
    found = None
    try:
        output.raise_failure()
    except CommandError as error:
        found = error.exit_code
    assert found == exit_code


def test_a_failure_tells_all_that_was_wrong() -> None:
    output = StepOutput(as_json=True)
    for name in get_args(StepName):
        output.tell("a", Step(name))
    with pytest.raises(CommandError) as info:
        output.raise_failure()
    assert info.value.message == (
        "redirects lost SMS or statuses that a phone believes told; "
        "some answers were not understood; some answers crashed the app."
    )


def test_every_step_is_named_where_json_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "phones.md").read_text("utf-8")
    (row,) = re.findall(r"^\| programs that watch .*$", page, re.MULTILINE)
    assert {"registered", "started", "sum", *get_args(StepName)} <= set(re.findall(r"`(\w+)`", row))
