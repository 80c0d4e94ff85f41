"""Delimited text: UTF-8 only, the delimiter found by trying."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.lib.tables.shape import Limits, refuse

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
_SAMPLE_CHARS = 64 * 1024
_SAMPLE_ROWS = 50
_ZIP, _OLD_EXCEL, _PDF = b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def rows(path: Path, limits: Limits) -> tuple[Iterator[Sequence[str]], list[str]]:
    """Return the rows as text, and what was assumed; raise InvalidInput for what is not UTF-8 text."""
    if path.stat().st_size > limits.inflated_bytes:
        raise refuse(f"The file is larger than {limits.inflated_bytes // 1024 // 1024} MB.")
    text = _decode(path.read_bytes())
    delimiter = _delimiter(text[:_SAMPLE_CHARS])
    return _read(text, delimiter), [f"Columns are separated by {_DELIMITERS[delimiter]}."]


def _decode(content: bytes) -> str:
    if content.startswith((_ZIP, _OLD_EXCEL)):
        raise refuse("This is an Excel file or an archive, not text. Export it as CSV.")
    if content.startswith(_PDF):
        raise refuse("This is a PDF, not a table.")
    if content.startswith(_UTF16):
        raise refuse("The file is UTF-16. Save it as “CSV UTF-8”.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        where = f"byte 0x{content[error.start]:02X} in line {line}"
        raise refuse(f"The file is not UTF-8: {where}. Save it as “CSV UTF-8”.") from None
    if "\0" in text:
        raise refuse("The file is not text: it has NUL bytes.")
    return text


def _delimiter(sample: str) -> str:
    """Choose the delimiter that gives most rows the same number of cells, the more cells the better."""

    def score(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in _sample(sample, delimiter) if row]
        if not widths:
            return 0.0, 0
        usual = max(set(widths), key=widths.count)
        return (widths.count(usual) / len(widths) if usual > 1 else 0.0), usual

    return max(_DELIMITERS, key=score)


def _sample(sample: str, delimiter: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in csv.reader(sample.splitlines(keepends=True), delimiter=delimiter):
            found.append(row)
            if len(found) >= _SAMPLE_ROWS:
                break
    except csv.Error:
        return []
    return found


def _read(text: str, delimiter: str) -> Iterator[Sequence[str]]:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter)
    try:
        yield from reader
    except csv.Error as error:
        raise refuse(f"Line {reader.line_num} cannot be read: {error}.") from None
