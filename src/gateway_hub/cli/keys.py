"""``gateway-hub key``: API keys for backends."""

from typing import Annotated

import typer

from gateway_hub.cli.listing import show_one, show_page
from gateway_hub.cli.options import AsJson, DataDir, Limit
from gateway_hub.cli.session import connect
from gateway_hub.domain.access import Scope

app = typer.Typer(help="API keys for backends.", no_args_is_help=True)

_COLUMNS = ["id", "name", "scopes", "tag", "hint", "created_at", "expires_at", "revoked_at"]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may do; give it again for more.")],
    project: Annotated[
        str | None, typer.Option(metavar="NAME", help="Project of the key: its name or id.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option(help="Limits it to devices with this tag and their messages.")
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When it ends, like 2027-01-31T00:00:00Z.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown now and never again."""
    body = {
        "name": name,
        "scopes": [item.value for item in scope],
        "project_id": project,
        "tag": tag,
        "expires_at": expires_at,
    }
    with connect(data_dir=data_dir) as api:
        made = api.post("api-keys", body=body)
    show_one(made, as_json=as_json)
    if not as_json:
        typer.echo("The key is not shown again.", err=True)


@app.command("list")
def list_keys(*, limit: Limit = 50, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List keys, newest first; the keys themselves are not kept."""
    with connect(data_dir=data_dir) as api:
        page = api.list_all("api-keys", limit=limit)
    show_page(page, _COLUMNS, as_json=as_json)


@app.command()
def revoke(
    *,
    key_id: Annotated[str, typer.Argument(help="Id of the key.")],
    data_dir: DataDir = None,
) -> None:
    """Make a key useless at once."""
    with connect(data_dir=data_dir) as api:
        api.delete("api-keys", key_id)
