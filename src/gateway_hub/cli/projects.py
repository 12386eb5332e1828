"""``gateway-hub project``: the tenants of a hub."""

from typing import Annotated

import typer

from gateway_hub.cli.listing import show_one, show_page
from gateway_hub.cli.options import AsJson, DataDir, Limit
from gateway_hub.cli.session import connect

app = typer.Typer(help="Projects: who owns devices, messages and keys.", no_args_is_help=True)

_COLUMNS = ["id", "name", "region", "created_at"]


@app.command()
def create(
    *,
    name: Annotated[str, typer.Argument(help="Name of the new project.")],
    region: Annotated[
        str | None, typer.Option(help="Default country of its phone numbers, like TZ.")
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a project."""
    with connect(data_dir=data_dir) as api:
        made = api.post("projects", body={"name": name, "region": region})
    show_one(made, as_json=as_json)


@app.command("list")
def list_projects(*, limit: Limit = 50, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List projects, newest first."""
    with connect(data_dir=data_dir) as api:
        page = api.list_all("projects", limit=limit)
    show_page(page, _COLUMNS, as_json=as_json)
