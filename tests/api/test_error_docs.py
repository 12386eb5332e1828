"""docs/errors.md against the code: every code is in it, with its status, and none that is not."""

import re
from pathlib import Path

from tests.api.problem_codes import list_field_codes, list_problems

DOCS = (Path(__file__).parent.parent.parent / "docs" / "errors.md").read_text("utf-8")
PROBLEMS, FIELDS = DOCS.split("## Refused fields")


def test_every_problem_is_explained() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| \S.* \| \S.* \|$", PROBLEMS, re.MULTILINE)
    told = [(int(status), code) for status, code in rows]
    assert told == sorted(set(told))
    assert set(told) == list_problems()
    assert len(told) == PROBLEMS.count("\n| ") - 1


def test_every_code_of_a_field_is_explained() -> None:
    told = re.findall(r"^\| `(\w+)` \| \S.* \|$", FIELDS, re.MULTILINE)
    assert told == ["code", *sorted(list_field_codes())]
