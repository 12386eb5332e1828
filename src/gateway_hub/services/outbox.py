"""What backends ask for: submit, look up, list, cancel and resend messages."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from gateway_hub.domain.clock import Clock
from gateway_hub.domain.devices import LEASE_POLICIES
from gateway_hub.domain.errors import (
    ConflictError,
    HubError,
    NotFoundError,
    TagLimitedError,
)
from gateway_hub.domain.ids import new_id
from gateway_hub.domain.lifecycle import ASKED_BACK, CANCELLABLE, RESENDABLE, Status
from gateway_hub.domain.messages import (
    Attachment,
    Attempt,
    Message,
    MessageDetails,
    MessageDraft,
    MessageFilter,
)
from gateway_hub.domain.reporting import move, requeue
from gateway_hub.services.backlogs import Backlogs
from gateway_hub.services.device_states import DeviceStates
from gateway_hub.services.directory import Directory
from gateway_hub.services.drafts import Drafts, Submission, compose_all, find_routed_devices
from gateway_hub.services.idempotency import Once, begin, end, only_once
from gateway_hub.services.sticky_senders import stick
from gateway_hub.services.tag_limits import is_within
from gateway_hub.services.wakeups import Wakeups
from gateway_hub.storage import attempts as attempt_rows
from gateway_hub.storage import devices as device_rows
from gateway_hub.storage import messages as message_rows
from gateway_hub.storage import reports as report_rows
from gateway_hub.storage.database import Database
from gateway_hub.storage.messages import NewMessage
from gateway_hub.storage.transactions import Transaction


class Callbacks(Protocol):
    """Whoever tells callers how their messages fare."""

    async def check_callbacks(
        self, project_id: str, callbacks: Iterable[str | None]
    ) -> dict[str, str | HubError]:
        """Return by URL how each of *callbacks* is kept, or why it cannot be one."""


class Outbox:
    """The messages of every project."""

    def __init__(
        self,
        database: Database,
        directory: Directory,
        states: DeviceStates,
        *,
        wakeups: Wakeups,
        clock: Clock,
        backlogs: Backlogs | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        self._database = database
        self._directory = directory
        self._states = states
        self._wakeups = wakeups
        self._clock = clock
        self._backlogs = backlogs
        self._callbacks = callbacks

    async def submit(
        self,
        project_id: str,
        draft: MessageDraft,
        once: Once[list[Message | HubError]] | None = None,
        *,
        tag: str | None = None,
    ) -> Message:
        """Store *draft* as a message to be sent and return it.

        *tag*: what the caller is limited to, here and below. Raises InvalidInputError for a draft
        no phone could send, TagLimitedError, QueueFullError, and AnsweredBeforeError for what
        *once* was done for.
        """
        result = (await self.submit_batch(project_id, [draft], once, tag=tag))[0]
        if isinstance(result, HubError):
            raise result
        return result

    async def submit_batch(
        self,
        project_id: str,
        drafts: Sequence[MessageDraft],
        once: Once[list[Message | HubError]] | None = None,
        *,
        tag: str | None = None,
    ) -> list[Message | HubError]:
        """Store the good ones of *drafts*; return for each, in order, its message or its error.

        Raises QueueFullError, and AnsweredBeforeError for what *once* was done for.
        """
        submission = await self.prepare(project_id, drafts, once, tag=tag)
        result = await self._database.write_together(self._submit, submission, weight=len(drafts))
        if isinstance(result, Exception):
            raise result
        return result

    async def prepare(
        self,
        project_id: str,
        drafts: Sequence[MessageDraft],
        once: Once[list[Message | HubError]] | None = None,
        *,
        tag: str | None = None,
    ) -> Submission:
        """Return *drafts* as they are to be taken. Raises NotFoundError and QueueFullError."""
        project = await self._directory.find_project(project_id)
        if project is None:
            raise NotFoundError("There is no such project.")
        wanted = tuple((new_id(), draft) for draft in drafts)
        if self._backlogs is not None:
            await self._backlogs.make_room(project_id, len(drafts))
        wanted, refused = await self._check_callbacks(project_id, wanted)
        return Submission(project, wanted, self._clock(), tag, once, refused)

    async def _check_callbacks(
        self, project_id: str, wanted: Drafts
    ) -> tuple[Drafts, dict[str, HubError]]:
        """Return *wanted* with their callbacks as they are kept, and why one cannot be kept."""
        if self._callbacks is None or all(draft.status_callback is None for _, draft in wanted):
            return wanted, {}
        checked = await self._callbacks.check_callbacks(
            project_id, (draft.status_callback for _, draft in wanted)
        )
        kept: list[tuple[str, MessageDraft]] = []
        refused: dict[str, HubError] = {}
        for message_id, draft in wanted:
            callback = checked.get(draft.status_callback or "")
            if isinstance(callback, HubError):
                refused[message_id] = callback
                callback = None
            kept.append((message_id, replace(draft, status_callback=callback)))
        return tuple(kept), refused

    async def take(self, tx: Transaction, submission: Submission) -> list[Message | HubError]:
        """Store what *submission* asks for, in a transaction that does other things as well."""
        (results,) = await self._take(tx, [submission])
        return results

    async def _submit(
        self, tx: Transaction, submissions: Sequence[Submission]
    ) -> list[list[Message | HubError] | Exception]:
        """Take what several callers ask for; return for each what became of their drafts.

        For one that is not to be done again, that is why not.
        """
        refused = await begin(tx, (item.once for item in submissions))
        asked = [item for item in submissions if item.once not in refused]
        results = await self._take(tx, asked)
        await end(tx, ((item.once, result) for item, result in zip(asked, results, strict=True)))
        following = iter(results)
        return [
            next(following) if item.once is None or item.once not in refused else refused[item.once]
            for item in submissions
        ]

    async def _take(
        self, tx: Transaction, submissions: Sequence[Submission]
    ) -> list[list[Message | HubError]]:
        """Store what several callers ask for, and return for each what became of their drafts."""
        now = self._clock()
        devices = await find_routed_devices(tx, submissions)
        results = [compose_all(submission, devices) for submission in submissions]
        composed = [item for result in results for item in result if isinstance(item, Message)]
        sent = await stick(tx, self._states, composed, now)
        await message_rows.add_messages(tx, [NewMessage(item) for item in sent])
        self._wakeups.wake_after_commit(tx, sent)
        return results

    async def get(
        self, project_id: str, message_id: str, *, tag: str | None = None
    ) -> MessageDetails:
        """Return a message with all that belongs to it. Raises NotFoundError."""

        async def query(tx: Transaction) -> MessageDetails | None:
            message = await message_rows.find_message(tx, project_id, message_id, tag)
            if message is None:
                return None
            return MessageDetails(
                message=message,
                attachments=tuple(await message_rows.find_attachments(tx, [message_id])),
                attempts=tuple(await attempt_rows.find_attempts(tx, [message_id])),
                reports=tuple(await report_rows.find_reports(tx, message_id)),
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
            tries = await attempt_rows.find_attempts(tx, ids)
            return [_details(message, parts, tries) for message in found]

        return await self._database.read(query)

    async def get_attachment(
        self, project_id: str, attachment_id: str, *, tag: str | None = None
    ) -> Attachment:
        """Return what is known of an attachment. Raises NotFoundError."""

        async def query(tx: Transaction) -> Attachment | None:
            return await message_rows.find_attachment(tx, project_id, attachment_id, tag)

        attachment = await self._database.read(query)
        if attachment is None:
            raise NotFoundError("There is no such attachment.")
        return attachment

    async def cancel(
        self,
        project_id: str,
        message_id: str,
        once: Once[MessageDetails] | None = None,
        *,
        tag: str | None = None,
    ) -> MessageDetails:
        """Take a message back and return it, without reports.

        At once while no phone has it. A phone that knows how is asked to give it back: then the
        message is as it was, with `cancel_requested_at`, until the phone says so or tells that it
        was sent. Raises NotFoundError, and ConflictError where only hoping would be left.
        """

        async def use_case(tx: Transaction) -> MessageDetails:
            message = await _lock_own(tx, project_id, message_id, tag)
            if message.status is Status.CANCELLED:
                return await _with_attempts(tx, message)
            now = self._clock()
            if message.status in CANCELLABLE:
                # An attempt before may have sent it: why that is not known stays to be seen.
                changed = move(message, Status.CANCELLED, now, error=message.error)
            else:
                await self._ask_back(tx, message, now)
                changed = replace(message, cancel_requested_at=now, updated_at=now)
            await message_rows.save_progress(tx, [changed])
            return await _with_attempts(tx, changed)

        return await self._database.write(only_once(use_case, once))

    async def resend(
        self,
        project_id: str,
        message_id: str,
        once: Once[MessageDetails] | None = None,
        *,
        tag: str | None = None,
    ) -> MessageDetails:
        """Give a message that ended badly another attempt, and return it without reports.

        It may be sent twice if it was `uncertain`: that is for the caller to decide. Raises
        NotFoundError, TagLimitedError, and ConflictError while it is on its way, arrived, or has
        expired.
        """
        now = self._clock()

        async def use_case(tx: Transaction) -> MessageDetails:
            message = await _lock_own(tx, project_id, message_id, tag)
            await _check_may_send(tx, message, tag)
            # Run again after a lost answer, it meets what it did itself.
            if tx.is_repeat and message.status not in RESENDABLE and message.updated_at >= now:
                return await _with_attempts(tx, message)
            late = message.expires_at is not None and message.expires_at <= now
            if message.status not in RESENDABLE or late:
                word = "expired" if late else message.status
                raise ConflictError(
                    f"The message is {word} and cannot be sent again.", code="not_resendable"
                )
            if message.route.device_id is not None and not await device_rows.find_device(
                tx, project_id, message.route.device_id
            ):
                raise ConflictError(
                    "The device that was to send it has been removed.", code="not_resendable"
                )
            queued = requeue(message, now)
            await message_rows.save_progress(tx, [queued])
            self._wakeups.wake_after_commit(tx, [queued])
            return await _with_attempts(tx, queued)

        return await self._database.write(only_once(use_case, once))

    async def _ask_back(self, tx: Transaction, message: Message, now: datetime) -> None:
        attempt = await attempt_rows.find_current_attempt(tx, message)
        device = None
        if attempt is not None and message.status in ASKED_BACK:
            device = await device_rows.find_device(tx, message.project_id, attempt.device_id)
        if attempt is None or device is None or not self._states.current(device).takes_commands:
            raise ConflictError(
                f"The message is {message.status} and cannot be taken back.",
                code="not_cancellable",
            )
        lease_until = now + LEASE_POLICIES[device.protocol].first
        await attempt_rows.ask_back(tx, attempt.wire_id, now=now, lease_until=lease_until)
        self._wakeups.wake_to_ask_back(tx, device)


async def _lock_own(tx: Transaction, project_id: str, message_id: str, tag: str | None) -> Message:
    locked = await message_rows.lock_messages(tx, [message_id])
    message = locked.get(message_id)
    if message is None or message.project_id != project_id:
        raise NotFoundError("There is no such message.")
    if tag is not None and not await message_rows.find_message(tx, project_id, message_id, tag):
        raise NotFoundError("There is no such message.")
    return message


async def _check_may_send(tx: Transaction, message: Message, tag: str | None) -> None:
    """Raise TagLimitedError if *message* would go by a route that *tag* does not reach.

    Whoever sees a message, for it went through a device of theirs, may not always send it.
    """
    if tag is None or message.route.tag == tag:
        return
    named = message.route.device_id
    device = await device_rows.find_device(tx, message.project_id, named) if named else None
    if device is None or not is_within(device, tag):
        raise TagLimitedError("The API key is limited to a tag, and the message has another route.")


async def _with_attempts(tx: Transaction, message: Message) -> MessageDetails:
    """Return an outbound message as lists show it."""
    return _details(message, (), await attempt_rows.find_attempts(tx, [message.id]))


def _details(
    message: Message, parts: Sequence[Attachment], tries: Sequence[Attempt]
) -> MessageDetails:
    return MessageDetails(
        message=message,
        attachments=tuple(part for part in parts if part.message_id == message.id),
        attempts=tuple(item for item in tries if item.message_id == message.id),
    )
