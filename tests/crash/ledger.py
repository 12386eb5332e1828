"""What clients were told, kept outside of the hub, and the verdict over it."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field


@dataclass
class Ledger:
    """Everything that was answered with success, by whom, and everything that was handed out."""

    submitted: set[str] = field(default_factory=set)
    """Ids of messages a backend got a 201 for."""

    forwarded: set[str] = field(default_factory=set)
    """Texts of inbound messages a phone got a success for; each text is used once."""

    parts: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the attachment of each forwarded MMS, by its text."""

    holders: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Phones that were given a message, by the message's text."""

    handed_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often a phone was given a message in answers to different requests."""

    kills: int = 0
    unanswered: int = 0


@dataclass(frozen=True)
class Verdict:
    """Counts that must be zero, with some of the culprits."""

    faults: dict[str, list[str]]

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        return not any(self.faults.values())

    def lines(self) -> list[str]:
        """Return one line for each kind of fault."""
        return [
            f"{name:<34} {len(found):>6}   {' '.join(found[:3])}".rstrip()
            for name, found in self.faults.items()
        ]


def judge(
    ledger: Ledger, outbound_ids: list[str], inbound: list[tuple[str, tuple[str, ...]]]
) -> Verdict:
    """Compare *ledger* with what the hub has: outbound ids; text and part digests of inbound."""
    stored = Counter(text for text, _ in inbound)
    digests = dict(inbound)
    held_twice = [text for text, phones in ledger.holders.items() if len(phones) > 1]
    return Verdict(
        {
            "submitted, answered 201, lost": sorted(ledger.submitted - set(outbound_ids)),
            "forwarded, answered 200, lost": sorted(ledger.forwarded - stored.keys()),
            "forwarded, stored twice": sorted(text for text, n in stored.items() if n > 1),
            "outbound id listed twice": [
                item for item, n in Counter(outbound_ids).items() if n > 1
            ],
            "MMS part lost or changed": sorted(
                text
                for text, digest in ledger.parts.items()
                if text in digests and digests[text] != (digest,)
            ),
            "offered to two phones": sorted(held_twice),
            "offered again inside the lease": sorted(
                text for (_, text), n in ledger.handed_out.items() if n > 1
            ),
        }
    )
