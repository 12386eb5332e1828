"""What an outbound message waits for: why it is where it is, and until when."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from gateway_hub.domain.devices import LEASE_POLICIES, Protocol
from gateway_hub.domain.lifecycle import Status
from gateway_hub.domain.messages import Attempt, Message
from gateway_hub.domain.silence import SILENCE_LIMITS


class WaitReason(StrEnum):
    """What has to happen next."""

    SEND_AT = "send_at"
    RETRY_AT = "retry_at"
    PREFERRED_DEVICE = "preferred_device"
    NO_DEVICE = "no_device"
    DEVICES_PAUSED = "devices_paused"
    DEVICES_OFFLINE = "devices_offline"
    BUDGET = "budget"
    RECIPIENTS = "recipients"
    TURN = "turn"
    PHONE_REPORT = "phone_report"
    CANCEL_CONFIRMATION = "cancel_confirmation"
    DELIVERY_REPORT = "delivery_report"


@dataclass(frozen=True, slots=True)
class WaitingFor:
    """Why a message waits, in words for people too.

    *until* something happens at the latest; room in a budget there is then at the earliest.
    """

    reason: WaitReason
    detail: str
    until: datetime | None = None


def explain_scheduled(message: Message) -> WaitingFor:
    """Return what a scheduled message waits for."""
    if message.attempt_count:
        detail = "The attempt before failed; the next one may begin then."
        return WaitingFor(WaitReason.RETRY_AT, detail, message.due_at)
    return WaitingFor(WaitReason.SEND_AT, "It is not to be sent before.", message.due_at)


def explain_held(attempt: Attempt, protocol: Protocol, now: datetime) -> WaitingFor | None:
    """Return what a message waits for that a phone was given in *attempt*; None: nothing."""
    if attempt.status is Status.SENT and protocol is Protocol.MEDIC:
        detail = "It reached the recipient's network; not every network tells whether it arrived."
        return WaitingFor(WaitReason.DELIVERY_REPORT, detail)
    asked_at = attempt.cancel_requested_at
    if asked_at is not None and attempt.status in {Status.DISPATCHED, Status.ACCEPTED}:
        return _explain_asked_back(attempt, protocol, asked_at)
    if attempt.status is Status.DISPATCHED:
        return _explain_lease(attempt, now)
    if attempt.status in {Status.ACCEPTED, Status.PENDING}:
        return _explain_work(attempt, protocol)
    return None


def _explain_asked_back(attempt: Attempt, protocol: Protocol, asked_at: datetime) -> WaitingFor:
    if attempt.status is Status.DISPATCHED:
        detail = "The phone was asked to give it back, and has until then to say so."
        until = asked_at + LEASE_POLICIES[protocol].first
    else:
        detail = "The phone tries to send it, and is asked to give it back whenever it asks."
        until = attempt.last_sign_at + SILENCE_LIMITS[protocol]
    return WaitingFor(WaitReason.CANCEL_CONFIRMATION, detail, until)


def _explain_work(attempt: Attempt, protocol: Protocol) -> WaitingFor:
    until = attempt.last_sign_at + SILENCE_LIMITS[protocol]
    if attempt.last_failed_at is not None:
        detail = "The phone tries again by itself; without a word until then it has failed."
    else:
        detail = "The phone works on it; after that time without a word nobody knows its fate."
    return WaitingFor(WaitReason.PHONE_REPORT, detail, until)


def _explain_lease(attempt: Attempt, now: datetime) -> WaitingFor:
    if now < attempt.lease_until:
        detail = "The phone was given it, and has until then to say a word of it."
        return WaitingFor(WaitReason.PHONE_REPORT, detail, attempt.lease_until)
    detail = "The phone was given it and said no word of it; when it asks next, it is told again."
    return WaitingFor(WaitReason.PHONE_REPORT, detail)
