"""Commands of whoever runs the hub: serve, init, config, doctor."""

import asyncio
from typing import Annotated

import typer

from gateway_hub.cli.options import AsJson, DatabaseUrl, DataDir
from gateway_hub.cli.output import show_fields, show_json
from gateway_hub.cli.session import load_settings


def serve(
    *,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    direct_database_url: Annotated[
        str | None, typer.Option(help="The same PostgreSQL, past a pooler.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port; PostgreSQL only.")
    ] = None,
    public_urls: Annotated[
        str | None, typer.Option(help="URLs under which phones reach the hub, comma-separated.")
    ] = None,
    trusted_proxies: Annotated[
        str | None, typer.Option(help="Proxies whose headers are believed, comma-separated.")
    ] = None,
    medic_paths: Annotated[
        str | None, typer.Option(help="Further paths of the medic protocol, comma-separated.")
    ] = None,
    envaya_paths: Annotated[
        str | None, typer.Option(help="Further paths of the envaya protocol, comma-separated.")
    ] = None,
    long_poll_seconds: Annotated[
        float | None, typer.Option(help="How long an EnvayaSMS poll is held.")
    ] = None,
    offline_after_seconds: Annotated[
        float | None, typer.Option(help="Silence after which a phone counts as away.")
    ] = None,
    retention_days: Annotated[
        int | None, typer.Option(help="Days after which what is over is removed; else it is kept.")
    ] = None,
    event_retention_days: Annotated[
        int | None, typer.Option(help="Days that events are kept.")
    ] = None,
    max_event_streams: Annotated[
        int | None, typer.Option(help="Open streams of events before further ones are refused.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="Requests one API key may make; 0: any number.")
    ] = None,
    refusals_per_minute: Annotated[
        int | None, typer.Option(help="Requests without a valid key of one address; 0: all.")
    ] = None,
    max_queued_messages: Annotated[
        int | None, typer.Option(help="Messages a project may have queued; 0: any number.")
    ] = None,
    webhook_allowed_networks: Annotated[
        str | None,
        typer.Option(help="Networks webhooks may reach although not public, comma-separated."),
    ] = None,
    webhook_allow_http: Annotated[
        bool | None, typer.Option(help="Let webhooks go to http:// URLs too.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
    log_format: Annotated[str | None, typer.Option(help="auto, console or json.")] = None,
    migrate_at_start: Annotated[
        bool | None, typer.Option(help="Bring the schema to head first.")
    ] = None,
) -> None:
    """Run the hub. Every setting is also an environment variable; see `gateway-hub config`."""
    from gateway_hub.cli import server, supervisor

    settings = load_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        database_url=database_url,
        direct_database_url=direct_database_url,
        workers=workers,
        public_urls=public_urls,
        trusted_proxies=trusted_proxies,
        medic_paths=medic_paths,
        envaya_paths=envaya_paths,
        long_poll_seconds=long_poll_seconds,
        offline_after_seconds=offline_after_seconds,
        retention_days=retention_days,
        event_retention_days=event_retention_days,
        max_event_streams=max_event_streams,
        requests_per_minute=requests_per_minute,
        refusals_per_minute=refusals_per_minute,
        max_queued_messages=max_queued_messages,
        webhook_allowed_networks=webhook_allowed_networks,
        webhook_allow_http=webhook_allow_http,
        log_level=log_level and log_level.upper(),
        log_format=log_format and log_format.lower(),
        migrate_at_start=migrate_at_start,
    )
    if settings.workers > 1:
        supervisor.serve(settings)
    else:
        server.serve(settings)


def init(
    *, data_dir: DataDir = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Prepare a new hub and print its first key.

    Makes the data folder, the key for secrets at rest and the schema. Nothing that is there is
    touched.
    """
    from gateway_hub.cli import preparation

    settings = load_settings(data_dir=data_dir, database_url=database_url, migrate_at_start=True)
    prepared = asyncio.run(preparation.prepare(settings))
    if as_json:
        show_json(prepared.as_dict())
    else:
        typer.echo(prepared.as_text())


def config(
    *,
    new_secret_key: Annotated[
        bool, typer.Option("--new-secret-key", help="Only print a new key for secrets at rest.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print the settings in force, secrets hidden."""
    from gateway_hub.cli import configuration

    if new_secret_key:
        typer.echo(configuration.make_secret_key())
        return
    rows = configuration.setting_rows(load_settings(data_dir=data_dir))
    if as_json:
        show_json(rows)
    else:
        show_fields(
            {name: "(not set)" if value in (None, []) else value for name, value in rows.items()}
        )


def doctor(
    *,
    ready: Annotated[
        bool, typer.Option("--ready", help="Only ask the hub on this machine if it is ready.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is wrong on this machine.

    Exits with 1 if something would keep the hub from working well; a warning does not count.
    """
    if ready:
        from gateway_hub.cli.probe import ask_if_ready

        is_ready, detail = ask_if_ready(data_dir)
        if as_json:
            show_json({"ok": is_ready, "detail": detail})
        else:
            typer.echo(detail)
        raise typer.Exit(0 if is_ready else 1)
    from gateway_hub.cli import examination

    findings = asyncio.run(examination.examine(data_dir))
    if as_json:
        show_json(
            {"ok": examination.is_well(findings), "checks": [item.as_dict() for item in findings]}
        )
    else:
        for finding in findings:
            typer.echo(finding.as_line())
    raise typer.Exit(0 if examination.is_well(findings) else 1)
