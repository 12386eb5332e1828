"""What drafts become: messages to be sent, or the reason why not."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from gateway_hub.domain.access import Project
from gateway_hub.domain.devices import Device
from gateway_hub.domain.errors import HubError, InvalidInputError
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Direction, Message, MessageDraft, MessageType
from gateway_hub.domain.numbers import contact_key, is_dialable, to_e164
from gateway_hub.domain.reporting import move
from gateway_hub.domain.segments import MAX_OUTBOUND_SEGMENTS, Segmentation, segment
from gateway_hub.domain.text import find_unsendable
from gateway_hub.services.idempotency import Once
from gateway_hub.services.tag_limits import confine, is_within
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage.transactions import Transaction

Drafts = tuple[tuple[str, MessageDraft], ...]
"""Each with the id of the message it becomes."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What one caller asks for: drafts, each with the id of the message it becomes.

    *refused* says by that id why a draft is not to become one.
    """

    project: Project
    drafts: Drafts
    asked_at: datetime
    tag: str | None = None
    once: Once[list[Message | HubError]] | None = None
    refused: Mapping[str, HubError] = field(default_factory=dict)


async def find_routed_devices(
    tx: Transaction, submissions: Iterable[Submission]
) -> dict[str, Device]:
    """Return the devices that drafts name, by id; whose they are is for `compose` to check."""
    drafts = [draft for submission in submissions for _, draft in submission.drafts]
    return await device_rows.find_devices(
        tx, {draft.route.device_id for draft in drafts if draft.route.device_id is not None}
    )


def compose_all(submission: Submission, devices: Mapping[str, Device]) -> list[Message | HubError]:
    """Return what becomes of the drafts: the same if it is done again after a lost commit."""
    results: list[Message | HubError] = []
    for message_id, draft in submission.drafts:
        if message_id in submission.refused:
            results.append(submission.refused[message_id])
            continue
        try:
            results.append(
                compose(
                    message_id,
                    _confine(draft, submission.tag, devices),
                    submission.project,
                    devices,
                    now=submission.asked_at,
                )
            )
        except HubError as error:
            results.append(error)
    return results


def _confine(draft: MessageDraft, tag: str | None, devices: Mapping[str, Device]) -> MessageDraft:
    """Return *draft* as a caller limited to *tag* may send it.

    Raises TagLimitedError, and InvalidInputError for a device that for them is not there.
    """
    if tag is None:
        return draft
    device = devices.get(draft.route.device_id or "")
    if device is not None and not is_within(device, tag):
        raise _unknown_device()
    return replace(draft, route=confine(draft.route, tag))


def compose(
    message_id: str,
    draft: MessageDraft,
    project: Project,
    devices: Mapping[str, Device],
    *,
    now: datetime,
) -> Message:
    """Return the message *draft* asks for. Raises InvalidInputError."""
    check_recipient(draft.to)
    _check_times(draft, now)
    device = _named_device(draft.route.device_id, project, devices)
    size = measure(draft.text)
    waits = draft.send_at is not None and draft.send_at > now
    region = find_region(device, project)
    message = Message(
        id=message_id,
        project_id=project.id,
        direction=Direction.OUTBOUND,
        type=MessageType.SMS,
        status=Status.SCHEDULED if waits else Status.QUEUED,
        text=draft.text,
        created_at=now,
        updated_at=now,
        to_number=draft.to,
        to_e164=to_e164(draft.to, region),
        encoding=size.encoding,
        segments=size.segments,
        route=draft.route,
        priority=draft.priority,
        send_at=draft.send_at,
        due_at=draft.send_at,
        queue=draft.route.key(project.id),
        contact_key=contact_key(draft.to, region),
        expires_at=draft.expires_at,
        max_attempts=draft.max_attempts,
        if_uncertain=draft.if_uncertain or project.if_uncertain,
        reference=draft.reference,
        status_callback=draft.status_callback,
        metadata=draft.metadata,
    )
    return replace(message, reached=move(message, message.status, now).reached)


def check_recipient(to: str) -> None:
    """Raise InvalidInputError for what no phone could dial."""
    if not is_dialable(to):
        raise InvalidInputError.of_field(
            "/to", "not_a_number", "The recipient must be a phone number or a short code."
        )


def measure(text: str) -> Segmentation:
    """Return the size of *text*. Raises InvalidInputError for what no SMS could carry."""
    size = segment(_checked_text(text))
    if size.segments > MAX_OUTBOUND_SEGMENTS:
        raise InvalidInputError.of_field(
            "/text",
            "text_too_long",
            f"The text needs more than {MAX_OUTBOUND_SEGMENTS} SMS segments.",
        )
    return size


def find_region(named: Device | None, project: Project) -> str | None:
    """Return the country in which national numbers are dialled: of the phone if it is *named*."""
    return (named.region if named else None) or project.region


def _named_device(
    device_id: str | None, project: Project, devices: Mapping[str, Device]
) -> Device | None:
    """Return the device a draft is to go through, if it names one. Raises InvalidInputError."""
    if device_id is None:
        return None
    device = devices.get(device_id)
    if device is None or device.project_id != project.id or device.deleted_at is not None:
        raise _unknown_device()
    return device


def _unknown_device() -> InvalidInputError:
    return InvalidInputError.of_field(
        "/route/device_id", "unknown_device", "There is no such device."
    )


def _check_times(draft: MessageDraft, now: datetime) -> None:
    if draft.expires_at is None:
        return
    if draft.expires_at <= max(now, draft.send_at or now):
        raise InvalidInputError.of_field(
            "/expires_at", "too_early", "The message would expire before it could be sent."
        )


def _checked_text(text: str) -> str:
    if not text:
        raise InvalidInputError.of_field("/text", "empty", "The text is empty.")
    unsendable = find_unsendable(text)
    if unsendable:
        named = ", ".join(f"U+{ord(character):04X}" for character in unsendable[:10])
        raise InvalidInputError.of_field(
            "/text", "unsendable_character", f"The text holds characters no SMS carries: {named}."
        )
    return text
