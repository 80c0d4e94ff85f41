"""Files people really send, and files meant to do harm."""

import io
import zipfile
from datetime import date, datetime

import openpyxl
import pytest

from engine.errors import InvalidInput
from engine.lib.tables import kinds, reading
from engine.lib.tables.shape import Limits

LIMITS = Limits()


@pytest.fixture
def read(tmp_path):
    def run(content, kind="csv", limits=LIMITS):
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return reading.read(path, kind, limits)

    return run


def workbook(rows, **sheets):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, more in sheets.items():
        sheet = book.create_sheet(title)
        for row in more:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def refused(read, content, kind="csv", limits=LIMITS):
    with pytest.raises(InvalidInput) as caught:
        read(content, kind, limits)
    assert caught.value.fields["file"] == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_is_found(read, delimiter):
    table = read(f"name{delimiter}amount\nAnna{delimiter}1\nBob{delimiter}2\n")
    assert table.columns == ("name", "amount")
    assert table.rows == (("Anna", "1"), ("Bob", "2"))


def test_decimal_comma_does_not_hide_the_semicolon(read):
    assert read("a;b\n1,5;2,5\n3,5;4,5\n").rows == (("1,5", "2,5"), ("3,5", "4,5"))


def test_quotes_line_breaks_and_a_byte_order_mark(read):
    table = read('\ufeffname,note\n"Doe, ""J""","two\nlines"\n')
    assert table.columns == ("name", "note")
    assert table.rows == (('Doe, "J"', "two\nlines"),)


def test_one_column_is_a_table(read):
    assert read("name\nAnna\nBob\n").rows == (("Anna",), ("Bob",))


def test_rows_of_uneven_length_are_filled_up_and_columns_named(read):
    table = read("a,,a\n1,2,3,4\n\n5\n,,,\n")
    assert table.columns == ("a", "Column 2", "a (2)", "Column 4")
    assert table.rows == (("1", "2", "3", "4"), ("5", "", "", ""))


def test_formula_like_cells_and_markup_stay_text(read):
    table = read("a,b\n=1+1,<b>x</b>\n@SUM(A1),-2+3\n")
    assert table.rows == (("=1+1", "<b>x</b>"), ("@SUM(A1)", "-2+3"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\n\n,,\n", "empty"),
        (b"a,b\n", "no rows"),
        ("a,b\n1,ü\n".encode("latin-1"), "0xFC in line 2"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"a,b\n1,\x00\n", "NUL"),
        (b"PK\x03\x04rest", "Excel file or an archive"),
        (b"%PDF-1.7", "PDF"),
        (b'a,b\n1,"' + b"x" * 140_000, "Line"),
    ],
)
def test_file_that_is_no_utf8_table_is_refused_with_the_reason(read, content, words):
    assert words in refused(read, content)


def test_limits_are_refused_with_the_number(read):
    assert "201 columns" in refused(read, ",".join("x" * 201) + "\n" + ",".join("1" * 201))
    assert len(read(",".join("x" * 200) + "\n" + ",".join("1" * 200)).columns) == 200
    assert "more than 10 cells" in refused(read, "a,b\n" + "1,2\n" * 5, limits=Limits(max_cells=10))
    assert "larger than" in refused(read, "a,b\n" * 300_000, limits=Limits(inflated_bytes=1024 * 1024))


def test_workbook_values_read_as_a_person_reads_them(read):
    rows = [
        ["name", "amount", "when", "at", "paid", "nothing"],
        ["Anna", 0.1 + 0.2, date(2026, 3, 1), datetime(2026, 3, 1, 9, 5), True, None],
        ["Bob", 1234567, None, None, False, "x"],
    ]
    table = read(workbook(rows), "xlsx")
    assert table.columns == tuple(rows[0])
    assert table.rows[0] == ("Anna", "0.3", "2026-03-01", "2026-03-01 09:05:00", "TRUE", "")
    assert table.rows[1] == ("Bob", "1234567", "", "", "FALSE", "x")


def test_formula_without_a_stored_result_is_shown_as_typed(read):
    assert read(workbook([["a"], ["=1+1"]]), "xlsx").rows == (("=1+1",),)


def test_first_sheet_is_read_and_the_others_are_mentioned(read):
    table = read(workbook([["a"], [1]], Second=[["b"], [2]], Third=[]), "xlsx")
    assert table.columns == ("a",)
    assert table.notes == ("Sheet “Sheet”; 2 other sheets left out.",)


def archive(**entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in entries.items():
            target.writestr(name.replace("__", "/"), content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\n", "not an Excel workbook"),
        (archive(**{"word__document.xml": "x"}), "not an Excel workbook"),
        (b"PK\x03\x04" + b"x" * 100, "not an Excel workbook"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 100, "password"),
        (archive(**{"xl__workbook.xml": "<workbook/>"}), "damaged"),
    ],
)
def test_file_that_is_no_workbook_is_refused_with_the_reason(read, content, words):
    assert words in refused(read, content, "xlsx")


def test_archive_that_unpacks_to_too_much_is_refused_unread(read):
    content = archive(**{"xl__workbook.xml": "x", "xl__media__big.bin": bytes(3 * 1024 * 1024)})
    assert len(content) < 10_000
    assert "larger than 2 MB" in refused(read, content, "xlsx", Limits(inflated_bytes=2 * 1024 * 1024))


def tampered(change):
    """A workbook of one column, the text of whose sheet was changed."""
    source = io.BytesIO(workbook([["a"], ["x"]]))
    file = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(file, "w") as new:
        for entry in old.infolist():
            text = old.read(entry).decode()
            new.writestr(entry.filename, change(text) if "sheet1" in entry.filename else text)
    return file.getvalue()


def test_entity_bomb_is_refused(read):
    bomb = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    content = tampered(lambda text: bomb + text.partition("?>")[2])
    assert "damaged" in refused(read, content, "xlsx")


def test_row_that_excel_does_not_have_is_refused_before_all_rows_above_it_are_made(read):
    content = tampered(
        lambda text: text.replace('"A2"', '"A99999999999"').replace('r="2"', 'r="99999999999"')
    )
    assert "below row 1,048,576" in refused(read, content, "xlsx")


@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "b.tsv"])
def test_kind_comes_from_the_ending(name):
    assert kinds.kind_of(name) == "csv"


@pytest.mark.parametrize("name", ["a.xls", "a.pdf", "a", "csv", "a.csv.exe"])
def test_other_endings_are_refused(name):
    with pytest.raises(InvalidInput):
        kinds.kind_of(name)
