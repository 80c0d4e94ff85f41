"""Read a table from a file. For child processes only: what is read was made by others."""

from pathlib import Path
from typing import Any

from engine.lib.child import Channel
from engine.lib.tables import csvfile, xlsxfile
from engine.lib.tables.numbers import style_of
from engine.lib.tables.shape import Limits, Table

_PREVIEW_ROWS = 5
_PREVIEW_CHARS = 60


def read(path: Path, kind: str, limits: Limits) -> Table:
    """Read a table whose content must be of the given kind; raise InvalidInput."""
    rows, notes = (xlsxfile.rows if kind == "xlsx" else csvfile.rows)(path, limits)
    return Table.of(rows, notes, limits)


def inspect(argument: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Read the file at `path` as `kind` within `limits`; return what its owner wants to know about it."""
    table = read(Path(argument["path"]), argument["kind"], Limits(**argument["limits"]))
    cells = zip(*table.rows, strict=True)
    return {
        "columns": list(table.columns),
        "numeric": [name for name, column in zip(table.columns, cells, strict=True) if style_of(column)],
        "n_rows": len(table.rows),
        "notes": list(table.notes),
        "preview": [[cell[:_PREVIEW_CHARS] for cell in row] for row in table.rows[:_PREVIEW_ROWS]],
    }
