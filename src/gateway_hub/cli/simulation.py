"""Commands for those without a phone: phone is one, demo brings two."""

import secrets
from enum import StrEnum
from typing import Annotated

import typer

from gateway_hub.cli.options import AsJson, DataDir, InProject, read_secret
from gateway_hub.domain.devices import Protocol


class RadioName(StrEnum):
    """How well the phone's radio works."""

    PERFECT = "perfect"
    FLAKY = "flaky"
    BROKEN = "broken"
    STOCK = "stock"


def phone(
    *,
    protocol: Annotated[Protocol, typer.Option(help="What its app speaks.")],
    create: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Register it first, with the hub that commands talk to."),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Server URL as typed into the app, of any server."),
    ] = None,
    username: Annotated[str | None, typer.Option(help="For medic.")] = None,
    phone_number: Annotated[
        str | None, typer.Option(help="For envaya; with --create for medic too.")
    ] = None,
    password: Annotated[
        str | None, typer.Option(help="Password; - asks for it, or reads it from standard input.")
    ] = None,
    app_version: Annotated[
        str | None, typer.Option(help="Like 1.8.1 for medic; 17, 18 or 28 to 30 for envaya.")
    ] = None,
    poll_seconds: Annotated[
        int | None, typer.Option(min=1, max=86_400, help="How often it asks for work; 60.")
    ] = None,
    count: Annotated[
        int,
        typer.Option(min=1, max=1000, help="So many phones; {n} in their options is the number."),
    ] = 1,
    radio: Annotated[
        RadioName, typer.Option(help="How its SMS fare; stock sends 30 in 30 min.")
    ] = RadioName.PERFECT,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Repeats what chance did: a number told at the start.")
    ] = None,
    speed: Annotated[
        float,
        typer.Option(min=1, max=1000, help="Its clock goes so many times as fast between answers."),
    ] = 1.0,
    receive: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM:TEXT", help="An SMS it receives first; may be repeated."),
    ] = None,
    receive_every: Annotated[
        float | None, typer.Option(min=0.1, help="Receive an invented SMS every so many seconds.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=0.1, help="End so many seconds after the last is on."),
    ] = None,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Be a phone, where there is none.

    It polls, sends, reports and forwards as its app does, against your hub or any server, and tells
    each step until Ctrl+C. Only its radio is invented: no SMS goes anywhere. Exits with 1 if the
    server took nothing from it, lost an SMS by a redirect, crashed it, or said what it could not
    understand; with 3 if no answer ever came.
    """
    from gateway_hub.cli import fleet, phone_run

    wanted = fleet.Wanted(
        protocol=protocol,
        count=count,
        create=create,
        server=server,
        username=username,
        phone_number=phone_number,
        password=read_secret(password),
        app_version=app_version,
        poll_seconds=poll_seconds,
    )
    options = phone_run.RunOptions(
        seed=secrets.randbelow(1 << 32) if seed is None else seed,
        radio=radio.value,
        speed=speed,
        received_first=tuple(_parse_sms(item) for item in receive or ()),
        receive_every_seconds=receive_every,
        run_seconds=seconds,
    )
    phone_run.run(wanted, options, as_json=as_json, project=project, data_dir=data_dir)


def _parse_sms(given: str) -> tuple[str, str]:
    contact, separator, text = given.partition(":")
    if not separator:
        raise typer.BadParameter("give --receive as FROM:TEXT")
    return contact, text


def demo(
    *,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep hub and phones running until Ctrl+C.")
    ] = False,
    patience: Annotated[
        float, typer.Option(min=1, max=600, help="Most seconds to wait for a step.")
    ] = 20.0,
) -> None:
    """Show hub, phones and messages, in ten seconds.

    A hub of its own, on a free port and in a folder that is removed at the end, and two simulated
    phones: what happens, the REST calls to paste, what the hub answers, what the phones do.
    """
    typer.echo("A hub, two simulated phones, and an SMS out and back through each.")
    from gateway_hub.cli import demo as tour

    tour.run(stay=stay, patience_seconds=patience)
