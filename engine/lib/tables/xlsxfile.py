"""Excel workbooks: the first sheet, values as Excel stored them."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import openpyxl
from defusedxml.common import DefusedXmlException
from openpyxl.utils.exceptions import InvalidFileException
from openpyxl.xml import DEFUSEDXML

from engine.lib.tables.shape import Limits, refuse

_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_ENTRIES = 10_000
_ROWS = 1_048_576
"""What a sheet can have (Excel, specifications and limits): openpyxl fills gaps of any size with rows."""
_NOT_A_WORKBOOK = "The file is not an Excel workbook (.xlsx), whatever its name says."
# What a damaged or hostile workbook makes openpyxl raise: it checks little before it reads.
_DAMAGE = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    IndexError,
    OSError,
    SyntaxError,
    zipfile.BadZipFile,
    DefusedXmlException,
    InvalidFileException,
)


def rows(path: Path, limits: Limits) -> tuple[Iterator[Sequence[str]], list[str]]:
    """Return the first sheet's rows as text, and what was assumed; raise InvalidInput."""
    assert DEFUSEDXML, "openpyxl must parse XML with defusedxml"
    _check_archive(path, limits)
    try:
        content = path.read_bytes()
        values = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        formulas = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
        first = next((sheet for sheet in values.worksheets if sheet.sheet_state == "visible"), None)
    except _DAMAGE as error:
        raise refuse(f"The workbook is damaged: {type(error).__name__}.") from error
    if first is None:
        raise refuse("The workbook has no visible sheet.")
    notes = [f"Sheet “{first.title}”" + _others(len(values.sheetnames) - 1)]
    return _cells(first, formulas[first.title]), notes


def _others(number: int) -> str:
    return f"; {number} other sheet{'s' * (number > 1)} left out." if number else "."


def _check_archive(path: Path, limits: Limits) -> None:
    """Refuse before anything is unpacked; zipfile reads no more of an entry than its stated size."""
    with path.open("rb") as file:
        if file.read(4) == _OLD_EXCEL:
            raise refuse("The file is protected by a password or in the old Excel format. Save it as .xlsx.")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError):
        raise refuse(_NOT_A_WORKBOOK) from None
    if "xl/workbook.xml" not in {entry.filename for entry in entries}:
        raise refuse(_NOT_A_WORKBOOK)
    if len(entries) > _ENTRIES or sum(entry.file_size for entry in entries) > limits.inflated_bytes:
        raise refuse(f"Unpacked, the file is larger than {limits.inflated_bytes // 1024 // 1024} MB.")


def _cells(values: Any, formulas: Any) -> Iterator[Sequence[str]]:
    """Yield rows of text; a formula whose result Excel did not store is shown as it was typed."""
    for sheet in (values, formulas):
        sheet.reset_dimensions()  # what the file claims about its size is often wrong
    try:
        both = zip(values.iter_rows(values_only=True), formulas.iter_rows(values_only=True), strict=True)
        for number, (row, typed) in enumerate(both, 1):
            if number > _ROWS:
                raise refuse(f"The sheet has a cell below row {_ROWS:,}, the last one of Excel.")
            yield [_text(typed[at] if value is None else value) for at, value in enumerate(row)]
    except _DAMAGE as error:
        raise refuse(f"The sheet is damaged: {type(error).__name__}.") from error


def _text(value: Any) -> str:
    """Write a cell's value as a person would read it."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return f"{value:.15g}"  # the digits Excel keeps: 0.1 + 0.2 is 0.3
        case datetime():
            whole = (value.hour, value.minute, value.second) == (0, 0, 0)
            return value.strftime("%Y-%m-%d" if whole else "%Y-%m-%d %H:%M:%S")
        case date() | time() | timedelta():
            return str(value)
        case _:
            return str(value)
