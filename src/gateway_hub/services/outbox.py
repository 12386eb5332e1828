"""What backends ask for: submit, look up, list and cancel messages; and the clock's part of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import Device
from gateway_hub.domain.errors import ConflictError, HubError, InvalidInputError, NotFoundError
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import CANCELLABLE, Status
from gateway_hub.domain.messages import (
    Attachment,
    Attempt,
    Direction,
    Message,
    MessageDetails,
    MessageDraft,
    MessageType,
)
from gateway_hub.domain.numbers import contact_key, is_dialable, to_e164
from gateway_hub.domain.reporting import move
from gateway_hub.domain.segments import MAX_OUTBOUND_SEGMENTS, segment
from gateway_hub.domain.text import find_unsendable
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import outbox as outbox_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.messages import MessageFilter, NewMessage
from gateway_hub.storage.transactions import Transaction

_DUE_AT_ONCE = 200


class Outbox:
    """The messages of every project."""

    def __init__(self, database: Database, wakeups: Wakeups, clock: Clock) -> None:
        self._database = database
        self._wakeups = wakeups
        self._clock = clock

    async def submit(self, project_id: str, draft: MessageDraft) -> Message:
        """Store *draft* as a message to be sent and return it.

        Raises InvalidInputError for a draft no phone could send.
        """
        result = (await self.submit_batch(project_id, [draft]))[0]
        if isinstance(result, HubError):
            raise result
        return result

    async def submit_batch(
        self, project_id: str, drafts: Sequence[MessageDraft]
    ) -> list[Message | HubError]:
        """Store the good ones of *drafts*; return for each, in order, its message or its error."""
        message_ids = [new_id() for _ in drafts]

        async def use_case(tx: Transaction) -> list[Message | HubError]:
            project = await project_rows.find_project(tx, project_id)
            region = project.region if project else None
            devices = await _routed_devices(tx, project_id, drafts)
            setting = _Setting(project_id, region, devices, self._clock())
            results: list[Message | HubError] = []
            for message_id, draft in zip(message_ids, drafts, strict=True):
                try:
                    results.append(_compose(message_id, draft, setting))
                except HubError as error:
                    results.append(error)
            composed = [item for item in results if isinstance(item, Message)]
            await message_rows.add_messages(tx, [_to_new(item, region) for item in composed])
            self._wake_after_commit(tx, composed)
            return results

        return await self._database.write(use_case)

    async def get(self, project_id: str, message_id: str) -> MessageDetails:
        """Return a message with all that belongs to it. Raises NotFoundError."""

        async def query(tx: Transaction) -> MessageDetails | None:
            message = await message_rows.find_message(tx, project_id, message_id)
            if message is None:
                return None
            return MessageDetails(
                message=message,
                attachments=tuple(await message_rows.find_attachments(tx, [message_id])),
                attempts=tuple(await message_rows.find_attempts(tx, [message_id])),
                reports=tuple(await message_rows.find_reports(tx, message_id)),
            )

        details = await self._database.read(query)
        if details is None:
            raise NotFoundError("There is no such message.")
        return details

    async def list_messages(
        self, project_id: str, wanted: MessageFilter, *, before: str, limit: int
    ) -> list[MessageDetails]:
        """Return up to *limit* messages with ids below *before*, newest first, without reports."""

        async def query(tx: Transaction) -> list[MessageDetails]:
            found = await message_rows.list_messages(
                tx, project_id, wanted, before=before, limit=limit
            )
            ids = [message.id for message in found]
            parts = await message_rows.find_attachments(tx, ids)
            tries = await message_rows.find_attempts(tx, ids)
            return [_details(message, parts, tries) for message in found]

        return await self._database.read(query)

    async def get_attachment(self, project_id: str, attachment_id: str) -> Attachment:
        """Return what is known of an attachment. Raises NotFoundError."""

        async def query(tx: Transaction) -> Attachment | None:
            return await message_rows.find_attachment(tx, project_id, attachment_id)

        attachment = await self._database.read(query)
        if attachment is None:
            raise NotFoundError("There is no such attachment.")
        return attachment

    async def cancel(self, project_id: str, message_id: str) -> Message:
        """Take a message back before any phone has it, and return it; cancelled stays cancelled.

        Raises NotFoundError, and ConflictError once a phone may have it.
        """

        async def use_case(tx: Transaction) -> Message:
            locked = await message_rows.lock_messages(tx, [message_id])
            message = locked.get(message_id)
            if message is None or message.project_id != project_id:
                raise NotFoundError("There is no such message.")
            if message.status is Status.CANCELLED:
                return message
            if message.status not in CANCELLABLE:
                raise ConflictError(
                    f"The message is {message.status} and cannot be taken back.",
                    code="not_cancellable",
                )
            cancelled = move(message, Status.CANCELLED, self._clock())
            await message_rows.save_progress(tx, [cancelled])
            return cancelled

        return await self._database.write(use_case)

    async def run_due(self) -> int:
        """Queue scheduled messages whose time has come and expire those too late; return how many.

        Takes a limited number: call again until it returns 0.
        """

        async def use_case(tx: Transaction) -> int:
            now = self._clock()
            expired = await outbox_rows.lock_expired(tx, now=now, limit=_DUE_AT_ONCE)
            await message_rows.save_progress(
                tx, [move(message, Status.EXPIRED, now) for message in expired]
            )
            due = await outbox_rows.lock_due_scheduled(tx, now=now, limit=_DUE_AT_ONCE)
            queued = [move(message, Status.QUEUED, now) for message in due]
            await message_rows.save_progress(tx, queued)
            self._wake_after_commit(tx, queued)
            return len(expired) + len(due)

        return await self._database.write(use_case)

    def _wake_after_commit(self, tx: Transaction, messages: Iterable[Message]) -> None:
        queued = (message for message in messages if message.status is Status.QUEUED)
        for queue in {message.route.key(message.project_id) for message in queued}:
            tx.after_commit(partial(self._wakeups.wake, queue))


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a draft is checked against."""

    project_id: str
    region: str | None
    devices: dict[str, Device]
    now: datetime


