"""What the log tells: each status that a message ever had on disk, once and in that order."""

from collections import defaultdict

from tests.simulation.case import Case

_TOLD = "SELECT seq, message_id, type FROM events WHERE message_id IS NOT NULL ORDER BY seq"
_OUTBOUND = "SELECT id, became FROM history WHERE kind = 'message' ORDER BY seq"
_INBOUND = "SELECT id, status FROM messages WHERE direction = 'inbound'"


def judge(case: Case) -> None:
    """Note events that are missing, told twice, or out of order."""
    had: defaultdict[str, list[str]] = defaultdict(list)
    for message_id, status in [*case.read(_OUTBOUND), *case.read(_INBOUND)]:
        had[message_id].append(f"message.{status}")
    told: defaultdict[str, list[str]] = defaultdict(list)
    for _, message_id, type_ in case.read(_TOLD):
        told[message_id].append(type_)
    for message_id in sorted(had.keys() | told.keys()):
        if had[message_id] != told[message_id]:
            case.fault("mistold", f"was {had[message_id]}, told are {told[message_id]}")
