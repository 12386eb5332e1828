"""``gateway-hub db``: the schema of the database, and work on its rows."""

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gateway_hub.cli.options import AsJson, DatabaseUrl, DataDir, Yes
from gateway_hub.cli.output import show_json
from gateway_hub.cli.session import load_settings
from gateway_hub.domain.retention import LEAST_RETENTION

if TYPE_CHECKING:
    from gateway_hub.services.retention import Purged

app = typer.Typer(help="The database: its schema, and old rows in it.", no_args_is_help=True)


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


@app.command()
def purge(
    *,
    older_than: Annotated[
        int,
        typer.Option(
            metavar="DAYS",
            min=LEAST_RETENTION.days,
            max=36_500,
            help="How long ago the last change was, at the least.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Remove messages that are over, bad items and events, as GATEWAY_HUB_RETENTION_DAYS does.

    On SQLite no hub may run meanwhile.
    """
    from gateway_hub.cli import upkeep

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    old = asyncio.run(upkeep.count_old(settings, older_than))
    found = _describe(old)
    if dry_run:
        _show_purged(old, f"{found} would be removed.", as_json=as_json)
        return
    if not yes:
        typer.confirm(f"Remove {found} for good?", abort=True, err=True)
    with typer.progressbar(length=old.total, file=sys.stderr) as bar:

        def show(so_far: "Purged") -> None:
            bar.update(so_far.total - bar.pos)

        purged = asyncio.run(upkeep.remove_old(settings, older_than, show))
    _show_purged(purged, f"{_describe(purged)} were removed.", as_json=as_json)


def _describe(purged: "Purged") -> str:
    things = f"{purged.messages} messages, {purged.quarantined} bad items"
    return f"{things} and {purged.events} events"


def _show_purged(purged: "Purged", sentence: str, *, as_json: bool) -> None:
    if as_json:
        show_json(
            {
                "messages": purged.messages,
                "quarantined": purged.quarantined,
                "events": purged.events,
            }
        )
    else:
        typer.echo(sentence)


@app.command()
def recount(
    *, data_dir: DataDir = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Put right the backlogs and statistics after messages were changed by hand.

    On SQLite no hub may run meanwhile.
    """
    from gateway_hub.cli import upkeep

    settings = load_settings(data_dir=data_dir, database_url=database_url)
    counted = asyncio.run(upkeep.recount(settings))
    if as_json:
        show_json({"messages": counted})
    else:
        typer.echo(f"Counted {counted} messages.")
