"""`gateway-hub demo` as a newcomer runs it, and the lines it gives them to paste."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_hub.cli.demo_hub import DemoHub, running_hub
from gateway_hub.cli.demo_stage import open_stage
from gateway_hub.cli.demo_tour import TOUR
from gateway_hub.cli.failures import CommandError
from gateway_hub.ops.logging import configure_logging
from tests.ops.log_lines import untouched_logging

GENEROUS_SECONDS = 100
# A hub that is set up here already, and settings that would stop any other command.
SURROUNDINGS = {
    "GATEWAY_HUB_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
    "GATEWAY_HUB_PORT": "no number",
    "GATEWAY_HUB_NOTHING": "x",
    "HTTP_PROXY": "http://127.0.0.1:1",
}
ENDING = "Hub and phones keep running"


@contextmanager
def demonstrating(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo in an empty folder, with a folder for temporary files of its own."""
    for name in ("here", "temporary"):
        (tmp_path / name).mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway_hub", "demo", *arguments],
        cwd=tmp_path / "here",
        env=os.environ | SURROUNDINGS | {"TMPDIR": str(tmp_path / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], beginning: str) -> str:
    """Return what the demo says up to the line that begins like this."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(beginning):
            break
    return said


def assert_nothing_is_left(tmp_path: Path) -> None:
    assert [list((tmp_path / name).iterdir()) for name in ("here", "temporary")] == [[], []]


def test_the_tour_plays_to_its_end_and_leaves_nothing(tmp_path: Path) -> None:
    with demonstrating(tmp_path) as process:
        said, err = process.communicate(timeout=GENEROUS_SECONDS)
    assert (process.returncode, err) == (0, "")
    titles = re.findall(r"^\d+\. (.+)$", said, re.MULTILINE)
    assert titles == ["A hub starts", *(scene.title for scene in TOUR)]
    assert "\x1b" not in said
    for sentence in (
        '  200 {"status": "delivered", "final": true, …}',
        '  200 {"status": "sent", "final": true, …}',
        "  Clinic  has told the server: DELIVERED",
        "  Clinic  has forwarded the SMS from +255710000002: “Thank you, we will come.”",
        "  Office  has told the server: sent",
        "  Office  has forwarded the SMS from +255710000003: “I am late.”",
    ):
        assert sentence in said.splitlines()
    assert_nothing_is_left(tmp_path)


def test_every_line_it_gives_can_be_pasted(tmp_path: Path) -> None:
    with demonstrating(tmp_path, "--stay") as process:
        said = read_until(process, ENDING)
        lines = re.findall(r"^  \$ ((?:.*\\\n)*.*)$", said, re.MULTILINE)
        setting, calls = lines[:2], lines[2:]
        answers = [paste("\n".join([*setting, call])) for call in calls]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=GENEROUS_SECONDS) == 0
    assert [name for answer in answers for name in answer if name in {"id", "data"}] == [
        *("id", "id", "id", "data"),
        *("id", "id", "id", "data"),
        *("id", "data", "data"),
    ]
    texts = [item["text"] for answer in answers if "data" in answer for item in answer["data"]]
    received = ["When are you open?", "I am late."]
    replied = ["From 8 to 16, Monday to Friday.", "The meeting is at 10."]
    assert texts == ["Thank you, we will come.", *received, *received, *replied]
    assert_nothing_is_left(tmp_path)


def paste(line: str) -> dict[str, Any]:
    """Return the JSON that a shell shows when *line* is pasted into it."""
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        capture_output=True,
        text=True,
        check=True,
        timeout=GENEROUS_SECONDS,
    )
    answer: dict[str, Any] = json.loads(shell.stdout)
    return answer


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with demonstrating(tmp_path) as process:
        read_until(process, "3. ")
        process.send_signal(number)
        said, err = process.communicate(timeout=GENEROUS_SECONDS)
        assert (process.returncode, err) == (128 + number, "")
    assert said.endswith("\nStopped. Nothing is left behind.\n")
    assert_nothing_is_left(tmp_path)


async def test_a_scene_that_does_not_end_says_what_is_missing(tmp_path: Path) -> None:
    with untouched_logging():
        configure_logging("WARNING")
        async with running_hub(tmp_path / "data") as hub, open_stage(hub, 1) as stage:
            with pytest.raises(CommandError, match=r"the SMS did not come in 1 seconds\. The hub"):
                await stage.get_when(
                    "/v1/messages",
                    lambda answer: bool(answer["data"]),
                    shown=["id"],
                    missing="the SMS did not come",
                )
            with pytest.raises(CommandError, match="invalid_input"):
                await stage.post("/v1/messages", {"to": "nobody", "text": ""}, shown=[])


async def test_a_hub_that_does_not_answer_is_one_clear_line(tmp_path: Path) -> None:
    async with open_stage(DemoHub("http://127.0.0.1:1", "ghk_x", tmp_path), 1) as stage:
        with pytest.raises(CommandError, match=r"own hub does not answer /v1/messages: \S"):
            await stage.post("/v1/messages", {}, shown=[])
