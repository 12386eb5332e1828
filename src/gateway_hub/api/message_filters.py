"""Which messages a list or an export is about, in the services' words."""

from gateway_hub.api.message_requests import MessageFilterFields
from gateway_hub.domain.access import Principal
from gateway_hub.domain.messages import MessageFilter
from gateway_hub.domain.numbers import contact_key
from gateway_hub.services.hub import Hub


async def to_filter(hub: Hub, caller: Principal, query: MessageFilterFields) -> MessageFilter:
    """Return what *query* asks for, of what *caller* reaches."""
    keys = None if query.contact is None else await _contact_keys(hub, caller, query.contact)
    return MessageFilter(
        direction=query.direction,
        status=query.status,
        type=query.type,
        device_id=query.device_id,
        contact_keys=keys,
        tag=query.tag,
        reference=query.reference,
        created_after=query.created_after,
        created_before=query.created_before,
        search=query.q,
        within_tag=caller.tag,
    )


async def _contact_keys(hub: Hub, caller: Principal, contact: str) -> tuple[str, ...]:
    """Return the keys under which messages with *contact* may be kept.

    A leading space before a digit is a `+` that was not escaped as `%2B`.
    """
    if contact[0] == " " and contact.strip()[:1].isdecimal():
        contact = f"+{contact.strip()}"
    project = await hub.access.get_project(caller.project_id)
    return tuple({contact_key(contact, project.region), contact.strip()})
