"""``gateway-hub message``: send an SMS and see what became of it."""

import sys
from typing import Annotated

import typer

from gateway_hub.cli.listing import show_one, show_page
from gateway_hub.cli.options import AsJson, DataDir, InProject, Limit
from gateway_hub.cli.session import connect
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, IfUncertain

app = typer.Typer(help="Messages: send them, see them.", no_args_is_help=True)

MessageId = Annotated[str, typer.Argument(help="Id of the message.")]
_COLUMNS = ["id", "direction", "status", "from", "to", "text", "created_at"]


@app.command()
def send(
    *,
    to: Annotated[str, typer.Argument(help="Recipient's number.")],
    text: Annotated[str, typer.Argument(help="The text; - reads it from standard input.")],
    transliterate: Annotated[
        bool, typer.Option("--transliterate", help="Plain quotes and dashes where that is cheaper.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(metavar="ID", help="Only through this device.")
    ] = None,
    tag: Annotated[str | None, typer.Option(help="Only through devices with this tag.")] = None,
    priority: Annotated[int | None, typer.Option(help="Higher goes first.")] = None,
    send_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not before, like 2027-01-31T08:00:00Z.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Not handed to a phone after this.")
    ] = None,
    max_attempts: Annotated[int | None, typer.Option(help="Tries after a final failure.")] = None,
    if_uncertain: Annotated[
        IfUncertain | None, typer.Option(help="When a phone fell silent with it.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="Your own name for it.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="May be repeated.")
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A repeat with the same key sends nothing again.")
    ] = None,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Queue an SMS."""
    body = {
        "to": to,
        "text": sys.stdin.read().rstrip("\n") if text == "-" else text,
        "transliterate": transliterate or None,
        "route": _route(device, tag),
        "priority": priority,
        "send_at": send_at,
        "expires_at": expires_at,
        "max_attempts": max_attempts,
        "if_uncertain": None if if_uncertain is None else if_uncertain.value,
        "reference": reference,
        "metadata": _pairs(metadata),
    }
    headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
    with connect(project=project, data_dir=data_dir) as api:
        message = api.post("messages", body=body, headers=headers)
    show_one(message, as_json=as_json)


@app.command("list")
def list_messages(
    *,
    direction: Annotated[Direction | None, typer.Option(help="Seen from the hub.")] = None,
    status: Annotated[Status | None, typer.Option(help="Where they are.")] = None,
    device: Annotated[str | None, typer.Option(metavar="ID", help="Of this device.")] = None,
    contact: Annotated[str | None, typer.Option(help="To or from this number.")] = None,
    reference: Annotated[str | None, typer.Option(help="With this reference.")] = None,
    limit: Limit = 50,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List messages, newest first."""
    with connect(project=project, data_dir=data_dir) as api:
        page = api.list_all(
            "messages",
            limit=limit,
            direction=direction and direction.value,
            status=status and status.value,
            device_id=device,
            contact=contact,
            reference=reference,
        )
    show_page(page, _COLUMNS, as_json=as_json)


@app.command()
def show(
    *,
    message_id: MessageId,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show one message with its attempts and reports."""
    with connect(project=project, data_dir=data_dir) as api:
        message = api.get("messages", message_id)
    show_one(message, as_json=as_json)


@app.command()
def cancel(
    *,
    message_id: MessageId,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a message back, if no phone has it yet."""
    with connect(project=project, data_dir=data_dir) as api:
        message = api.post("messages", message_id, "cancel", body={})
    show_one(message, as_json=as_json)


def _route(device: str | None, tag: str | None) -> dict[str, str] | None:
    if device is not None and tag is not None:
        raise typer.BadParameter("give --device or --tag, not both")
    if device is not None:
        return {"device_id": device}
    return {"tag": tag} if tag is not None else None


def _pairs(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [item.partition("=") for item in given]
    if not all(separator for _, separator, _ in pairs):
        raise typer.BadParameter("give --metadata as KEY=VALUE")
    return {key: value for key, _, value in pairs}
