"""One exchange with a phone, on both databases."""

from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import MessageDraft
from gateway_hub.domain.phone_posts import PhonePost
from gateway_hub.services.devices import DeviceDraft
from gateway_hub.services.hub import Hub


async def test_a_queued_message_is_offered_once(hub: Hub) -> None:
    project = await hub.access.ensure_default_project()
    view, _ = await hub.devices.create(project.id, DeviceDraft("phone", Protocol.MEDIC))
    message = await hub.outbox.submit(project.id, MessageDraft("+255710000001", "hello"))
    first = await hub.phones.exchange(view.device, PhonePost(), patience_seconds=1)
    second = await hub.phones.exchange(view.device, PhonePost(), patience_seconds=1)
    assert [offer.wire_id for offer in first.offers] == [message.id]
    assert second.offers == ()
    assert (await hub.outbox.get(project.id, message.id)).message.status is Status.DISPATCHED
