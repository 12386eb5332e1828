"""One thing of each kind that a project owns, and the requests to every route that names it."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from gateway_hub.services.hub import Hub
from gateway_hub.services.webhook_endpoints import EndpointDraft
from gateway_hub.storage.tables import metadata
from gateway_hub.storage.transactions import Transaction
from tests.api import phones
from tests.api.clients import ALL_BUT_ADMIN, make_key

UNKNOWN = "019c1350-8a40-7c31-9a55-3f1c2b7d9e01"

# What requests to the hub change by themselves, whoever makes them.
_NOT_OWNED = {"versions", "idempotency_keys", "log_places"}


@dataclass(frozen=True)
class Operation:
    """One operation of the API, as the document describes it."""

    method: str
    path: str
    scope: str
    ids: tuple[str, ...]
    body: Any = None

    @property
    def name(self) -> tuple[str, str]:
        """Method and path."""
        return self.method, self.path

    async def ask(
        self, client: httpx.AsyncClient, ids: Mapping[str, str], **headers: str
    ) -> httpx.Response:
        """Send it, with *ids* in its path and in its body."""
        return await client.request(
            self.method,
            self.path.format_map(ids),
            json=None if self.body is None else put_ids(self.body, ids),
            params=_QUERIES.get(self.path),
            headers=headers,
        )


_QUERIES = {
    "/v1/messages/export": {"format": "ndjson"},
    "/v1/events/stream": {"cursor": "earliest"},
}


def list_operations(app: FastAPI) -> Iterator[Operation]:
    """Yield every operation of the document, with the example of its body."""
    document = app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            ids = tuple(re.findall(r"{(\w+)}", path))
            [scope] = operation["security"][0]["apiKey"]
            yield Operation(method.upper(), path, scope, ids, _example(document, operation))


def put_ids(content: Any, ids: Mapping[str, str]) -> Any:
    """Return *content* with *ids* wherever it names a thing by one of their names."""
    if isinstance(content, list):
        return [put_ids(item, ids) for item in content]
    if not isinstance(content, dict):
        return content
    plural = {f"{name}s": [item] for name, item in ids.items()}
    return {
        name: ids.get(name) or plural.get(name) or put_ids(item, ids)
        for name, item in content.items()
    }


async def furnish(
    hub: Hub, owner: httpx.AsyncClient, project: str = "default", *tags: str
) -> dict[str, str]:
    """Return ids of one thing of each kind, by the name that routes give them.

    *owner* may do everything in the project; the things have the first of *tags*.
    """
    tag = tags[0] if tags else None
    project_id = (await hub.access.get_project(project)).id
    device = await phones.register(hub, project_id, *tags)
    await phones.forward_mms(hub, device, b"bytes", "a.txt")
    await phones.send_rubbish(hub, device, f"rubbish for {tag}")
    await make_key(hub, ALL_BUT_ADMIN, project, tag)
    body = {"to": "1234", "text": f"of {project} {tag}", "route": {"device_id": device.id}}
    sent = await owner.post("/v1/messages", json=body)
    query = {"type": "mms", "device_id": device.id}
    [mms] = (await owner.get("/v1/messages", params=query)).json()["data"]
    keys = (await owner.get("/v1/api-keys", params={"limit": 1})).json()["data"]
    await hub.publisher.publish_all()
    query = {"message_id": mms["id"]}
    [event] = (await owner.get("/v1/events", params=query)).json()["data"]
    # One that no event is sent to but the test.
    draft = EndpointDraft("https://backend.example.org/", ("webhook_endpoint.disabled",))
    endpoint, _ = await hub.webhook_endpoints.create(project_id, draft)
    delivery = await hub.webhook_endpoints.test(project_id, endpoint.id)
    return {
        "endpoint_id": endpoint.id,
        "delivery_id": delivery.id,
        "message_id": sent.json()["id"],
        "device_id": device.id,
        "attachment_id": mms["attachments"][0]["id"],
        "key_id": keys[0]["id"],
        "event_id": event["id"],
        "project_id": project_id,
    }


async def snapshot(hub: Hub) -> dict[str, list[str]]:
    """Return every row of the database, by table, once what comes of itself has come."""
    await hub.states.flush()
    await hub.publisher.publish_all()

    async def query(tx: Transaction) -> dict[str, list[str]]:
        return {
            table.name: sorted(
                json.dumps(dict(row._mapping), default=str, sort_keys=True)
                for row in await tx.execute(select(table))
            )
            for table in metadata.sorted_tables
            if table.name not in _NOT_OWNED
        }

    # What the hub would write by itself, a moment later.
    await hub.publisher.publish_all()
    await hub.states.flush()
    return await hub.database.read(query)


def _example(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    media = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if media is None:
        return None
    [name] = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(media["schema"])))
    return document["components"]["schemas"][name]["examples"][0]
