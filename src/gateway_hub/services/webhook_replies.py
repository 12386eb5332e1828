"""Replies: an SMS that a webhook endpoint answers `message.received` with, queued to the sender."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from gateway_hub.domain.errors import NotFoundError
from gateway_hub.domain.events import EventType
from gateway_hub.domain.messages import Message, MessageDraft, Route
from gateway_hub.domain.webhooks.deliveries import FinishedAttempt, WebhookDelivery
from gateway_hub.domain.webhooks.replies import find_reply
from gateway_hub.services.backlogs import QueueFullError
from gateway_hub.services.drafts import Submission
from gateway_hub.services.outbox import Outbox
from gateway_hub.storage.transactions import Transaction


@dataclass(frozen=True, slots=True)
class SentReply:
    """The message a webhook endpoint replied with, or why its reply was not sent, or neither."""

    message_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Prepared:
    submission: Submission | None = None
    problem: str | None = None


PreparedReplies = dict[str, _Prepared]
"""By webhook delivery."""


class WebhookReplies:
    """Queues what webhook endpoints reply, through the phone that received what they reply to."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def prepare(self, finished: Iterable[FinishedAttempt]) -> PreparedReplies:
        """Return the replies in the answers to *finished*, to be sent when those are recorded."""
        prepared: PreparedReplies = {}
        for item in finished:
            if item.result.answer is None or not item.result.outcome.is_delivered:
                continue
            if item.claimed.delivery.event_type is not EventType.MESSAGE_RECEIVED:
                continue
            reply = find_reply(item.result.answer)
            if reply.problem is not None:
                prepared[item.claimed.delivery.id] = _Prepared(problem=reply.problem)
            elif reply.text is not None:
                prepared[item.claimed.delivery.id] = await self._prepare(item, reply.text)
        return prepared

    async def send(
        self, tx: Transaction, delivery: WebhookDelivery, prepared: PreparedReplies
    ) -> SentReply:
        """Queue the reply to *delivery*, which is locked, if it has one and had none before."""
        reply = prepared.get(delivery.id)
        if reply is None or delivery.reply_id is not None:
            return SentReply(delivery.reply_id)
        if reply.submission is None:
            return SentReply(problem=reply.problem)
        (result,) = await self._outbox.take(tx, reply.submission)
        if isinstance(result, Message):
            return SentReply(result.id)
        return SentReply(problem=result.detail)

    async def _prepare(self, item: FinishedAttempt, text: str) -> _Prepared:
        received: dict[str, Any] = orjson.loads(item.claimed.body)["data"]
        sender = received["from_e164"] or received["from"]
        if not sender or not received["device_id"]:
            return _Prepared(problem="there is no number to reply to")
        draft = MessageDraft(sender, text, route=Route(device_id=received["device_id"]))
        try:
            project_id = item.claimed.project_id
            return _Prepared(await self._outbox.prepare(project_id, [draft]))
        except (QueueFullError, NotFoundError) as error:
            return _Prepared(problem=error.detail)
