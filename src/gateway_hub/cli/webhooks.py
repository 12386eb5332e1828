"""``gateway-hub webhook``: webhook endpoints, what they were told, and telling them again."""

from typing import Annotated

import typer

from gateway_hub.cli.failures import CommandError
from gateway_hub.cli.listing import show_one, show_page
from gateway_hub.cli.options import AsJson, DataDir, InProject, Limit
from gateway_hub.cli.session import connect
from gateway_hub.domain.webhooks.deliveries import DeliveryStatus
from gateway_hub.domain.webhooks.endpoints import EndpointKind

app = typer.Typer(help="Webhook endpoints: see how they fare.", no_args_is_help=True)

EndpointId = Annotated[str, typer.Argument(help="Id of the webhook endpoint.")]
_ENDPOINT_COLUMNS = ["id", "kind", "url", "state", "disabled_reason", "created_at"]
_DELIVERY_COLUMNS = ["id", "event_type", "event_id", "status", "attempt_count", "next_attempt_at"]


@app.command("list")
def list_endpoints(
    *,
    kind: Annotated[EndpointKind | None, typer.Option(help="Only of this kind.")] = None,
    limit: Limit = 50,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List webhook endpoints, newest first."""
    with connect(project=project, data_dir=data_dir) as api:
        page = api.list_all("webhook-endpoints", limit=limit, kind=kind)
    show_page(page, _ENDPOINT_COLUMNS, as_json=as_json)


@app.command()
def deliveries(
    *,
    endpoint_id: EndpointId,
    status: Annotated[DeliveryStatus | None, typer.Option(help="Where they stand.")] = None,
    limit: Limit = 50,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List what is or was on its way to a webhook endpoint, newest first."""
    with connect(project=project, data_dir=data_dir) as api:
        page = api.list_all(
            "webhook-endpoints", endpoint_id, "deliveries", limit=limit, status=status
        )
    show_page(page, _DELIVERY_COLUMNS, as_json=as_json)


@app.command()
def replay(
    *,
    endpoint_id: EndpointId,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="All from then on: 2027-01-31T08:00:00Z.")
    ] = None,
    event: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This event; may be repeated.")
    ] = None,
    dead: Annotated[bool, typer.Option("--dead", help="All that are dead.")] = False,
    project: InProject = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send events again: all since a time, some, or all that are dead."""
    body = {"since": since, "event_ids": event, "status": "dead" if dead else None}
    given = {name: value for name, value in body.items() if value is not None}
    if len(given) != 1:
        raise CommandError("say one of --since, --event and --dead")
    with connect(project=project, data_dir=data_dir) as api:
        answer = api.post("webhook-endpoints", endpoint_id, "replay", body=given)
    show_one(answer, as_json=as_json)
