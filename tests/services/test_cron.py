"""Cron previews as documents."""

from datetime import datetime

import pytest

from engine import clock
from engine.errors import InvalidInput
from engine.services import cron


def test_next_runs_has_the_shape_of_the_interface():
    found = cron.next_runs(
        {
            "expression": "30 2 * * *",
            "zone": "Europe/Berlin",
            "start": "2026-03-28T12:00:00+01:00",
            "count": "2",
        }
    )
    assert found.pop("tz_version")
    assert found == {
        "expression": "30 2 * * *",
        "zone": "Europe/Berlin",
        "runs": ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        "truncated": None,
    }


def test_defaults():
    found = cron.next_runs({"expression": "* * * * *", "zone": None})
    assert (found["zone"], len(found["runs"])) == ("UTC", 10)


@pytest.mark.parametrize("count", [1001, 10**30, "1001", "1" + "0" * 30, "000001001"])
def test_a_count_above_the_limit_is_cut_however_it_is_written(count):
    found = cron.next_runs({"expression": "* * * * *", "count": count})
    assert (len(found["runs"]), found["truncated"]) == (1000, "iterations")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, "invalid_field"),
        ({"expression": 5}, "invalid_field"),
        ({"expression": ["* * * * *"]}, "invalid_field"),
        ({"expression": "* * * * *", "zone": 1}, "invalid_field"),
        ({"expression": "* * * * *", "start": 1}, "invalid_field"),
        ({"expression": "* * * * *", "zone": "X"}, "unknown_zone"),
        ({"expression": "* * * * *", "start": "noon"}, "invalid_start"),
        ({"expression": "* * * * *", "count": 0}, "invalid_count"),
        ({"expression": "* * * * *", "count": True}, "invalid_count"),
        ({"expression": "* * * * *", "count": 2.0}, "invalid_count"),
        ({"expression": "* * * * *", "count": "٣"}, "invalid_count"),
        ({"expression": "* * * *", "zone": "X", "count": 0}, "field_count"),
    ],
)
def test_wrong_requests(request_, code):
    with pytest.raises(InvalidInput) as caught:
        cron.next_runs(request_)
    assert caught.value.code == code


def test_refusal_of_what_never_runs_says_so_both_ways():
    request = {"expression": "0 0 30 2 *", "zone": "UTC"}
    with pytest.raises(InvalidInput) as caught:
        cron.next_runs(request)
    document = cron.refusal(caught.value, request)
    assert document["error"]["code"] == "never_runs"
    assert document["error"]["position"] == 4
    assert (document["runs"], document["truncated"]) == ([], "never")


def test_other_documents():
    assert cron.validate({"expression": "@daily"})["normalised"] == "0 0 * * *"
    assert cron.describe({"expression": "@daily"})["description"] == "At 00:00"
    counted = cron.frequency({"expression": "@daily", "start": "2026-01-01"})
    assert (counted["per_year"], counted["busiest_hours"]) == (365, [0])


def at(monkeypatch, text):
    monkeypatch.setattr(clock, "_wall", datetime.fromisoformat(text).timestamp)


def test_preview_flags_what_the_clock_change_does(monkeypatch):
    at(monkeypatch, "2026-03-28T12:00:00+01:00")
    notes = [due.note for due in cron.preview("30 2 * * *", "Europe/Berlin", 3).runs]
    assert notes == ["its time is left out by the clock change, so it runs right after", "", ""]
    notes = [due.note for due in cron.preview("0 12 * * *", "Europe/Berlin", 2).runs]
    assert notes == ["first after the clocks change to UTC+0200", ""]
    at(monkeypatch, "2026-10-25T01:45:00+02:00")
    notes = [due.note for due in cron.preview("30 * * * *", "Europe/Berlin", 3).runs]
    assert notes == [
        "in the time that comes twice, first pass",
        "in the time that comes twice, second pass",
        "",
    ]


def test_preview_has_a_week_from_the_local_date(monkeypatch):
    at(monkeypatch, "2026-06-01T23:30:00+00:00")
    found = cron.preview("0 9 * * 2", "Asia/Tokyo")  # Tuesday 2 June over there
    assert found.since.isoformat() == "2026-06-02T08:30:00+09:00"
    assert [sum(row) for row in found.week] == [1, 0, 0, 0, 0, 0, 0]
    assert sum(map(sum, cron.preview("0 8 * * 2", "Asia/Tokyo").week)) == 0  # was half an hour ago
    assert found.description.startswith("At 09:00")
    assert (found.frequency.per_year, len(found.runs)) == (53, 10)


def test_a_zone_without_clock_changes_has_no_remark_about_them():
    assert "clock change" in " ".join(cron.preview("30 2 * * *", "Europe/Berlin").remarks)
    assert cron.preview("30 2 * * *", "Asia/Tokyo").remarks == []
    assert cron.validate({"expression": "30 2 * * *"})["remarks"] == []
