"""A table of text, and the limits it must keep."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.errors import InvalidInput


@dataclass(frozen=True)
class Limits:
    """What a file may not exceed."""

    max_columns: int = 200
    max_cells: int = 1_000_000
    inflated_bytes: int = 200 * 1024 * 1024


def refuse(message: str) -> InvalidInput:
    """Return the error that tells the owner what is wrong with a file."""
    return InvalidInput(message, fields={"file": message}, code="unreadable_file")


@dataclass(frozen=True)
class Table:
    """Column names, unique and not empty, and rows of as many cells. `notes` say what was assumed."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]], notes: Iterable[str], limits: Limits) -> "Table":
        """Make a table of rows of any length: the first is the head, empty rows are left out."""
        kept = _within(rows, limits)
        if not kept:
            raise refuse("The file is empty.")
        width = max(map(len, kept))
        head, *body = (tuple(row) + ("",) * (width - len(row)) for row in kept)
        if not body:
            raise refuse("The file has a head but no rows.")
        return cls(_names(head), tuple(body), tuple(notes))


def _within(rows: Iterable[Sequence[str]], limits: Limits) -> list[Sequence[str]]:
    kept: list[Sequence[str]] = []
    cells = 0
    for row in rows:
        trimmed = _trimmed(row)
        if len(trimmed) > limits.max_columns:
            raise refuse(f"The file has {len(trimmed)} columns; at most {limits.max_columns} can be read.")
        cells += len(trimmed)
        if cells > limits.max_cells:
            raise refuse(f"The file has more than {limits.max_cells:,} cells.")
        if trimmed:
            kept.append(trimmed)
    return kept


def _trimmed(row: Sequence[str]) -> Sequence[str]:
    """Drop the empty cells at the end."""
    end = len(row)
    while end and not row[end - 1].strip():
        end -= 1
    return row[:end]


def _names(head: Sequence[str]) -> tuple[str, ...]:
    """Name columns without a name by their position, and tell apart those with the same."""
    names: list[str] = []
    for position, cell in enumerate(head, 1):
        name = base = " ".join(cell.split())[:200] or f"Column {position}"
        again = 1
        while name in names:
            again += 1
            name = f"{base} ({again})"
        names.append(name)
    return tuple(names)
