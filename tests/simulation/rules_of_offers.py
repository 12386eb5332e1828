"""When a message may be in an answer to a phone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import pairwise

from gateway_hub.domain.devices import Protocol
from gateway_hub.domain.messages import Route
from tests.simulation.case import Case
from tests.simulation.ledger import Answer, Handover

_LEASES = {Protocol.MEDIC: timedelta(minutes=5), Protocol.ENVAYA: timedelta(minutes=10)}
_ENVAYA_OFFERS = 2
_MOST_AT_ONCE = 10
_SENT = {"sent", "delivered"}
_STILL_AT_WORK = timedelta(minutes=5)
"""How long the hub may go on with a request whose phone has hung up."""


def judge(case: Case) -> None:
    """Note what was offered before its time, after its end, inside its lease, or too often."""
    given: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in case.ledger.answers:
        if len(answer.handovers) > _MOST_AT_ONCE:
            case.fault("over budget", f"{answer.phone} was offered more than it sends at once")
        for handover in answer.handovers:
            given[handover.wire_id].append(answer)
            _judge_time(case, answer, handover)
            _judge_phone(case, answer, handover)
    for wire_id, answers in given.items():
        _judge_repeats(case, wire_id, answers)
    _judge_left_out(case, given)


def _judge_time(case: Case, answer: Answer, handover: Handover) -> None:
    """The hub decided between the arrival of the request and its answer."""
    message = case.messages.get(handover.message_id)
    if message is None:
        return
    name = case.name(message.id)
    too_early = message.send_at is not None and answer.said_at < message.send_at
    if too_early and not case.resends_until(message.id, answer.said_at):
        case.fault("early", f"{name} was offered before it was to be sent")
    expires_at = message.expires_at
    if expires_at is not None and max(answer.arrived_at, handover.handed_at) >= expires_at:
        case.fault("late", f"{name} was offered after it expired")
    cancelled_at = case.ledger.cancelled_at.get(message.id)
    if cancelled_at is not None and answer.arrived_at > cancelled_at:
        case.fault("late", f"{name} was offered after its cancel was confirmed")


def _judge_phone(case: Case, answer: Answer, handover: Handover) -> None:
    """Only a phone of its route gets a message, and nothing new while it is paused."""
    submission = case.submission_of(handover.message_id)
    phone, name = case.phones[answer.phone], case.name_wire(handover.wire_id)
    route = submission.draft.route if submission else Route()
    if route.device_id not in {None, phone.device_id}:
        case.fault("unexpected", f"{name} was offered to {answer.phone}, and is another phone's")
    if route.tag is not None and route.tag not in phone.plan.tags:
        case.fault("unexpected", f"{name} was offered to {answer.phone}, without its tag")
    for pause in case.ledger.pauses[answer.phone]:
        ended = pause.until is not None and answer.said_at >= pause.until
        if handover.offers == 1 and handover.given_at > pause.since and not ended:
            case.fault("unexpected", f"{name} was given to {answer.phone} while it was paused")


def _judge_repeats(case: Case, wire_id: str, answers: list[Answer]) -> None:
    protocol = case.phones[answers[0].phone].plan.protocol
    occasions = _distinct(answers, protocol)
    name = case.name_wire(wire_id)
    for earlier, later in pairwise(occasions):
        if later.said_at - earlier.arrived_at < _LEASES[protocol]:
            case.fault("early", f"{name} was offered again inside its lease")
    if protocol is Protocol.ENVAYA and len(occasions) > _ENVAYA_OFFERS:
        case.fault("sent twice", f"{name} was offered {len(occasions)} times")


def _judge_left_out(case: Case, given: Mapping[str, list[Answer]]) -> None:
    """What is put into a phone's hands is in an answer to it, unless there was no answer.

    Nor is it to be, if another phone tells at that moment that it has sent the message.
    """
    names = {phone.device_id: name for name, phone in case.phones.items()}
    for wire_id, wire in case.wires.items():
        told = any(
            answer.arrived_at <= wire.given_at <= answer.said_at for answer in given[wire_id]
        )
        excused = any(
            item.phone == names[wire.device_id]
            and item.arrived_at <= wire.given_at <= item.ended_at + _STILL_AT_WORK
            for item in case.ledger.unanswered
        )
        sent_before = any(
            other.status in _SENT for other in case.attempts_of(wire.message_id) if other != wire
        )
        if not (told or excused or sent_before):
            name = case.name_wire(wire_id)
            case.fault("left out", f"{name} was in the hands of a phone, and no answer told of it")


def _distinct(answers: Iterable[Answer], protocol: Protocol) -> list[Answer]:
    """Return the answers but those to a request, or with a forwarded message, that came before.

    An EnvayaSMS request that is repeated has the same bytes; idle CHT polls all have.
    """
    distinct: list[Answer] = []
    for answer in answers:
        repeats = any(
            (protocol is Protocol.ENVAYA and earlier.request_body == answer.request_body)
            or set(earlier.contacts) & set(answer.contacts)
            for earlier in distinct
        )
        if not repeats:
            distinct.append(answer)
    return distinct
