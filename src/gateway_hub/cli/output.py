"""What commands print: JSON for machines, aligned text for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from gateway_hub.ops.escaping import escape_controls

_LONGEST_CELL = 60


def show_json(value: object) -> None:
    """Print *value* as JSON."""
    import orjson

    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))


def show_fields(fields: Mapping[str, Any], *, without: Sequence[str] = ()) -> None:
    """Print one thing, a line for each field that holds something, but for those of *without*."""
    lines = [
        (name, value)
        for name, value in _flatten(fields)
        if value != "" and name.partition(".")[0] not in without
    ]
    width = max((len(name) for name, _ in lines), default=0)
    for name, value in lines:
        typer.echo(f"{name:<{width}}  {value}")


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print *columns* of *rows* under their names; a long cell is cut."""
    cells = [[_cut(_as_text(row.get(column))) for column in columns] for row in rows]
    lines = [[column.upper().replace("_", " ") for column in columns], *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(padded).rstrip())


def _flatten(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            lines += _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for number, item in enumerate(value, 1):
                lines += _flatten(item, f"{prefix}{name}.{number}.")
        else:
            lines.append((prefix + escape_controls(str(name)), _as_text(value)))
    return lines


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_as_text(item) for item in value)
    return escape_controls(str(value))


def _cut(cell: str) -> str:
    return cell if len(cell) <= _LONGEST_CELL else f"{cell[: _LONGEST_CELL - 1]}…"
