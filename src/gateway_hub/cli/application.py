"""The command line's table of contents."""

import typer

from gateway_hub.cli import (
    database,
    devices,
    keys,
    messages,
    operation,
    projects,
    simulation,
    webhooks,
)

app = typer.Typer(
    name="gateway-hub",
    help="An SMS gateway hub for Android phones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(operation.serve)
app.command()(operation.init)
app.command()(simulation.demo)
app.command()(simulation.phone)
app.add_typer(devices.app, name="device")
app.add_typer(messages.app, name="message")
app.add_typer(webhooks.app, name="webhook")
app.add_typer(keys.app, name="key")
app.add_typer(projects.app, name="project")
app.add_typer(database.app, name="db")
app.command()(operation.config)
app.command()(operation.doctor)
