"""What phones may take from answers: each message once, and no more than they may send."""

from collections import Counter, defaultdict
from datetime import timedelta
from itertools import pairwise

from gateway_hub.domain.devices import Protocol, SendLimit
from gateway_hub.domain.messages import IfUncertain
from tests.simulation.case import Case
from tests.simulation.ledger import Handover, Take
from tests.simulation.rules_of_ends import DEFAULT_LIMITS

_ENVAYA_REMEMBERS = 100


def judge(case: Case) -> None:
    """Note what was taken twice or by two phones, and budgets that were exceeded."""
    _judge_doubles(case)
    _judge_holders(case)
    _judge_budgets(case)
    _explain_doubles(case)


def _judge_doubles(case: Case) -> None:
    """A phone takes a wire id once, unless its app has forgotten it."""
    taken: defaultdict[str, list[Take]] = defaultdict(list)
    for take in case.ledger.takes:
        taken[take.handover.wire_id].append(take)
    for wire_id, takes in taken.items():
        for earlier, later in pairwise(takes):
            if not _had_forgotten(case, earlier, later):
                case.fault("sent twice", f"{case.name_wire(wire_id)} was taken twice")


def _had_forgotten(case: Case, earlier: Take, later: Take) -> bool:
    """Say whether an EnvayaSMS lost its memory between its first offer and its only repeat.

    It keeps what it sent in memory, and only the last hundred. The hub asks it once, after ten
    minutes of silence, since most such silences are lost answers: this is the one double that is
    excused, and no other phone has it.
    """
    phone = case.phones[later.phone]
    restarted = any(earlier.at <= at <= later.at for at in phone.restarts)
    since = [sent for sent in phone.air if earlier.at <= sent.at <= later.at]
    forgot = restarted or len(since) >= _ENVAYA_REMEMBERS
    return phone.plan.protocol is Protocol.ENVAYA and forgot


def _judge_holders(case: Case) -> None:
    """Nobody gets what another phone still tries to send, unless its sender wants that."""
    for take, others in case.ledger.held_when_taken:
        message = case.messages[take.handover.message_id]
        wanted = message.if_uncertain == IfUncertain.RESEND
        if not wanted and not case.resends_until(message.id, take.at):
            name = case.name_wire(take.handover.wire_id)
            case.fault("two holders", f"{take.phone} takes {name}, and {others} still tries")


def _judge_budgets(case: Case) -> None:
    """No phone takes more segments in any window than it may send in it."""
    by_phone: defaultdict[str, list[Handover]] = defaultdict(list)
    for take in case.ledger.takes:
        by_phone[take.phone].append(take.handover)
    for name, handovers in by_phone.items():
        plan = case.phones[name].plan
        limit = plan.send_limit or DEFAULT_LIMITS[plan.protocol]
        most = _most_in_a_window(handovers, limit)
        if most > limit.segments:
            case.fault("over budget", f"{name} got {most} of {limit.segments} segments")


def _most_in_a_window(handovers: list[Handover], limit: SendLimit) -> int:
    """Return the most segments in one window; a single message that is larger goes out alone.

    What an app had forgotten and was handed again counts once there: the hub cannot know of it.
    """
    window = timedelta(seconds=limit.seconds)
    most = 0
    for last in handovers:
        inside = {
            item.wire_id: item.segments
            for item in handovers
            if last.handed_at - window < item.handed_at <= last.handed_at
        }
        if len(inside) > 1:
            most = max(most, sum(inside.values()))
    return most


def _explain_doubles(case: Case) -> None:
    """Count what left more than once by the reason: none of them is the hub's guess."""
    takes = Counter(take.handover.wire_id for take in case.ledger.takes)
    again = case.ledger.sent_again
    for sent in case.air.values():
        by_wire = Counter(sms.wire_id or "" for sms in sent)
        for wire_id, times in by_wire.items():
            forgot = min(times, takes[wire_id]) - 1
            again["EnvayaSMS had forgotten it"] += forgot
            again["the app tried again by itself"] += times - 1 - forgot
        again["a further attempt"] += max(0, len(by_wire) - 1)
