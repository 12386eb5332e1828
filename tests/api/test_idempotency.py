"""Idempotency-Key: what is asked for twice is done once, and answered alike, on both databases."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway_hub.api.application import create_api
from gateway_hub.domain.access import Scope
from gateway_hub.domain.messages import MessageDraft
from gateway_hub.services.hub import Hub, HubOptions
from gateway_hub.services.secrets import SecretBox
from gateway_hub.services.webhook_endpoints import EndpointDraft
from gateway_hub.storage.idempotency import StoredKey, add_keys
from gateway_hub.storage.transactions import Transaction
from tests.api import phones
from tests.api.clients import (
    OPERATOR_TOKEN,
    connect,
    make_key,
    problem_of,
)
from tests.api.write_openapi import describe_api
from tests.conftest import FakeClock, MakeHub

KEY = {"Idempotency-Key": "order-4711"}
GOOD = {"to": "+255712345678", "text": "Habari"}
ENVAYA = {"name": "Clinic B", "protocol": "envaya", "phone_number": "+255700000002"}

Prepare = Callable[[Hub], Awaitable[tuple[str, Any]]]


async def _default_id(hub: Hub) -> str:
    return (await hub.access.get_project("default")).id


async def _submitted(hub: Hub) -> str:
    message = await hub.outbox.submit(await _default_id(hub), MessageDraft("+255712345678", "hi"))
    return message.id


async def _cancelled(hub: Hub) -> str:
    message_id = await _submitted(hub)
    await hub.outbox.cancel(await _default_id(hub), message_id)
    return message_id


def _plain(path: str, body: Any) -> Prepare:
    async def prepare(_hub: Hub) -> tuple[str, Any]:
        return path, body

    return prepare


async def _a_cancel(hub: Hub) -> tuple[str, Any]:
    return f"/v1/messages/{await _submitted(hub)}/cancel", None


async def _a_resend(hub: Hub) -> tuple[str, Any]:
    return f"/v1/messages/{await _cancelled(hub)}/resend", None


async def _a_renewal(hub: Hub) -> tuple[str, Any]:
    device = await phones.register(hub, await _default_id(hub))
    return f"/v1/devices/{device.id}/credentials", {"grace_seconds": 60}


async def _endpoint(hub: Hub) -> str:
    draft = EndpointDraft("https://backend.example.org/")
    made, _ = await hub.webhook_endpoints.create(await _default_id(hub), draft)
    return f"/v1/webhook-endpoints/{made.id}"


async def _a_rotation(hub: Hub) -> tuple[str, Any]:
    return f"{await _endpoint(hub)}/rotate-secret", {"overlap_seconds": 60}


async def _a_test(hub: Hub) -> tuple[str, Any]:
    return f"{await _endpoint(hub)}/test", None


async def _a_replay(hub: Hub) -> tuple[str, Any]:
    return f"{await _endpoint(hub)}/replay", {"status": "dead"}


WEBHOOK = {"url": "https://backend.example.org/", "events": ["*"]}
# One of which a second go would fail: the credentials, or the name, are taken then.
TAKEN_OVER = {**ENVAYA, "credentials": {"password": "set up already"}}
OPERATIONS: dict[str, Prepare] = {
    "message_send": _plain("/v1/messages", GOOD),
    "message_batch_send": _plain("/v1/messages/batch", {"messages": [GOOD, {}, GOOD]}),
    "message_cancel": _a_cancel,
    "message_resend": _a_resend,
    "device_create": _plain("/v1/devices", TAKEN_OVER),
    "device_credentials_renew": _a_renewal,
    "project_create": _plain("/v1/projects", {"name": "clinics"}),
    "webhook_endpoint_create": _plain("/v1/webhook-endpoints", WEBHOOK),
    "webhook_endpoint_rotate_secret": _a_rotation,
    "webhook_endpoint_test": _a_test,
    "webhook_endpoint_replay": _a_replay,
    "api_key_create": _plain("/v1/api-keys", {"name": "key", "scopes": ["messages:read"]}),
}
KEYED = {
    operation["operationId"]
    for methods in describe_api()["paths"].values()
    for operation in methods.values()
    if any(item["name"] == "Idempotency-Key" for item in operation.get("parameters", []))
}


async def _rows(hub: Hub, table: str) -> int:
    async def query(tx: Transaction) -> int:
        return int((await tx.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())  # noqa: S608

    return await hub.database.read(query)


async def _count_all(hub: Hub) -> list[int]:
    tables = ("messages", "devices", "device_credentials", "projects", "api_keys")
    webhook_tables = ("webhook_endpoints", "webhook_deliveries")
    return [await _rows(hub, table) for table in (*tables, *webhook_tables)]


async def _post(client: httpx.AsyncClient, path: str, body: Any, **headers: str) -> httpx.Response:
    content = {} if body is None else {"json": body}
    return await client.post(path, headers={**KEY, **headers}, **content)


def test_every_operation_that_does_something_is_tried_here() -> None:
    assert OPERATIONS.keys() == KEYED


@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_repeat_does_nothing_and_gets_the_first_answer(
    hub: Hub, admin: httpx.AsyncClient, name: str
) -> None:
    path, body = await OPERATIONS[name](hub)
    first = await _post(admin, path, body)
    assert first.is_success, first.text
    assert "Idempotent-Replayed" not in first.headers
    after = await _count_all(hub)
    again = await _post(admin, path, body)
    assert again.headers.pop("Idempotent-Replayed") == "true"
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers == first.headers
    assert again.headers["Cache-Control"] == "no-store"
    assert await _count_all(hub) == after


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_answer_is_the_same_with_a_key_as_without(
    hub: Hub, admin: httpx.AsyncClient, name: str
) -> None:
    path, body = await OPERATIONS[name](hub)
    keyed = await _post(admin, path, body)
    if name == "project_create":
        body = {"name": "others"}
    if name == "device_create":
        body = {**ENVAYA, "credentials": {"password": "set up long ago"}}
    path, _ = await OPERATIONS[name](hub) if body is None else (path, None)
    plain = await admin.post(path, json=body) if body else await admin.post(path)
    assert (keyed.status_code, plain.status_code) == (plain.status_code, keyed.status_code)
    assert _shape(keyed.json()) == _shape(plain.json())
    assert keyed.headers.keys() == plain.headers.keys()


def _shape(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _shape(value) for name, value in content.items()}
    return [_shape(item) for item in content] if isinstance(content, list) else type(content)


async def test_a_key_belongs_to_one_request(hub: Hub, admin: httpx.AsyncClient) -> None:
    await admin.post("/v1/projects", json={"name": "clinics"})
    assert (await _post(admin, "/v1/messages", GOOD)).status_code == 201
    for body, headers in (
        ({**GOOD, "text": "another"}, {}),
        (GOOD, {"Gateway-Hub-Project": "clinics"}),
    ):
        refused = await _post(admin, "/v1/messages", body, **headers)
        assert (refused.status_code, problem_of(refused)["code"]) == (422, "idempotency_key_reused")
    assert await _rows(hub, "messages") == 1


async def test_a_body_may_be_written_in_another_way(hub: Hub, admin: httpx.AsyncClient) -> None:
    spellings = [b'{"to":"+255712345678","text":"\\u0041"}', b'{ "text":"A", "to":"+255712345678"}']
    headers = {**KEY, "Content-Type": "application/json"}
    answers = [await admin.post("/v1/messages", content=c, headers=headers) for c in spellings]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert await _rows(hub, "messages") == 1


async def test_a_key_may_be_written_in_quotes(hub: Hub, admin: httpx.AsyncClient) -> None:
    await _post(admin, "/v1/messages", GOOD)
    again = await _post(admin, "/v1/messages", GOOD, **{"Idempotency-Key": '"order-4711"'})
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_callers_and_routes_have_their_own_keys(hub: Hub, admin: httpx.AsyncClient) -> None:
    secrets = [await make_key(hub, [Scope.MESSAGES_WRITE]) for _ in range(2)]
    app = create_api(hub)
    for secret in secrets:
        async with connect(app, secret) as client:
            assert (await _post(client, "/v1/messages", GOOD)).status_code == 201
            batch = await _post(client, "/v1/messages/batch", {"messages": [GOOD]})
            assert "Idempotent-Replayed" not in batch.headers
    assert await _rows(hub, "messages") == 4
    ids = [await _submitted(hub) for _ in range(2)]
    for message_id in ids:
        cancelled = await _post(admin, f"/v1/messages/{message_id}/cancel", None)
        assert cancelled.json()["id"] == message_id


@pytest.mark.parametrize("key", ["", " ", "a b", "\N{POUND SIGN}".encode("latin-1"), "k" * 256])
async def test_a_key_that_is_none_is_refused(shared: httpx.AsyncClient, key: str | bytes) -> None:
    written = key if isinstance(key, bytes) else key.encode("ascii")
    headers = {b"Idempotency-Key": written}
    answer = await shared.post("/v1/messages", json=GOOD, headers=headers)
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "malformed_idempotency_key")


async def test_two_keys_are_refused(shared: httpx.AsyncClient) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    answer = await shared.post("/v1/messages", json=GOOD, headers=headers)
    assert problem_of(answer)["code"] == "malformed_idempotency_key"


async def test_a_repeat_that_comes_too_early_is_told_to_wait(
    hub: Hub, admin: httpx.AsyncClient
) -> None:
    with hub.idempotency.hold("operator", "POST /v1/messages", "order-4711", b""):
        answer = await _post(admin, "/v1/messages", GOOD)
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "idempotency_in_progress")
    assert answer.headers["Retry-After"] == "1"
    assert (await _post(admin, "/v1/messages", GOOD)).status_code == 201


async def test_many_at_once_have_one_effect(hub: Hub, make_hub: MakeHub, database_url: str) -> None:
    """Two processes on PostgreSQL: the database decides between them, and the later one waits."""
    hubs = [hub] if database_url.startswith("sqlite") else [hub, await make_hub()]
    clients = [connect(create_api(each), OPERATOR_TOKEN) for each in hubs]
    posts = [
        _post(client, "/v1/messages", GOOD, **{"Idempotency-Key": f"k{number}"})
        for number in range(10)
        for client in clients * 3
    ]
    plain = [clients[0].post("/v1/messages", json=GOOD) for _ in range(10)]
    answers = await asyncio.gather(*posts, *plain)
    assert {answer.status_code for answer in answers} == {201, 409}
    made = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert len(set(made)) == await _rows(hub, "messages") == 20
    assert await _rows(hub, "idempotency_keys") == 10
    firsts = [
        answer
        for answer in answers[: len(posts)]
        if answer.status_code == 201 and "Idempotent-Replayed" not in answer.headers
    ]
    assert len(firsts) == 10
    for client in clients:
        await client.aclose()


async def test_a_repeat_after_a_restart_gets_the_first_answer(
    make_hub: MakeHub, admin: httpx.AsyncClient, hub: Hub
) -> None:
    first = await _post(admin, "/v1/devices", TAKEN_OVER)
    await hub.stop()
    later = await make_hub()
    async with connect(create_api(later), OPERATOR_TOKEN) as client:
        again = await _post(client, "/v1/devices", TAKEN_OVER)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()


async def test_what_was_refused_is_judged_anew(hub: Hub, admin: httpx.AsyncClient) -> None:
    message_id = await _submitted(hub)
    path = f"/v1/messages/{message_id}/resend"
    assert problem_of(await _post(admin, path, None))["code"] == "not_resendable"
    assert (await _post(admin, "/v1/messages", {**GOOD, "to": "no number"})).status_code == 422
    assert await _rows(hub, "idempotency_keys") == 0
    await hub.outbox.cancel(await _default_id(hub), message_id)
    assert (await _post(admin, path, None)).json()["status"] == "queued"
    assert (await _post(admin, "/v1/messages", GOOD)).status_code == 201


async def test_a_secret_is_not_kept_in_the_clear(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock, database_url: str
) -> None:
    made = (await _post(admin, "/v1/devices", ENVAYA)).json()
    key = (await _post(admin, "/v1/api-keys", {"name": "k", "scopes": ["admin"]})).json()

    async def query(tx: Transaction) -> list[bytes]:
        return list((await tx.execute(text("SELECT answer FROM idempotency_keys"))).scalars())

    stored = await hub.database.read(query)
    assert [answer[:1] for answer in stored] == [b"s", b"s"]
    for secret in (made["credentials"]["password"], key["key"]):
        assert not any(secret.encode() in answer for answer in stored)

    await hub.stop()
    options = HubOptions(
        database_url=database_url,
        attachments_folder=hub._options.attachments_folder,
        secret_keys=[SecretBox.generate_key()],
        migrate=False,
        operator_token=OPERATOR_TOKEN,
    )
    other = Hub(options, clock)
    await other.start()
    async with connect(create_api(other), OPERATOR_TOKEN) as client:
        answer = await _post(client, "/v1/devices", ENVAYA)
    await other.stop()
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "answer_unreadable")


async def test_a_key_is_free_again_after_a_day(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    first = (await _post(admin, "/v1/messages", GOOD)).json()["id"]
    clock.advance(hours=24)
    await hub.idempotency.forget_old()
    assert (await _post(admin, "/v1/messages", GOOD)).json()["id"] == first
    clock.advance(seconds=1)
    await hub.idempotency.forget_old()
    assert (await _post(admin, "/v1/messages", GOOD)).json()["id"] != first


async def test_old_keys_go_a_few_at_a_time(
    hub: Hub, admin: httpx.AsyncClient, clock: FakeClock
) -> None:
    async def fill(tx: Transaction) -> None:
        old = clock.now - timedelta(days=2)
        await add_keys(tx, [StoredKey(n.to_bytes(32), f"{n}", b"", old) for n in range(1201)])

    await hub.database.write(fill)
    await _post(admin, "/v1/messages", GOOD)
    await hub.idempotency.forget_old()
    assert await _rows(hub, "idempotency_keys") == 1
