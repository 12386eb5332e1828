"""The description of the API: complete, and changed only on purpose."""

import json
import re
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from gateway_hub.api.api_keys import CreateApiKeyRequest
from gateway_hub.api.device_models import (
    CreateDeviceRequest,
    RenewCredentialsRequest,
    UpdateDeviceRequest,
)
from gateway_hub.api.message_batches import SendBatchRequest
from gateway_hub.api.message_requests import SendMessageRequest
from gateway_hub.api.projects import CreateProjectRequest, UpdateProjectRequest
from gateway_hub.api.webhook_models import (
    CreateWebhookEndpointRequest,
    ReplayRequest,
    RotateSecretRequest,
    UpdateWebhookEndpointRequest,
)
from tests.api.write_openapi import OPENAPI_FILE, describe_api, render_openapi

DOCUMENT = describe_api()
SCHEMAS: dict[str, dict[str, Any]] = DOCUMENT["components"]["schemas"]
REQUESTS: list[type[BaseModel]] = [
    *(SendMessageRequest, SendBatchRequest, CreateDeviceRequest, UpdateDeviceRequest),
    *(CreateWebhookEndpointRequest, UpdateWebhookEndpointRequest),
    *(RotateSecretRequest, ReplayRequest),
    *(RenewCredentialsRequest, CreateProjectRequest, UpdateProjectRequest, CreateApiKeyRequest),
]


IDS = [
    operation["operationId"]
    for operations in DOCUMENT["paths"].values()
    for operation in operations.values()
]
OPERATIONS = [
    pytest.param(operation, id=f"{method.upper()} {path}")
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def test_the_description_is_the_committed_one() -> None:
    assert render_openapi() == OPENAPI_FILE.read_text(encoding="utf-8"), (
        "The API changed. If on purpose: python -m tests.api.write_openapi, and review the diff"
    )


async def test_the_description_is_served(shared: httpx.AsyncClient) -> None:
    served = (await shared.get("/openapi.json")).json()
    assert served["info"].pop("version")
    assert served == {
        **DOCUMENT,
        "info": {k: v for k, v in DOCUMENT["info"].items() if k != "version"},
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_says_all_there_is_to_know(operation: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"])
    assert operation["summary"]
    assert operation["description"].endswith(".")
    assert len(operation["tags"]) == 1
    expected = {"401", "403", "404", "422", "429", "500", "503"}
    if "requestBody" in operation:
        expected |= {"400", "413", "415"}
    if any(item["name"] == "Idempotency-Key" for item in operation.get("parameters", [])):
        expected |= {"400", "409"}
    statuses = set(operation["responses"])
    assert expected <= statuses
    success = min(status for status in statuses if status.startswith("2"))
    assert statuses - expected - {success} <= {"202", "409", "410", "412"}
    if success == "201":
        assert "Location" in operation["responses"][success]["headers"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_body_has_an_example(operation: dict[str, Any]) -> None:
    bodies = [operation.get("requestBody", {"content": {}})]
    bodies += [item for status, item in operation["responses"].items() if status.startswith("2")]
    for body in bodies:
        media = body.get("content", {}).get("application/json")
        if media is None:
            continue
        names = re.findall(r"#/components/schemas/(\w+)", json.dumps(media["schema"]))
        assert names
        assert all(SCHEMAS[name].get("examples") for name in names), names


def test_operation_ids_are_unique() -> None:
    assert len(IDS) == len(set(IDS)) == 38


def test_every_problem_is_described_as_one() -> None:
    for name, response in DOCUMENT["components"]["responses"].items():
        [(media_type, content)] = response["content"].items()
        assert media_type == "application/problem+json"
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
        if "example" in content:
            assert f"Problem{content['example']['status']}" == name
    assert "WWW-Authenticate" in DOCUMENT["components"]["responses"]["Problem401"]["headers"]
    assert "Retry-After" in DOCUMENT["components"]["responses"]["Problem503"]["headers"]


def test_nothing_is_described_that_is_not_used() -> None:
    text = json.dumps(DOCUMENT)
    assert [name for name in SCHEMAS if f'"#/components/schemas/{name}"' not in text] == []
    assert not {"HTTPValidationError", "ValidationError"} & SCHEMAS.keys()


@pytest.mark.parametrize("model", REQUESTS, ids=lambda model: model.__name__)
def test_the_example_of_a_request_is_one(model: type[BaseModel]) -> None:
    for example in SCHEMAS[model.__name__]["examples"]:
        model.model_validate(example)


@pytest.mark.parametrize(
    "name", [name for name in SCHEMAS if name.endswith("Response") and "examples" in SCHEMAS[name]]
)
def test_the_example_of_an_answer_has_every_field(name: str) -> None:
    for example in SCHEMAS[name]["examples"]:
        assert set(example) == set(SCHEMAS[name]["properties"])
        assert set(SCHEMAS[name]["required"]) == set(example)
