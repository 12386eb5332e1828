"""What phones received: stored once if it was answered for, and nothing else."""

from collections import Counter

from tests.simulation.case import Case

_CONTACTS = """
SELECT CASE type WHEN 'sent' THEN to_number ELSE from_number END
  FROM messages WHERE direction = 'inbound'
"""


def judge(case: Case) -> None:
    """Note what is lost, stored twice, or stored and never received."""
    stored = Counter(row[0] for row in case.read(_CONTACTS))
    for contact in sorted(case.ledger.told - stored.keys()):
        case.fault("lost", f"the message of {contact} was answered for and is not on disk")
    for contact, count in stored.items():
        if contact not in case.ledger.received:
            case.fault("unexpected", f"a message of {contact} is stored, and nobody received it")
        if count > 1:
            case.fault("unexpected", f"the message of {contact} is stored {count} times")
    for kind, raw in case.read("SELECT kind, raw FROM quarantine"):
        case.fault("unexpected", f"put aside as {kind}: {raw}")
