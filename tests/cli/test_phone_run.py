"""`gateway-hub phone` against a real hub: as a run of phones, and as a process of its own."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway_hub.cli.demo_hub import DemoHub, running_hub
from gateway_hub.cli.fleet import KINDS, setup_of
from gateway_hub.cli.phone_run import PhoneRun, RunOptions
from gateway_hub.cli.simulation import RadioName
from gateway_hub.cli.step_output import StepOutput
from gateway_hub.domain.devices import Protocol
from gateway_hub.ops.logging import configure_logging
from gateway_hub.simulator.kinds import PhoneSetup
from gateway_hub.simulator.radio import PRESETS, STOCK_ANDROID
from gateway_hub.simulator.steps import Step
from tests.cli.conftest import Run
from tests.cli.test_server import serving
from tests.ops.log_lines import untouched_logging
from tests.simulator.living import Told

ASHA = "+255710000002"
QUICK = RunOptions(seed=1, speed=20)
REQUESTS = [
    {"name": "Clinic", "protocol": "medic"},
    {"name": "Office", "protocol": "envaya", "phone_number": "+255710000001"},
]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[DemoHub]:
    """A hub with a clock and a socket of its own."""
    with untouched_logging():
        configure_logging("WARNING")
        async with running_hub(tmp_path / "data") as hub:
            yield hub


@pytest.fixture
async def api(hub: DemoHub) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {hub.key}"}
    async with httpx.AsyncClient(base_url=f"{hub.url}/v1", headers=headers) as client:
        yield client


class Recorded(StepOutput):
    """What phones told, kept for each."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.told: dict[str, Told] = {}

    def of(self, name: str) -> Told:
        return self.told.setdefault(name, Told())

    def tell(self, name: str, step: Step) -> None:
        super().tell(name, step)
        self.of(name)(step)


async def create(api: httpx.AsyncClient, request: dict[str, str]) -> tuple[str, PhoneSetup]:
    """Register a phone; return its device's id and how its app is set up."""
    device = (await api.post("/devices", json=request)).json()
    return device["id"], setup_of(device, poll_seconds=2)


@asynccontextmanager
async def phones(
    protocol: str, *setups: PhoneSetup, options: RunOptions = QUICK
) -> AsyncIterator[Recorded]:
    """Run phones for the length of the block."""
    output, stop = Recorded(), asyncio.Event()
    run = PhoneRun(KINDS[Protocol(protocol)], options, output, stop)
    running = asyncio.create_task(run.run(setups))
    try:
        yield output
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: str(request["protocol"]))
async def test_a_message_goes_out_and_an_answer_comes_in(
    api: httpx.AsyncClient, request_: dict[str, str]
) -> None:
    device_id, setup = await create(api, request_)
    message = {"to": ASHA, "text": "Habari", "route": {"device_id": device_id}}
    message_id = (await api.post("/messages", json=message)).json()["id"]
    options = replace(QUICK, received_first=[(ASHA, "Nzuri")])
    async with phones(request_["protocol"], setup, options=options) as output:
        told = output.of(setup.name)
        given = await told.until("given")
        await told.until("on_air")
        await told.until("forwarded")
        await told.until("reported", status="SENT" if setup.phone_number is None else "sent")
    assert (given.wire_id, given.contact, given.text) == (message_id, ASHA, "Habari")
    sent = (await api.get(f"/messages/{message_id}")).json()
    assert sent["status"] in {"sent", "delivered"}
    assert len(told.named("on_air")) == 1
    (inbound,) = (await api.get("/messages", params={"direction": "inbound"})).json()["data"]
    assert (inbound["from"], inbound["text"], inbound["device_id"]) == (ASHA, "Nzuri", device_id)


async def test_several_phones_receive_invented_sms(api: httpx.AsyncClient) -> None:
    setups = [(await create(api, REQUESTS[0] | {"name": f"p{n}"}))[1] for n in range(2)]
    options = replace(QUICK, receive_every_seconds=0.1)
    async with phones("medic", *setups, options=options) as output:
        for setup in setups:
            await output.of(setup.name).until("forwarded", text="Invented SMS 3")
    page = (await api.get("/messages", params={"direction": "inbound", "limit": 200})).json()
    assert len({(item["device_id"], item["text"]) for item in page["data"]}) >= 6


async def test_a_phone_with_a_wrong_password_is_refused_and_asks_again(
    api: httpx.AsyncClient,
) -> None:
    _, setup = await create(api, REQUESTS[1])
    wrong = replace(setup, password="wrong")
    options = replace(QUICK, speed=1000)
    async with phones("envaya", wrong, options=options) as output:
        refused = await output.of(setup.name).until("refused")
        await output.of(setup.name).until("asked", times=2)
    assert refused.http_status == 403
    assert "signature" in str(refused.detail)


async def test_a_run_ends_after_its_time() -> None:
    setup = PhoneSetup("p", "http://127.0.0.1:1/")
    output = Recorded()
    run = PhoneRun(KINDS[Protocol.MEDIC], replace(QUICK, run_seconds=0.01), output, asyncio.Event())
    await asyncio.wait_for(run.run([setup]), timeout=60)


