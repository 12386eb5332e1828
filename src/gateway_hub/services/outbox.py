"""What backends ask for: submit, look up, list and cancel messages; and the clock's part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gateway_hub.domain.access import Project
from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import LEASE_POLICIES, Device
from gateway_hub.domain.errors import ConflictError, HubError, InvalidInputError, NotFoundError
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import ASKED_BACK, CANCELLABLE, RESENDABLE, Status
from gateway_hub.domain.messages import (
    Attachment,
    Attempt,
    Direction,
    Message,
    MessageDetails,
    MessageDraft,
    MessageType,
    Route,
)
from gateway_hub.domain.numbers import contact_key, is_dialable, to_e164
from gateway_hub.domain.reporting import move, prefer, requeue
from gateway_hub.domain.routing import served_queues
from gateway_hub.domain.segments import MAX_OUTBOUND_SEGMENTS, segment
from gateway_hub.domain.text import find_unsendable
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import outbox as outbox_rows
from gateway_hub.storage import projects as project_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.messages import MessageFilter, NewMessage
from gateway_hub.storage.transactions import Transaction

PREFERRED_FOR = timedelta(minutes=5)
"""How long a message waits for the device it had better go through."""


class Outbox:
    """The messages of every project."""

    def __init__(
        self, database: Database, states: DeviceStates, wakeups: Wakeups, clock: Clock
    ) -> None:
        self._database = database
        self._states = states
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
            if project is None:
                raise NotFoundError("There is no such project.")
            devices = await _routed_devices(tx, project_id, drafts)
            setting = _Setting(project, devices, self._clock())
            results: list[Message | HubError] = []
            for message_id, draft in zip(message_ids, drafts, strict=True):
                try:
                    results.append(_compose(message_id, draft, setting))
                except HubError as error:
                    results.append(error)
            composed = [
                await self._stick(tx, item, setting.now)
                for item in results
                if isinstance(item, Message)
            ]
            await message_rows.add_messages(tx, [NewMessage(item) for item in composed])
            self._wakeups.wake_after_commit(tx, composed)
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
        """Take a message back and return it.

        At once while no phone has it. A phone that knows how is asked to give it back: then the
        message is as it was, with `cancel_requested_at`, until the phone says so or tells that it
        was sent. Raises NotFoundError, and ConflictError where only hoping would be left.
        """

        async def use_case(tx: Transaction) -> Message:
            message = await _lock_own(tx, project_id, message_id)
            if message.status is Status.CANCELLED:
                return message
            now = self._clock()
            if message.status in CANCELLABLE:
                changed = move(message, Status.CANCELLED, now)
            else:
                await self._ask_back(tx, message, now)
                changed = replace(message, cancel_requested_at=now, updated_at=now)
            await message_rows.save_progress(tx, [changed])
            return changed

        return await self._database.write(use_case)

    async def resend(self, project_id: str, message_id: str) -> Message:
        """Give a message that ended badly another attempt, and return it.

        It may be sent twice if it was `uncertain`: that is for the caller to decide. Raises
        NotFoundError, and ConflictError while it is on its way, arrived, or has expired.
        """

        async def use_case(tx: Transaction) -> Message:
            message = await _lock_own(tx, project_id, message_id)
            now = self._clock()
            late = message.expires_at is not None and message.expires_at <= now
            if message.status not in RESENDABLE or late:
                word = "expired" if late else message.status
                raise ConflictError(
                    f"The message is {word} and cannot be sent again.", code="not_resendable"
                )
            queued = requeue(message, now)
            await message_rows.save_progress(tx, [queued])
            self._wakeups.wake_after_commit(tx, [queued])
            return queued

        return await self._database.write(use_case)

    async def _ask_back(self, tx: Transaction, message: Message, now: datetime) -> None:
        attempt = await outbox_rows.find_current_attempt(tx, message)
        device = None
        if attempt is not None and message.status in ASKED_BACK:
            device = await device_rows.find_device(tx, message.project_id, attempt.device_id)
        if attempt is None or device is None or not self._states.current(device).takes_commands:
            raise ConflictError(
                f"The message is {message.status} and cannot be taken back.",
                code="not_cancellable",
            )
        lease_until = now + LEASE_POLICIES[device.protocol].first
        await outbox_rows.ask_back(tx, attempt.wire_id, now=now, lease_until=lease_until)
        self._wakeups.wake_after_commit_queue(tx, Route(device_id=device.id).key(device.project_id))

    async def _stick(self, tx: Transaction, message: Message, now: datetime) -> Message:
        """Let a contact hear from the device that last talked with them, while it is there."""
        if message.route.device_id is not None or message.status is not Status.QUEUED:
            return message
        last = await message_rows.find_last_device(tx, message.project_id, message.contact_key)
        device = await device_rows.find_device(tx, message.project_id, last) if last else None
        if device is None or device.paused or not self._states.is_online(device):
            return message
        if message.queue not in served_queues(device):
            return message
        return prefer(message, device.id, now + PREFERRED_FOR)


@dataclass(frozen=True, slots=True)
class _Setting:
    """What a draft is checked against."""

    project: Project
    devices: dict[str, Device]
    now: datetime


async def _lock_own(tx: Transaction, project_id: str, message_id: str) -> Message:
    locked = await message_rows.lock_messages(tx, [message_id])
    message = locked.get(message_id)
    if message is None or message.project_id != project_id:
        raise NotFoundError("There is no such message.")
    return message


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
        project_id=setting.project.id,
        direction=Direction.OUTBOUND,
        type=MessageType.SMS,
        status=Status.SCHEDULED if waits else Status.QUEUED,
        text=draft.text,
        created_at=now,
        updated_at=now,
        to_number=draft.to,
        to_e164=to_e164(draft.to, setting.project.region),
        encoding=size.encoding,
        segments=size.segments,
        route=draft.route,
        priority=draft.priority,
        send_at=draft.send_at,
        due_at=draft.send_at,
        queue=draft.route.key(setting.project.id),
        contact_key=contact_key(draft.to, setting.project.region),
        expires_at=draft.expires_at,
        max_attempts=draft.max_attempts,
        if_uncertain=draft.if_uncertain or setting.project.if_uncertain,
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
