"""A hub whose webhooks go out when a test says so, and short ways to ask what became of them."""

from dataclasses import dataclass
from typing import Any

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.messages import Message
from gateway_hub.domain.webhooks.deliveries import WebhookAttempt, WebhookDelivery
from gateway_hub.domain.webhooks.endpoints import WebhookEndpoint
from gateway_hub.services.hub import Hub
from gateway_hub.services.webhook_endpoints import EndpointDraft
from gateway_hub.webhooks.worker import WebhookWorker
from tests.services import phones
from tests.services.phones import Phone


@dataclass(frozen=True)
class Place:
    """A hub on a database that others may share."""

    hub: Hub
    worker: WebhookWorker
    project_id: str
    clock: Clock

    async def subscribe(self, url: str, *events: str, **fields: Any) -> WebhookEndpoint:
        """Return a new webhook endpoint for those events, or all."""
        return (await self.subscribe_with_secret(url, *events, **fields))[0]

    async def subscribe_with_secret(
        self, url: str, *events: str, project_id: str | None = None, **fields: Any
    ) -> tuple[WebhookEndpoint, str]:
        """Return a new webhook endpoint and its secret."""
        draft = EndpointDraft(url, events or ("*",), **fields)
        return await self.hub.webhook_endpoints.create(project_id or self.project_id, draft)

    async def receive(self, phone: Phone, text: str, **fields: Any) -> None:
        """Let *phone* forward an SMS."""
        message = phones.sms(f"key of {text}", text, **fields)
        await phone.post(messages=[message], takes_work=False, hub=self.hub)

    async def submit(self, text: str = "hi", **fields: Any) -> Message:
        """Return a new message to be sent: that is an event."""
        return await phones.submit(self.hub, self.project_id, text, **fields)

    async def send_due(self) -> int:
        """Send what is due now, once; return how many attempts that were."""
        await self.hub.publisher.publish_all()
        return await self.worker.work_once()

    async def send_all(self) -> int:
        """Send what is due now until nothing is; return how many attempts that were."""
        total = 0
        while count := await self.send_due():
            total += count
        return total

    async def endpoint(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        """Return *endpoint* as it is now."""
        return await self.hub.webhook_endpoints.get(endpoint.project_id, endpoint.id)

    async def deliveries(self, endpoint: WebhookEndpoint) -> list[WebhookDelivery]:
        """Return what is or was on its way to *endpoint*, oldest first."""
        found = await self.hub.webhook_history.list_deliveries(
            endpoint.project_id, endpoint.id, None, before="~", limit=1000
        )
        return list(reversed(found))

    async def attempts(self, delivery: WebhookDelivery) -> list[WebhookAttempt]:
        """Return the attempts of *delivery*."""
        endpoint_id = delivery.endpoint_id
        return (
            await self.hub.webhook_history.get_delivery(self.project_id, endpoint_id, delivery.id)
        )[1]

    async def statuses(self, endpoint: WebhookEndpoint) -> list[tuple[str, str, int]]:
        """Return type, status and number of attempts of each delivery to *endpoint*, in order."""
        return [
            (str(item.event_type), str(item.status), item.attempts)
            for item in await self.deliveries(endpoint)
        ]
