"""SQL in the drivers' own form, for rows so many that SQLAlchemy's own way would cost too much."""

from collections.abc import Iterable


def insert_sql(dialect: str, table: str, columns: Iterable[str]) -> str:
    """Return the statement that inserts a row: names are ours, values are bound, in that order."""
    names = list(columns)
    mark = "${}" if dialect == "postgresql" else "?"
    marks = ", ".join(mark.format(number) for number in range(1, len(names) + 1))
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of our own tables
