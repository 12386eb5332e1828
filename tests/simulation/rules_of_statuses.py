"""What statuses may go through, by the history of all they ever were on disk."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway_hub.domain.messages import IfUncertain
from tests.simulation.case import Case
from tests.simulation.virtual_time import START

_LADDER = ("scheduled", "queued", "dispatched", "accepted", "pending", "sent", "delivered")
_RANK = {status: rank for rank, status in enumerate(_LADDER)}
_WAITING = frozenset({"scheduled", "queued"})
_ENDED = frozenset({"failed", "uncertain", "cancelled"})
_LEAST_SHARE = 0.8
"""Of a wait, since a slow database writes down late when it began."""

_HISTORY = "SELECT at_ms, kind, id, was, became, number, attempt_status FROM history ORDER BY seq"


@dataclass(frozen=True, slots=True)
class _Move:
    """A line of the history: *was* is None at the beginning of a message or attempt.

    *attempt_status* is that of the message's attempt, or of the one before a new attempt.
    """

    at: datetime
    kind: str
    id: str
    was: str | None
    became: str
    number: int
    attempt_status: str | None


@dataclass(slots=True)
class _SoFar:
    """What the history has come to: how far each has got, and when attempts failed."""

    reached: dict[tuple[str, str], int] = field(default_factory=dict)
    failed_at: dict[tuple[str, int], datetime] = field(default_factory=dict)


def judge(case: Case) -> None:
    """Note what fell back, and attempts without a reason or before their time."""
    so_far = _SoFar()
    for at_ms, *rest in case.read(_HISTORY):
        move = _Move(START + timedelta(milliseconds=at_ms), *rest)
        if move.kind == "attempt":
            _follow_attempt(case, so_far, move)
        # A message and its first attempt have one id.
        key = move.kind, move.id
        comes_due = (move.was, move.became) == ("scheduled", "queued")
        if move.was is None:
            so_far.reached[key] = _RANK[move.became]
        elif move.kind == "message" and move.became in _WAITING and not comes_due:
            _judge_start_over(case, move)
            so_far.reached[key] = _RANK[move.became]
        elif _is_backward(move, so_far.reached[key]):
            name = case.name(move.id) if move.kind == "message" else case.name_wire(move.id)
            case.fault("backward", f"{move.kind} {name}: {move.was} to {move.became}")
        reached = so_far.reached[key]
        so_far.reached[key] = max(reached, _RANK.get(move.became, 0))


def _is_backward(move: _Move, reached: int) -> bool:
    """Say whether a move within one attempt takes back what was known.

    Good news lifts `failed`, any news `uncertain`; the other ends are for good. Only a message
    whose cancel came after an attempt may turn out to have got through.
    """
    if move.was in {"delivered", "expired"}:
        return True
    if move.was == "sent":
        return move.became != "delivered"
    if move.was == "failed" or (move.was == "cancelled" and move.kind == "message" and move.number):
        return move.became not in {"sent", "delivered"}
    if move.was == "cancelled":
        return True
    return move.became in _RANK and _RANK[move.became] < reached


def _judge_start_over(case: Case, move: _Move) -> None:
    """A message waits again only when its attempt has ended, or a person revives a cancelled."""
    revived = move.was == "cancelled" and move.attempt_status is None
    ended = move.attempt_status in _ENDED or (revived and case.ledger.resent_at[move.id])
    if move.was in {"sent", "delivered"} or not ended:
        name, status = case.name(move.id), move.attempt_status
        case.fault("backward", f"{name}: {move.was} to waiting while its attempt is {status}")


def _follow_attempt(case: Case, so_far: _SoFar, move: _Move) -> None:
    wire = case.wires[move.id]
    if move.became == "failed":
        so_far.failed_at[wire.message_id, wire.number] = move.at
    if move.was is None and wire.number > 1:
        _judge_attempt(case, move)
        if move.attempt_status == "failed":
            failed_at = so_far.failed_at.get((wire.message_id, wire.number - 1), START)
            _judge_wait(case, move, move.at - failed_at)


def _judge_attempt(case: Case, move: _Move) -> None:
    """An attempt follows a failure, or a doubt whose sender wants that, or a person's wish."""
    message, before = case.messages[case.wires[move.id].message_id], move.attempt_status
    resends = case.resends_until(message.id, move.at)
    wants_doubles = message.if_uncertain == IfUncertain.RESEND
    allowed = max(message.max_attempts, 2) if wants_doubles else message.max_attempts
    if move.number > allowed + resends:
        case.fault("sent twice", f"{case.name_wire(move.id)} is one attempt too many")
    in_doubt = before in {"uncertain", "cancelled"} and (wants_doubles or resends)
    if before != "failed" and not in_doubt:
        name = case.name_wire(move.id)
        case.fault("two holders", f"{name} begins while the one before is {before}")


def _judge_wait(case: Case, move: _Move, waited: timedelta) -> None:
    """A further attempt after a failure waits 1 minute x n^1.5, unless a person asks for it."""
    least = _LEAST_SHARE * timedelta(minutes=(move.number - 1) ** 1.5)
    if waited < least and not case.resends_until(case.wires[move.id].message_id, move.at):
        case.fault("early", f"{case.name_wire(move.id)} began {waited} after a failure")
