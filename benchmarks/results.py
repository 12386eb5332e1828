"""Results as people read them: on the screen, and in RESULTS.md, where each part has its place."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"

_HEAD = """# Results

Written by `make bench` and `python -m benchmarks … --record`; each part names its command and its
machine. A ratio is that of two programs measured in turns within one run: the median of its rounds,
and in brackets the lowest and the highest. Absolute figures do not carry over to another machine,
nor to another hour.
"""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line: what is wanted, what was measured, and whether that is enough (None: not asked)."""

    name: str
    measured: str
    wanted: str = ""
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one part measured. *key* names its place in RESULTS.md."""

    key: str
    title: str
    command: str
    figures: Sequence[Figure]
    notes: Sequence[str] = field(default_factory=tuple)


def render(part: Part, facts: Sequence[str]) -> str:
    """Return *part* as Markdown."""
    lines = [f"## {part.title}", "", f"`{part.command}`", ""]
    lines += [f"- {fact}" for fact in facts]
    lines += ["", "| what | wanted | measured | met |", "|---|---|---|---|"]
    lines += [
        f"| {item.name} | {item.wanted} | {item.measured} | {_verdict(item.met)} |"
        for item in part.figures
    ]
    for note in part.notes:
        lines += ["", note]
    return "\n".join(lines) + "\n"


def record(part: Part, facts: Sequence[str]) -> None:
    """Put *part* into RESULTS.md, in the place of what was measured of it before."""
    text = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else _HEAD
    begin, end = f"<!-- {part.key} -->", f"<!-- end of {part.key} -->"
    block = f"{begin}\n{render(part, facts)}{end}\n"
    place = re.compile(f"{re.escape(begin)}\n.*{re.escape(end)}\n", re.DOTALL)
    text = place.sub(lambda _: block, text) if place.search(text) else f"{text}\n{block}"
    RESULTS.write_text(text, encoding="utf-8")


def _verdict(met: bool | None) -> str:
    return {None: "", True: "yes", False: "**no**"}[met]
