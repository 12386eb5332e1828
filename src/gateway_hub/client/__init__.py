"""A client of the hub's REST API for Python programs; it needs nothing of the server.

`Client` blocks, `AsyncClient` does not; all else they have together.
"""

from gateway_hub.client.async_client import AsyncClient
from gateway_hub.client.errors import (
    HubClientError,
    HubProblemError,
    HubUnreachableError,
    NotAHubError,
    ProblemField,
    WaitTimeoutError,
)
from gateway_hub.client.exchanges import RetryPolicy
from gateway_hub.client.results import (
    Attempt,
    Device,
    Event,
    Message,
    MessageError,
    WebhookEndpoint,
)
from gateway_hub.client.sync_client import Client
from gateway_hub.client.wishes import Draft
from gateway_hub.domain.webhooks.signing import WebhookVerificationError, verify_webhook

__all__ = [
    "AsyncClient",
    "Attempt",
    "Client",
    "Device",
    "Draft",
    "Event",
    "HubClientError",
    "HubProblemError",
    "HubUnreachableError",
    "Message",
    "MessageError",
    "NotAHubError",
    "ProblemField",
    "RetryPolicy",
    "WaitTimeoutError",
    "WebhookEndpoint",
    "WebhookVerificationError",
    "verify_webhook",
]
