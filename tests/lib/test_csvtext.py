import csv
import io
from datetime import UTC, datetime

import pytest

from engine.lib import csvtext


def test_rows_come_back_as_they_were_written():
    text = csvtext.write(["a", "b"], [{"a": 'x,"y"\nz', "b": 1.5}, {"a": None, "b": [1.0, None, 2.5]}])
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ['x,"y"\nz', "1.5"], ["", "1  2.5"]]


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "\n=1", "＝1"])
def test_what_a_spreadsheet_would_run_is_text(text):
    for cell in (text, [text, "b"]):
        written = csvtext.write(["a"], [{"a": cell}])
        assert list(csv.reader(io.StringIO(written, newline="")))[1][0].startswith("'")


def test_times_are_iso_and_numbers_stay_numbers():
    written = csvtext.write(["at", "n"], [{"at": datetime(2026, 1, 2, tzinfo=UTC), "n": -5}])
    assert written.splitlines()[1] == "2026-01-02T00:00:00Z,-5"
