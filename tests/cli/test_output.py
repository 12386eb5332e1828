import json

import pytest

from gateway_hub.cli.output import show_fields, show_json, show_table


def test_json_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"text": "é\u202e\n", "none": None, "list": [1, {"a": True}]}
    show_json(value)
    assert json.loads(capsys.readouterr().out) == value


def test_fields_are_aligned_and_empty_ones_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    show_fields(
        {
            "id": "1",
            "none": None,
            "paused": False,
            "tags": ["a", "b"],
            "limit": {"segments": 30},
            "attempts": [{"number": 1}],
            "hidden": {"deep": 1},
        },
        without=("hidden",),
    )
    assert capsys.readouterr().out == (
        "id                 1\n"
        "paused             no\n"
        "tags               a, b\n"
        "limit.segments     30\n"
        "attempts.1.number  1\n"
    )


def test_a_table_is_aligned_and_long_cells_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([{"id": "1", "text": "x" * 100}, {"id": "22", "text": None}], ["id", "text"])
    assert capsys.readouterr().out.splitlines() == ["ID  TEXT", "1   " + "x" * 59 + "…", "22"]


def test_an_empty_table_has_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    show_table([], ["id", "created_at"])
    assert capsys.readouterr().out == "ID  CREATED AT\n"


def test_what_strangers_wrote_cannot_command_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "\x1b[2Jgone\nforged\u202e"
    show_table([{"text": text}], ["text"])
    show_fields({"text": text})
    assert capsys.readouterr().out.splitlines() == [
        "TEXT",
        "\\x1b[2Jgone\\nforged\\u202e",
        "text  \\x1b[2Jgone\\nforged\\u202e",
    ]
