"""``gateway-hub db``: the schema of the database."""

import asyncio
from typing import Annotated

import typer

from gateway_hub.cli.options import AsJson, DatabaseUrl, DataDir, Yes
from gateway_hub.cli.output import show_json
from gateway_hub.cli.session import load_settings

app = typer.Typer(help="The database schema.", no_args_is_help=True)


@app.command()
def upgrade(*, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Bring the schema to the one this version works with."""
    from gateway_hub.cli import schema

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    before = asyncio.run(schema.upgrade(settings))
    if before.at_head:
        typer.echo(f"The schema is at {before.head} already.")
    else:
        typer.echo(f"The schema went from {before.current or 'nothing'} to {before.head}.")


@app.command()
def downgrade(
    *,
    revision: Annotated[str, typer.Argument(help="Revision to go back to; base is nothing.")],
    yes: Yes = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Take the schema back; what only the newer one holds is lost."""
    from gateway_hub.cli import schema

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    if not yes:
        typer.confirm(f"Go back to {revision} and lose what is newer?", abort=True, err=True)
    after = asyncio.run(schema.downgrade(settings, revision))
    typer.echo(f"The schema is at {after.current or 'nothing'}.")


@app.command()
def current(
    *, data_dir: DataDir = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Print where the schema is and where this version wants it."""
    from gateway_hub.cli import schema

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    found = asyncio.run(schema.read_revisions(settings))
    if as_json:
        show_json({"current": found.current, "head": found.head, "at_head": found.at_head})
    else:
        typer.echo(f"{found.current or 'nothing'} (this version needs {found.head})")


@app.command()
def check(*, data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Exit with 0 if this version works with the schema, else with 1."""
    from gateway_hub.cli import schema

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    asyncio.run(schema.require_head(settings))
    typer.echo("The schema is at head.")
