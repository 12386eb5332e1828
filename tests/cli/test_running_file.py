from pathlib import Path

import pytest

from gateway_hub.cli.running_file import (
    RunningFile,
    find_running_file,
    remove_running_file,
    write_running_file,
)

CONTENT = RunningFile(url="http://127.0.0.1:8080", pid=42, operator_token="token")


def test_what_is_written_is_found(tmp_path: Path) -> None:
    write_running_file(tmp_path, CONTENT)
    assert find_running_file(tmp_path) == CONTENT


def test_its_owner_alone_can_read_it(tmp_path: Path) -> None:
    write_running_file(tmp_path, CONTENT)
    assert [(item.name, item.stat().st_mode & 0o777) for item in tmp_path.iterdir()] == [
        ("running.json", 0o600)
    ]


def test_it_can_be_removed_twice(tmp_path: Path) -> None:
    write_running_file(tmp_path, CONTENT)
    remove_running_file(tmp_path)
    remove_running_file(tmp_path)
    assert find_running_file(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"url": "x", "unknown": 1}'])
def test_a_file_that_makes_no_sense_is_no_hub(tmp_path: Path, content: str) -> None:
    (tmp_path / "running.json").write_text(content)
    assert find_running_file(tmp_path) is None


def test_no_folder_is_no_hub(tmp_path: Path) -> None:
    assert find_running_file(tmp_path / "nothing") is None
