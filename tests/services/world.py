"""A hub whose time passes as a test says, and short ways to speak for phones and backends."""

from dataclasses import dataclass
from typing import Any

from gateway_hub.domain.devices import Device, PhoneFacts, Protocol
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Message, MessageDraft
from gateway_hub.domain.phone_posts import PhoneAnswer, PhonePost, PhoneReport
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub
from tests.conftest import FakeClock


@dataclass
class World:
    """A hub, its clock, and what phones do."""

    hub: Hub
    clock: FakeClock
    project_id: str

    async def phone(self, name: str, protocol: Protocol = Protocol.MEDIC, **options: Any) -> Device:
        """Register a phone."""
        if protocol is Protocol.ENVAYA:
            options.setdefault("phone_number", "+255710000001")
        view, _ = await self.hub.devices.create(
            self.project_id, DeviceDraft(name, protocol, **options)
        )
        return view.device

    async def poll(self, device: Device, *reports: PhoneReport, **post: Any) -> PhoneAnswer:
        """Let *device* post; it is read anew, as the routes do."""
        fresh = (await self.hub.devices.get(self.project_id, device.id)).device
        facts = PhoneFacts(takes_commands=device.protocol is Protocol.ENVAYA)
        return await self.hub.phones.exchange(
            fresh, PhonePost(reports=reports, facts=facts, **post), patience_seconds=1
        )

    async def start_app(self, device: Device) -> None:
        """Let the app of *device* tell that it has started, with a post that takes no work."""
        fresh = (await self.hub.devices.get(self.project_id, device.id)).device
        post = PhonePost(facts=PhoneFacts(has_started=True), takes_work=False)
        await self.hub.phones.exchange(fresh, post, patience_seconds=1)

    async def submit(self, text: str = "x", to: str = "+255710009999", **draft: Any) -> Message:
        """Submit a message."""
        return await self.hub.outbox.submit(self.project_id, MessageDraft(to, text, **draft))

    async def status(self, message: Message) -> Status:
        """Return where *message* is."""
        return (await self.get(message)).status

    async def get(self, message: Message) -> Message:
        """Return *message* as it is now."""
        return (await self.hub.outbox.get(self.project_id, message.id)).message

    async def pass_time(self, **parts: float) -> None:
        """Move the clock and do what is due then."""
        self.clock.advance(**parts)
        while await self.hub.caretaker.run_due():
            pass


def report(wire_id: str, status: Status, **rest: Any) -> PhoneReport:
    """Return the report of a phone that *wire_id* is in *status*."""
    return PhoneReport(wire_id, status, status.value, **rest)


def wire_ids(answer: PhoneAnswer) -> list[str]:
    """Return what *answer* gives to the phone."""
    return [offer.wire_id for offer in answer.offers]
