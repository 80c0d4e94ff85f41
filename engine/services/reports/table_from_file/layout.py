"""Fit a table of text onto paper: which rows, which columns beside each other, how wide."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

PORTRAIT_MM, LANDSCAPE_MM = 178, 265
MAX_ROWS = 2_000
MAX_CELLS = 20_000
"""Cells in one report: rendering takes about 20 kB and 0.5 ms for each, and the limit is 1 GiB."""
TAGGED_CELLS = 4_000
"""Cells up to which the file is tagged for screen readers; above, it would be three times as large."""
CELL_CHARS = 300
_ROWS_A_PAGE = {PORTRAIT_MM: 42, LANDSCAPE_MM: 26}
_CHAR_MM, _PADDING_MM = 1.42, 3.0
_LEAST_CHARS, _MOST_CHARS = 4, 34


@dataclass(frozen=True)
class Column:
    """One column of the sheet to print."""

    name: str
    is_number: bool
    width_mm: float
    total: str = ""


def shown_rows(n_rows: int, n_columns: int) -> int:
    """Return how many rows are printed."""
    return min(n_rows, MAX_ROWS, max(1, MAX_CELLS // max(1, n_columns)))


def width_mm(name: str, cells: Sequence[str], *, is_number: bool) -> float:
    """Return the width a column wants: numbers in full, text so that nine cells of ten fit on one line."""
    lengths = sorted(len(cell) for cell in cells) or [0]
    wanted = lengths[-1] if is_number else lengths[int((len(lengths) - 1) * 0.9)]
    longest_word = max((len(word) for word in name.split()), default=0)
    return min(_MOST_CHARS, max(_LEAST_CHARS, wanted, min(longest_word, 16))) * _CHAR_MM + _PADDING_MM


def sheets(columns: Sequence[Column]) -> tuple[int, list[list[int]]]:
    """Return the width of the paper and, for each table, the positions of its columns.

    What does not fit beside each other continues in a further table, which repeats the first column.
    """
    whole = sum(column.width_mm for column in columns)
    paper = PORTRAIT_MM if whole <= PORTRAIT_MM else LANDSCAPE_MM
    groups: list[list[int]] = [[0]]
    room = paper - columns[0].width_mm
    for at, column in enumerate(columns[1:], 1):
        if column.width_mm > room and len(groups[-1]) > 1:
            groups.append([0])
            room = paper - columns[0].width_mm
        groups[-1].append(at)
        room -= column.width_mm
    return paper, groups


def about_pages(paper: int, n_tables: int, n_rows: int) -> int:
    """Guess the number of pages, for the progress."""
    return max(1, n_tables * ceil(n_rows / _ROWS_A_PAGE[paper]))