async def test_the_time_of_a_run_begins_when_all_phones_are_on() -> None:
    setups = [
        PhoneSetup(f"p{number}", "http://127.0.0.1:1/") for number in range(11)
    ]  # the last after 0.5 s
    output = Recorded()
    run = PhoneRun(KINDS[Protocol.MEDIC], replace(QUICK, run_seconds=0.3), output, asyncio.Event())
    await asyncio.wait_for(run.run(setups), timeout=60)
    assert output.told.keys() == {setup.name for setup in setups}


def test_every_radio_can_be_asked_for() -> None:
    assert {name.value for name in RadioName} == PRESETS.keys()
    assert PRESETS["stock"] is STOCK_ANDROID


class Calling:
    """A phone in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def read_until(self, is_wanted: Callable[[str], bool]) -> str:
        """Return the first line that is wanted; what comes before it is passed over."""
        assert self.process.stdout is not None
        return next(line for line in self.process.stdout if is_wanted(line))

    def stop(self, number: signal.Signals) -> tuple[int, str, str]:
        """Stop it; return the exit code, the last line and what was on standard error."""
        self.process.send_signal(number)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        rest = self.process.stdout.read().splitlines()
        return self.process.wait(timeout=60), rest[-1], self.process.stderr.read()


@contextmanager
def calling(folder: Path, *arguments: str) -> Iterator[Calling]:
    command = [sys.executable, "-m", "gateway_hub", "phone", *arguments]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Calling(process)
        finally:
            process.kill()


def is_step(name: str) -> Callable[[str], bool]:
    return lambda line: bool(json.loads(line)["step"] == name)


def test_a_phone_registers_itself_with_the_hub_of_this_folder(run: Run, folder: Path) -> None:
    with serving(folder):
        with calling(
            folder,
            *("--protocol", "envaya", "--create", "Office", "--count", "2", "--json"),
            *("--receive", f"{ASHA}:Habari: ya leo?"),
        ) as phone:
            registered = json.loads(phone.read_until(is_step("registered")))
            phone.read_until(is_step("forwarded"))
            phone.read_until(is_step("forwarded"))
            exit_code, last, err = phone.stop(signal.SIGTERM)
        assert (exit_code, err) == (0, "")
        assert (json.loads(last)["step"], json.loads(last)["phones"]) == ("sum", 2)
        assert set(registered["setup"]) == {"Server URL", "Your phone number", "Password"}

        listed: list[dict[str, Any]] = run("device", "list", "--json").json()["data"]
        assert {(item["name"], item["protocol"]) for item in listed} == {
            ("Office 1", "envaya"),
            ("Office 2", "envaya"),
        }
        texts = [item["text"] for item in run("message", "list", "--json").json()["data"]]
        assert texts == ["Habari: ya leo?"] * 2

        url = json.loads(running_file(folder))["url"]
        with calling(folder, *("--protocol", "medic", "--server", f"{url}/medic")) as phone:
            line = phone.read_until(lambda line: "is refused" in line)
            assert "HTTP 401: The user name or password is wrong. It goes on in " in line
            exit_code, last, err = phone.stop(signal.SIGINT)
        assert (exit_code, err) == (1, "gateway-hub: the server took nothing from the phones.\n")
        assert last.endswith("refusals 1.")


def running_file(folder: Path) -> str:
    return (folder / "data" / "running.json").read_text()


def test_a_server_that_is_away_is_told_until_the_end(folder: Path) -> None:
    with calling(folder, "--protocol", "medic", "--server", "http://127.0.0.1:1/") as phone:
        line = phone.read_until(lambda line: "gets no answer" in line)
        assert "the connection was refused or reset. It goes on in " in line
        assert phone.stop(signal.SIGTERM)[0::2] == (3, "gateway-hub: the server never answered.\n")


def test_a_reader_that_goes_away_ends_it(folder: Path) -> None:
    with calling(
        folder, *("--protocol", "medic", "--server", "http://127.0.0.1:1/", "--receive-every", "1")
    ) as phone:
        phone.read_until(lambda line: "gets no answer" in line)
        assert phone.process.stdout is not None
        assert phone.process.stderr is not None
        phone.process.stdout.close()
        assert phone.process.wait(timeout=60) == 1
        assert "Traceback" not in phone.process.stderr.read()


@pytest.mark.parametrize("option", ["--project", "--data-dir"])
def test_what_is_for_phones_of_the_hub_is_refused_for_others(run: Run, option: str) -> None:
    server = ("--server", "http://127.0.0.1:1/")
    ran = run("phone", "--protocol", "medic", *server, option, "x")
    assert (ran.exit_code, ran.out) == (2, "")
    assert "--project and --data-dir are for --create" in ran.err


def test_without_a_hub_no_phone_is_registered(run: Run, folder: Path) -> None:
    ran = run("phone", "--protocol", "medic", "--create", "Clinic")
    assert (ran.exit_code, ran.out) == (3, "")
    assert ran.err.startswith(f"gateway-hub: no hub runs on {folder / 'data'}. Start one with ")
    assert not (folder / "data").exists()
