"""CSV for people: what a spreadsheet opens without running anything in it."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from engine import clock

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV with a head; text that a spreadsheet would run is quoted (OWASP, CSV injection).

    Times are ISO 8601, UTC as in JSON; None is an empty cell; lists are joined by blanks.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return clock.iso_of(value)
    if isinstance(value, list | tuple):
        value = " ".join(
            "" if part is None else f"{part:g}" if isinstance(part, float) else str(part) for part in value
        )
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
