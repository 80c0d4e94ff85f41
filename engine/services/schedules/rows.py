"""Rows of a batch from CSV or JSON text."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any

from engine import settings
from engine.errors import InvalidInput, TooLarge
from engine.services.schedules.drafts import Draft

COLUMNS = tuple(Draft.model_fields)
_PAYLOAD = "payload."
_ROWS = "schedules"


def read(data: str | bytes) -> list[dict[str, Any]]:
    """Read rows: a JSON array, `{"schedules": [...]}`, or CSV with a heading; raise InvalidInput.

    In CSV, `payload` holds JSON, and columns such as `payload.report` its fields; empty cells count as left
    out. Comma, semicolon and tab are understood, as spreadsheets write them.
    """
    if len(data) > settings.get().body_bytes:
        raise TooLarge(f"A batch has at most {settings.get().body_bytes} bytes.")
    text = _text(data)
    if text.lstrip()[:1] in ("[", "{"):
        return _read_json(text)
    return _read_csv(text)


def _text(data: str | bytes) -> str:
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"The file is not UTF-8 text: byte {error.start} is not.", code="not_text"
        ) from error
    if not text.strip():
        raise InvalidInput("There are no rows.", code="batch_size")
    return text.removeprefix("\ufeff")


def _read_json(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The rows are not JSON: {error}.", code="malformed_json") from error
    given = found if isinstance(found, dict) else {_ROWS: found}
    rows = given.get(_ROWS)
    fields = dict.fromkeys(given.keys() - {_ROWS}, "there is no such field beside the rows")
    if not isinstance(rows, list):
        fields[_ROWS] = "give an array"
    else:
        wrong = (index for index, row in enumerate(rows) if not isinstance(row, dict))
        fields |= {f"{_ROWS}.{index}": "give an object" for index in wrong}
    if fields:
        raise InvalidInput("Give an array of objects, one for each schedule.", fields=fields)
    return [dict(row) for row in rows or ()]


def _read_csv(text: str) -> list[dict[str, Any]]:
    heading = text.lstrip().splitlines()[0]
    delimiter = max(",;\t", key=heading.count)
    try:
        reader = csv.DictReader(io.StringIO(text.lstrip()), delimiter=delimiter, strict=True)
        _check_heading([name.strip() for name in reader.fieldnames or ()])
        return [_row(cells) for cells in reader]
    except csv.Error as error:
        raise InvalidInput(f"The CSV text is broken: {error}.", code="invalid_csv") from error


def _check_heading(names: list[str]) -> None:
    unknown = [name for name in names if name not in COLUMNS and not name.startswith(_PAYLOAD)]
    if unknown:
        known = ", ".join(COLUMNS)
        message = f"The first line names columns; {unknown[0][:40]!r} is none of {known}, payload.<field>."
        raise InvalidInput(message, code="invalid_csv", fields={"heading": message})


def _row(cells: Mapping[str | None, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    payload: dict[str, Any] = {}
    for name, cell in cells.items():
        if name is None:
            row["more cells than columns"] = cell  # the draft refuses it under this name
        elif cell is not None and cell.strip():
            column = name.strip()
            if column.startswith(_PAYLOAD):
                payload[column.removeprefix(_PAYLOAD)] = cell.strip()
            else:
                row[column] = _json_or_text(cell) if column == "payload" else cell.strip()
    if payload:
        given = row.get("payload")
        row["payload"] = {**(given if isinstance(given, dict) else {}), **payload}
    return row


def _json_or_text(cell: str) -> Any:
    """Read JSON; what is none stays text, which the draft refuses with a message at the column."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell
