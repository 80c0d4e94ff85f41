"""From an uploaded file to its page. Runs in the child process, where the file is also read."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.lib.tables.numbers import CONTINENTAL, Style, style_of
from engine.lib.tables.reading import read
from engine.lib.tables.shape import Limits, Table
from engine.services.reports import wording
from engine.services.reports.page import Page, draw
from engine.services.reports.table_from_file import layout
from engine.services.reports.table_from_file.layout import Column

_TILE_TOTALS = 4
_MOST_DECIMALS = 4


def compose(data: dict[str, Any]) -> Page:
    """Return the pages of the report."""
    table = read(Path(data["path"]), data["kind"], Limits(inflated_bytes=data["inflated_bytes"]))
    form = data["form"]
    styles = [style_of(cells) for cells in zip(*table.rows, strict=True)]
    totals = {name: _total(table, styles, name) for name in form["totals"]}
    rows = _sorted(table, styles, form["sort_by"], form["descending"])
    chosen = [table.columns.index(name) for name in form["columns"] or table.columns]
    rows = rows[: layout.shown_rows(len(rows), len(chosen))]
    decimals = [_decimals(table, styles[at], at) for at in range(len(styles))]
    picked = [[_cell(row[at], styles[at], decimals[at]) for at in chosen] for row in rows]
    columns = [
        _column(table.columns[at], [row[i] for row in picked], styles[at], totals.get(table.columns[at], ""))
        for i, at in enumerate(chosen)
    ]
    paper, groups = layout.sheets(columns)
    values = _values(data, table, columns, totals, len(picked))
    values["tables"] = [_part(columns, picked, group) for group in groups]
    values["is_wide"] = paper == layout.LANDSCAPE_MM
    return draw(
        Path(__file__).parent,
        values,
        about_pages=layout.about_pages(paper, len(groups), len(picked)),
        tagged=len(picked) * len(chosen) <= layout.TAGGED_CELLS,
    )


def _total(table: Table, styles: Sequence[Style | None], name: str) -> str:
    at = table.columns.index(name)
    style = styles[at]
    if style is None:
        return ""
    total = sum((style.parse(row[at]) for row in table.rows if row[at].strip()), Decimal(0))
    return (CONTINENTAL if CONTINENTAL in styles else style).write(total)  # one way of writing in one table


def _sorted(
    table: Table, styles: Sequence[Style | None], name: str | None, descending: bool
) -> Sequence[tuple[str, ...]]:
    """Sort numbers by value and text without regard to case; empty cells come last either way."""
    if name is None:
        return table.rows
    at = table.columns.index(name)
    style = styles[at]
    filled = [row for row in table.rows if row[at].strip()]
    empty = [row for row in table.rows if not row[at].strip()]
    if style:
        filled.sort(key=lambda row: style.parse(row[at]), reverse=descending)
    else:
        filled.sort(key=lambda row: row[at].strip().casefold(), reverse=descending)
    return filled + empty


def _column(name: str, cells: Sequence[str], style: Style | None, total: str) -> Column:
    wanted = [*cells, total] if total else cells
    return Column(name, style is not None, layout.width_mm(name, wanted, is_number=style is not None), total)


def _part(columns: Sequence[Column], rows: Sequence[Sequence[str]], group: Sequence[int]) -> dict[str, Any]:
    """Return one printed table: its columns with their shares of the width, and its rows."""
    mine = [columns[at] for at in group]
    whole = sum(column.width_mm for column in mine)
    return {
        "columns": [{"it": column, "share": round(column.width_mm / whole * 100, 3)} for column in mine],
        "has_total": any(column.total for column in mine),
        "rows": [[row[at] for at in group] for row in rows],
        "first": group[1] + 1 if len(group) > 1 else 1,
        "last": group[-1] + 1,
    }


def _decimals(table: Table, style: Style | None, at: int) -> int:
    """Return the most digits after the point in a column of numbers; 0 if they are too many to line up."""
    if style is None:
        return 0
    most = max(len(row[at].strip().partition(style.point)[2]) for row in table.rows)
    exponents = any("e" in row[at].lower() for row in table.rows)
    return 0 if exponents or most > _MOST_DECIMALS else most


def _cell(text: str, style: Style | None, decimals: int) -> str:
    """Return a cell as printed: numbers of one column with as many digits after the point, long text cut."""
    if style and decimals and text.strip():
        whole, _, part = text.strip().partition(style.point)
        return f"{whole}{style.point}{part.ljust(decimals, '0')}"
    return text if len(text) <= layout.CELL_CHARS else text[: layout.CELL_CHARS - 1] + "…"


def _values(
    data: dict[str, Any], table: Table, columns: Sequence[Column], totals: dict[str, str], n_shown: int
) -> dict[str, Any]:
    form, n_rows = data["form"], len(table.rows)
    tiles = [("Rows", wording.count(n_rows)), ("Columns", _columns_tile(len(columns), len(table.columns)))]
    return {
        "title": form["title"],
        "period_line": f"{wording.count(n_rows)} rows from {data['filename']}",
        "made_line": f"Made {wording.moment(data['made_at_ms'], form['zone'])} ({form['zone']}).",
        "source_line": f"Source: {data['filename']}",
        "introduction": [part for part in form["introduction"].split("\n") if part.strip()],
        "tiles": tiles + [(f"Total {name}", total) for name, total in list(totals.items())[:_TILE_TOTALS]],
        "n_shown": n_shown,
        "n_rows": n_rows,
        "n_columns": len(columns),
        "order": _order(form["sort_by"], form["descending"]),
        "totals": totals,
        "notes": table.notes,
        "cell_chars": layout.CELL_CHARS,
    }


def _order(name: str | None, descending: bool) -> str:
    return (
        f"sorted by {name}, {'downwards' if descending else 'upwards'}"
        if name
        else "in the order of the file"
    )


def _columns_tile(shown: int, all_columns: int) -> str:
    return str(shown) if shown == all_columns else f"{shown} of {all_columns}"