def _details(
    message: Message, parts: Sequence[Attachment], tries: Sequence[Attempt]
) -> MessageDetails:
    return MessageDetails(
        message=message,
        attachments=tuple(part for part in parts if part.message_id == message.id),
        attempts=tuple(item for item in tries if item.message_id == message.id),
    )


async def _routed_devices(
    tx: Transaction, project_id: str, drafts: Sequence[MessageDraft]
) -> dict[str, Device]:
    wanted = {draft.route.device_id for draft in drafts if draft.route.device_id is not None}
    found = [await device_rows.find_device(tx, project_id, item) for item in sorted(wanted)]
    return {device.id: device for device in found if device is not None}


def _compose(message_id: str, draft: MessageDraft, setting: _Setting) -> Message:
    """Return the message *draft* asks for. Raises InvalidInputError."""
    now = setting.now
    _check_recipient(draft.to)
    _check_times(draft, now)
    if draft.route.device_id is not None and draft.route.device_id not in setting.devices:
        raise InvalidInputError.of_field(
            "/route/device_id", "unknown_device", "There is no such device."
        )
    size = segment(_checked_text(draft.text))
    if size.segments > MAX_OUTBOUND_SEGMENTS:
        raise InvalidInputError.of_field(
            "/text",
            "text_too_long",
            f"The text needs more than {MAX_OUTBOUND_SEGMENTS} SMS segments.",
        )
    waits = draft.send_at is not None and draft.send_at > now
    message = Message(
        id=message_id,
        project_id=setting.project_id,
        direction=Direction.OUTBOUND,
        type=MessageType.SMS,
        status=Status.SCHEDULED if waits else Status.QUEUED,
        text=draft.text,
        created_at=now,
        updated_at=now,
        to_number=draft.to,
        to_e164=to_e164(draft.to, setting.region),
        encoding=size.encoding,
        segments=size.segments,
        route=draft.route,
        priority=draft.priority,
        send_at=draft.send_at,
        expires_at=draft.expires_at,
        max_attempts=draft.max_attempts,
        if_uncertain=draft.if_uncertain,
        reference=draft.reference,
        metadata=draft.metadata,
    )
    return replace(message, reached=move(message, message.status, now).reached)


def _check_recipient(to: str) -> None:
    if not is_dialable(to):
        raise InvalidInputError.of_field(
            "/to", "not_a_number", "The recipient must be a phone number or a short code."
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


def _to_new(message: Message, region: str | None) -> NewMessage:
    return NewMessage(message, contact_key=contact_key(message.to_number or "", region))
