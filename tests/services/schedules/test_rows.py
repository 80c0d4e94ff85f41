"""Rows of a batch out of CSV and JSON."""

import pytest

from engine.errors import InvalidInput, TooLarge
from engine.services.schedules import read_rows

CSV = """name,cron,zone,type,payload,payload.size,jitter_s,note
nightly,0 2 * * *,Europe/Berlin,job,"{""size"": 3}",,60,
"every, five",*/5 * * * *,,job,,7,,two words
"""


def test_csv_rows():
    assert read_rows(CSV) == [
        {
            "name": "nightly",
            "cron": "0 2 * * *",
            "zone": "Europe/Berlin",
            "type": "job",
            "payload": {"size": 3},
            "jitter_s": "60",
        },
        {
            "name": "every, five",
            "cron": "*/5 * * * *",
            "type": "job",
            "payload": {"size": "7"},
            "note": "two words",
        },
    ]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(delimiter):
    text = f"name{delimiter}cron{delimiter}type\na{delimiter}0 1,2 * * *{delimiter}job\n"
    assert read_rows(b"\xef\xbb\xbf" + text.encode()) == [{"name": "a", "cron": "0 1,2 * * *", "type": "job"}]


def test_json_rows():
    row = {"name": "a", "cron": "@daily", "type": "job"}
    assert read_rows('[{"name": "a", "cron": "@daily", "type": "job"}]') == [row]
    assert read_rows('{"schedules": [{"name": "a", "cron": "@daily", "type": "job"}]}') == [row]


def test_broken_payload_and_extra_cells_stay_for_the_draft_to_refuse():
    assert read_rows("name,payload\na,{x\n") == [{"name": "a", "payload": "{x"}]
    (row,) = read_rows("name,cron\na,@daily,what\n")
    assert "more cells than columns" in row


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("", "batch_size"),
        ("  \n ", "batch_size"),
        (b"name\n\xff\xfe", "not_text"),
        ("[1]", "invalid_input"),
        ("{}", "invalid_input"),
        ("[", "malformed_json"),
        ("[" * 100_000, "malformed_json"),
        ("name,colour\na,red\n", "invalid_csv"),
        ('name,cron\n"a,b\n', "invalid_csv"),
    ],
)
def test_what_is_no_batch_is_refused(data, code):
    with pytest.raises(InvalidInput) as caught:
        read_rows(data)
    assert caught.value.code == code


def test_size_is_bounded():
    with pytest.raises(TooLarge):
        read_rows("x" * (1024 * 1024 + 1))


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ('{"rows": []}', {"rows", "schedules"}),
        ('{"schedules": [], "owner": "ann"}', {"owner"}),
        ('{"schedules": {}}', {"schedules"}),
        ('[{}, 1, "x"]', {"schedules.1", "schedules.2"}),
    ],
)
def test_names_what_is_no_row(data, fields):
    with pytest.raises(InvalidInput) as caught:
        read_rows(data)
    assert set(caught.value.fields) == fields
