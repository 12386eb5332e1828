"""Which webhook endpoints hear of an event. Kept in memory: no event costs a query to find them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.errors import InvalidInputError
from gateway_hub.domain.events import Event, EventType
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.webhooks.deliveries import WebhookDelivery
from gateway_hub.domain.webhooks.endpoints import EndpointKind, WebhookEndpoint
from gateway_hub.domain.webhooks.urls import parse_webhook_url
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import versions
from gateway_hub.storage import webhook_deliveries as delivery_rows
from gateway_hub.storage import webhook_endpoints as endpoint_rows
from gateway_hub.storage.transactions import Transaction

_VERSION = "webhooks"

OnDue = Callable[[], None]


class WebhookSubscriptions:
    """The webhook endpoints of all projects that events are kept for, as of the last change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._version: int | None = None
        self._known: defaultdict[str, list[WebhookEndpoint]] = defaultdict(list)
        self.on_due: OnDue = lambda: None
        """Called after each commit that made something due; set by who sends."""

    @property
    def are_none(self) -> bool:
        """Whether there was no webhook endpoint when this process last looked or changed one."""
        return self._version is not None and not self._known

    async def note_change(self, tx: Transaction) -> None:
        """Let every process read the webhook endpoints anew once *tx* is committed."""
        await versions.raise_version(tx, _VERSION)
        tx.after_commit(self._forget)

    def wake_after_commit(self, tx: Transaction) -> None:
        """Say that something is due, once *tx* is committed."""
        tx.after_commit(self._wake)

    async def starts_after(self, tx: Transaction, place: int) -> int | None:
        """Return the place of the log, *place* or later, after which events may be asked for.

        None: there is no webhook endpoint.
        """
        await self._refresh(tx)
        places = [item.after_seq for endpoints in self._known.values() for item in endpoints]
        return max(place, min(places)) if places else None

    async def take(self, tx: Transaction, events: Sequence[Event]) -> None:
        """Put *events*, which are in the log, on their way to those who asked for them.

        Done again, it changes nothing: an event is on its way to a webhook endpoint once.
        """
        # Not before the events were read: whoever asked before an event was committed is known.
        await self._refresh(tx)
        devices = await self._find_tagging_devices(tx, events)
        new = [
            self._deliver(event, endpoint)
            for event in events
            for endpoint in self._known.get(event.project_id, ())
            if endpoint.after_seq < event.seq and _is_for(event, endpoint, devices)
        ]
        await delivery_rows.add_deliveries(tx, new)
        if new:
            self.wake_after_commit(tx)

    async def choose(
        self, tx: Transaction, endpoint: WebhookEndpoint, events: Sequence[Event]
    ) -> list[WebhookDelivery]:
        """Return the deliveries of those of *events* that *endpoint* asks for, not stored yet."""
        device_ids = {event.device_id for event in events if endpoint.tags and event.device_id}
        devices = await device_rows.find_devices(tx, device_ids)
        return [
            self._deliver(event, endpoint) for event in events if _is_for(event, endpoint, devices)
        ]

    async def knows_callback(self, tx: Transaction, project_id: str, origin: str) -> bool:
        """Say whether a webhook endpoint stands for the callbacks of *project_id* to *origin*."""
        await self._refresh(tx)
        return any(
            endpoint.kind is EndpointKind.CALLBACK and endpoint.url == origin
            for endpoint in self._known.get(project_id, ())
        )

    async def _refresh(self, tx: Transaction) -> None:
        version = await versions.read_version(tx, _VERSION)
        if version == self._version:
            return
        known: defaultdict[str, list[WebhookEndpoint]] = defaultdict(list)
        for endpoint in await endpoint_rows.list_served(tx):
            known[endpoint.project_id].append(endpoint)
        self._known, self._version = known, version

    async def _find_tagging_devices(
        self, tx: Transaction, events: Iterable[Event]
    ) -> dict[str, Device]:
        """Return the devices of *events* whose tags somebody asks for, by id."""
        wanted = {
            event.device_id
            for event in events
            if event.device_id is not None
            and any(endpoint.tags for endpoint in self._known.get(event.project_id, ()))
        }
        return await device_rows.find_devices(tx, wanted)

    def _deliver(self, event: Event, endpoint: WebhookEndpoint) -> WebhookDelivery:
        now = self._clock()
        return WebhookDelivery(
            id=new_id(),
            endpoint_id=endpoint.id,
            event_id=event.id,
            event_seq=event.seq,
            event_type=event.type,
            created_at=now,
            updated_at=now,
            next_attempt_at=now,
            message_id=event.message_id,
            url=event.status_callback if endpoint.kind is EndpointKind.CALLBACK else None,
        )

    def _forget(self) -> None:
        self._version = None

    def _wake(self) -> None:
        self.on_due()


def origin_of(url: str) -> str:
    """Return scheme, host and port of *url*. Raises InvalidInputError."""
    parsed = parse_webhook_url(url)
    return f"{parsed.scheme}://{parsed.authority}/"


def _is_for(event: Event, endpoint: WebhookEndpoint, devices: dict[str, Device]) -> bool:
    if endpoint.kind is EndpointKind.CALLBACK:
        return _calls_back(event, endpoint)
    if event.type is EventType.WEBHOOK_ENDPOINT_TEST or not endpoint.wants(event.type):
        return False
    device = devices.get(event.device_id or "")
    tags = device.tags if device is not None else ()
    return endpoint.wants_tagged([*tags, *([event.route_tag] if event.route_tag else [])])


def _calls_back(event: Event, endpoint: WebhookEndpoint) -> bool:
    if event.status_callback is None or event.project_id != endpoint.project_id:
        return False
    try:
        return origin_of(event.status_callback) == endpoint.url
    except InvalidInputError:
        return False
