"""Conditions over tags: which devices have one, which messages and events belong to it."""

from functools import lru_cache

from sqlalchemy import ColumnElement, bindparam, func, or_, select

from gateway_hub.storage.tables import devices, events, messages


@lru_cache
def has_tag(dialect: str, name: str) -> ColumnElement[bool]:
    """Return the condition that a row of `devices` has the tag bound as *name*."""
    unnest = func.json_each if dialect == "sqlite" else func.jsonb_array_elements_text
    tags = unnest(devices.c.tags).table_valued("value")
    return select(tags).where(tags.c.value == bindparam(name)).exists()


@lru_cache
def belongs_to_tag(dialect: str, name: str) -> ColumnElement[bool]:
    """Return the condition that a row of `messages` belongs to the tag bound as *name*.

    It is routed to the tag, or to a device that has it now, or went through one.
    """
    tagged = select(devices.c.id).where(has_tag(dialect, name))
    return or_(
        messages.c.route_tag == bindparam(name),
        messages.c.device_id.in_(tagged),
        messages.c.route_device_id.in_(tagged),
    )


@lru_cache
def is_about_tag(dialect: str, name: str) -> ColumnElement[bool]:
    """Return the condition that a row of `events` is about what belongs to the tag bound there."""
    tagged = select(devices.c.id).where(has_tag(dialect, name))
    return or_(events.c.route_tag == bindparam(name), events.c.device_id.in_(tagged))
