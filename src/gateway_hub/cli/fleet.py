"""Which simulated phones a command is to run: set up as it is told, or registered for it."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway_hub.adapters.envaya.simulator.live import KIND as ENVAYA
from gateway_hub.adapters.medic.simulator.live import KIND as MEDIC
from gateway_hub.cli.failures import CommandError, ExitCode
from gateway_hub.cli.local_hub import find_running_hub
from gateway_hub.cli.session import connect, load_settings
from gateway_hub.domain.clock import system_clock
from gateway_hub.domain.devices import Protocol
from gateway_hub.simulator.kinds import PhoneKind, PhoneSetup, SetupError
from gateway_hub.simulator.network import BadUrlError, parse_url
from gateway_hub.simulator.radio import Radio

KINDS: dict[Protocol, PhoneKind] = {Protocol.MEDIC: MEDIC, Protocol.ENVAYA: ENVAYA}


@dataclass(frozen=True, slots=True)
class Wanted:
    """*count* phones; if more than one, ``{n}`` in what is given stands for the number of each.

    With *create* they are registered under that name, which the number follows if ``{n}`` is not in
    it, else *server* and what proves them are given.
    """

    protocol: Protocol
    count: int = 1
    create: str | None = None
    server: str | None = None
    username: str | None = None
    phone_number: str | None = None
    password: str | None = None
    app_version: str | None = None
    poll_seconds: int | None = None

    @property
    def kind(self) -> PhoneKind:
        """What there is to know of such phones."""
        return KINDS[self.protocol]


def setups_as_given(wanted: Wanted) -> list[PhoneSetup]:
    """Return how each phone is set up. Raises CommandError if that is not told, or not right."""
    if wanted.server is None:
        raise _usage("give --create NAME for a phone of your hub, or --server URL for any server")
    if wanted.phone_number is not None and wanted.protocol is Protocol.MEDIC:
        raise _usage("the CHT app tells no phone number: give --phone-number with --create only")
    setups = [_setup_as_given(wanted, wanted.server, number) for number in _numbers(wanted)]
    for setup in setups:
        _check(wanted, setup)
    if len({(item.server_url, item.username, item.phone_number) for item in setups}) < len(setups):
        raise _usage("several phones need {n} in --username, --phone-number or --server")
    return setups


def register(
    wanted: Wanted,
    seed: int,
    tell: Callable[[dict[str, Any]], None],
    *,
    project: str | None,
    data_dir: Path | None,
) -> list[PhoneSetup]:
    """Register the phones with the hub that commands talk to; *tell* each device they become.

    *seed* decides which numbers they have if none are given.
    Raises CommandError; phones registered before it stay so.
    """
    if wanted.username is not None or wanted.password is not None:
        raise _usage("with --create the hub makes user name and password")
    _check(wanted, _like_one_registered(wanted))
    _require_running_hub(data_dir)
    rng = random.Random(seed)  # noqa: S311 - simulated chance
    setups = []
    with connect(project=project, data_dir=data_dir) as api:
        for number in _numbers(wanted):
            device = api.post("devices", body=_device_request(wanted, number, rng))
            tell(device)
            setup = setup_of(
                device, app_version=wanted.app_version, poll_seconds=wanted.poll_seconds
            )
            setups.append(setup)
    return setups


def setup_of(
    device: dict[str, Any], *, app_version: str | None = None, poll_seconds: int | None = None
) -> PhoneSetup:
    """Return the setup of a phone into which somebody typed what the hub told of *device*."""
    is_envaya = device["protocol"] == Protocol.ENVAYA
    return PhoneSetup(
        name=device["name"],
        server_url=device["setup"]["server_url"],  # medic's holds user name and password
        phone_number=device["phone_number"],
        password=device["credentials"]["password"] if is_envaya else None,
        app_version=app_version,
        poll_seconds=poll_seconds,
    )


def name_registered(wanted: Wanted, number: int) -> str:
    """Return under which name phone *number* is registered: no two of several have the same."""
    given = wanted.create or ""
    own = _own(given, wanted, number) or ""
    return own if wanted.count == 1 or own != given else f"{own} {number}"


def invent_number(rng: random.Random) -> str:
    """Return a number like those of mobile phones in Tanzania."""
    return f"+25571{rng.randrange(10_000_000):07}"


def _setup_as_given(wanted: Wanted, server: str, number: int) -> PhoneSetup:
    username = _own(wanted.username, wanted, number)
    phone_number = _own(wanted.phone_number, wanted, number)
    bare_name = wanted.protocol.value if wanted.count == 1 else f"{wanted.protocol.value} {number}"
    return PhoneSetup(
        name=username or phone_number or bare_name,
        server_url=_own(server, wanted, number) or "",
        username=username,
        phone_number=phone_number,
        password=_own(wanted.password, wanted, number),
        app_version=wanted.app_version,
        poll_seconds=wanted.poll_seconds,
    )


def _like_one_registered(wanted: Wanted) -> PhoneSetup:
    return PhoneSetup(
        name=wanted.create or "",
        server_url=wanted.server or "http://127.0.0.1/",
        phone_number="+255710000001",
        password="the hub makes it" if wanted.protocol is Protocol.ENVAYA else None,
        app_version=wanted.app_version,
    )


def _device_request(wanted: Wanted, number: int, rng: random.Random) -> dict[str, object]:
    phone_number = _own(wanted.phone_number, wanted, number)
    if phone_number is None and wanted.protocol is Protocol.ENVAYA:
        phone_number = invent_number(rng)
    return {
        "name": name_registered(wanted, number),
        "protocol": wanted.protocol.value,
        "phone_number": phone_number,
        "server_url": wanted.server,
    }


def _own(given: str | None, wanted: Wanted, number: int) -> str | None:
    return given if given is None or wanted.count == 1 else given.replace("{n}", str(number))


def _numbers(wanted: Wanted) -> range:
    return range(1, wanted.count + 1)


def _check(wanted: Wanted, setup: PhoneSetup) -> None:
    """Raise CommandError if no phone can be set up like this."""
    url_wanted = f"the server URL is to be like http://127.0.0.1:8080/{wanted.protocol.value}"
    scheme, _, rest = setup.server_url.partition("://")
    try:
        parse_url(f"{scheme}://{rest.rpartition('@')[2]}")  # before an @ there may be anything
    except BadUrlError as error:
        raise _usage(f"{url_wanted}: {error}") from error
    rng = random.Random()  # noqa: S311 - no secret comes of it
    try:
        wanted.kind.make(setup, rng, Radio(rng), system_clock())
    except SetupError as error:
        raise _usage(str(error)) from error
    except ValueError as error:  # of the app's own reading of its URL
        raise _usage(f"{url_wanted}: {error}") from error


def _require_running_hub(data_dir: Path | None) -> None:
    """Refuse to register phones with a hub that none of them could reach."""
    settings = load_settings(data_dir=data_dir)
    if settings.url is not None or not settings.is_embedded:
        return
    if asyncio.run(find_running_hub(settings)) is None:
        raise CommandError(
            f"no hub runs on {settings.data_dir.resolve()}. Start one with gateway-hub serve, or "
            "name one with GATEWAY_HUB_URL and GATEWAY_HUB_API_KEY.",
            ExitCode.UNREACHABLE,
        )


def _usage(message: str) -> CommandError:
    return CommandError(f"{message}.", ExitCode.USAGE)
