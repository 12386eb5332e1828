"""``gateway-hub device``: the phones of a project."""

from typing import Annotated, Any

import typer

from gateway_hub.cli.addresses import is_loopback
from gateway_hub.cli.listing import show_page
from gateway_hub.cli.options import AsJson, DataDir, InProject, Limit, Yes, read_secret
from gateway_hub.cli.output import show_fields, show_json
from gateway_hub.cli.session import connect
from gateway_hub.domain.devices import Protocol

app = typer.Typer(help="Devices: the phones that send and receive.", no_args_is_help=True)

DeviceId = Annotated[str, typer.Argument(help="Id of the device.")]
Password = Annotated[
    str | None,
    typer.Option(help="Take over this password; - reads it from standard input."),
]
_OF_THIS_MACHINE = (
    "the address is that of this machine for itself; no phone reaches the hub there. Put the "
    "machine's address in your network in its place, or set GATEWAY_HUB_PUBLIC_URLS."
)
_COLUMNS = ["id", "name", "protocol", "online", "last_seen_at", "backlog", "tags"]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="What you call the phone.")],
    protocol: Annotated[Protocol, typer.Option(help="What its app speaks.")],
    phone_number: Annotated[
        str | None, typer.Option(help="As typed into the app; EnvayaSMS needs it.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag for routing; may be repeated.")] = None,
    server_url: Annotated[
        str | None, typer.Option(help="Server URL as typed into EnvayaSMS.")
    ] = None,
    region: Annotated[str | None, typer.Option(help="Default country, like TZ.")] = None,
    username: Annotated[str | None, typer.Option(help="Take over this user name.")] = None,
    password: Password = None,
    segments: Annotated[
        int | None, typer.Option(help="Send no more than this many segments …")
    ] = None,
    seconds: Annotated[int | None, typer.Option(help="… in this many seconds.")] = None,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Register a phone. Its password is shown now and never again."""
    body = {
        "name": name,
        "protocol": protocol.value,
        "phone_number": phone_number,
        "tags": tag,
        "server_url": server_url,
        "region": region,
        "send_limit": _pair(segments=segments, seconds=seconds),
        "credentials": _pair(username=username, password=read_secret(password)),
    }
    with connect(project=project, data_dir=data_dir) as api:
        _show(api.post("devices", body=body), as_json=as_json)


@app.command("list")
def list_devices(
    *,
    limit: Limit = 50,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List devices, newest first."""
    with connect(project=project, data_dir=data_dir) as api:
        show_page(api.list_all("devices", limit=limit), _COLUMNS, as_json=as_json)


@app.command()
def show(
    *,
    device_id: DeviceId,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one device."""
    with connect(project=project, data_dir=data_dir) as api:
        _show(api.get("devices", device_id), as_json=as_json)


@app.command()
def delete(
    *, device_id: DeviceId, yes: Yes = False, project: InProject = None, data_dir: DataDir = None
) -> None:
    """Remove a device: the phone can no longer post; its messages stay."""
    if not yes:
        typer.confirm("Remove the device?", abort=True, err=True)
    with connect(project=project, data_dir=data_dir) as api:
        api.delete("devices", device_id)


@app.command()
def credentials(
    *,
    device_id: DeviceId,
    grace_seconds: Annotated[
        int | None, typer.Option(min=0, help="The old ones work for this long.")
    ] = None,
    password: Password = None,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Give a device new credentials. They are shown now and never again."""
    body = {"grace_seconds": grace_seconds, "password": read_secret(password)}
    with connect(project=project, data_dir=data_dir) as api:
        _show(api.post("devices", device_id, "credentials", body=body), as_json=as_json)


def _show(device: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(device)
        return
    # The QR code is a picture for a screen.
    show_fields(device, without=("credentials", "setup", "pairing_qr", "warnings"))
    if "credentials" in device:
        show_fields(device["credentials"])
        typer.echo(f"\nType into {device['setup']['app']}; the password is not shown again:\n")
        show_fields({item["field"]: item["value"] for item in device["setup"]["fields"]})
        for warning in device["warnings"]:
            typer.echo(f"\nWarning: {warning}", err=True)
        if is_loopback(device["setup"]["server_url"]):
            typer.echo(f"\nWarning: {_OF_THIS_MACHINE}", err=True)


def _pair(**parts: object) -> dict[str, object] | None:
    return {name: value for name, value in parts.items() if value is not None} or None
