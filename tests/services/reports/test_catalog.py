"""What reports there are, and which values of their forms are refused where."""

import json

import pytest

from engine import clock
from engine.errors import InvalidInput
from engine.records import db, uploads
from engine.records.uploads import Upload
from engine.services.reports import catalog
from engine.words import Actor, Role

ANNA = Actor("anna", Role.STAFF)
NOON_MS = 1_795_435_200_000  # 2026-11-23T12:00:00Z
DAY_MS = 86_400_000
UPLOAD = "a" * 32


@pytest.fixture(autouse=True)
def house(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOON_MS / 1000)


def admit(name, **params):
    with db.main().write() as tx:
        return catalog.admit(tx, ANNA, name, params)


def refused(name, **params):
    with pytest.raises(InvalidInput) as caught:
        admit(name, **params)
    return caught.value.fields


def add_upload(owner="anna", expires_at_ms=NOON_MS + 1):
    facts = {"columns": ["name", "amount"], "numeric": ["amount"], "n_rows": 2}
    upload = Upload(UPLOAD, owner, "sales.csv", "csv", 10, "", facts, NOON_MS, expires_at_ms)
    with db.main().write() as tx:
        uploads.insert(tx, upload)


def test_reports_are_found_by_their_folders_those_first_that_ask_nothing():
    names = ["performance_summary", "before_after", "table_from_file"]
    assert [report.name for report in catalog.all_types()] == names
    assert all(report.title and report.description for report in catalog.all_types())


@pytest.mark.parametrize("name", [report.name for report in catalog.all_types()])
def test_every_field_of_a_form_explains_itself(name):
    schema = catalog.get(name).form.model_json_schema()
    assert all(field["title"] and field["description"] for field in schema["properties"].values())
    assert schema["additionalProperties"] is False
    json.dumps(schema)


def test_unknown_report_names_those_that_exist():
    fields = refused("sales")
    assert "before_after, performance_summary, table_from_file" in fields["report"]


def test_period_defaults_to_the_last_24_hours_and_is_fixed_at_submit():
    params = admit("performance_summary")
    assert (params["start"], params["end"]) == ("2026-11-22T12:00:00Z", "2026-11-23T12:00:00Z")
    assert admit("performance_summary", **params) == params


def test_times_without_an_offset_are_meant_in_the_zone():
    params = admit(
        "performance_summary", zone="Europe/Berlin", start="2026-11-20T00:00", end="2026-11-21T00:00"
    )
    assert (params["start"], params["end"]) == ("2026-11-19T23:00:00Z", "2026-11-20T23:00:00Z")


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"start": "2026-11-20T00:00Z", "end": "2026-11-19T00:00Z"}, "end", "after the begin"),
        ({"start": "2026-11-20T00:00Z", "end": "2026-11-20T00:00Z"}, "end", "after the begin"),
        ({"start": "2026-11-23T12:00Z"}, "start", "in the past"),
        ({"start": "2024-11-23T12:00Z", "end": "2026-11-20T00:00Z"}, "end", "400 days"),
        ({"start": "yesterday"}, "start", "ISO 8601"),
        ({"start": 1_790_000_000}, "start", "ISO 8601"),
        ({"end": "1790000000"}, "end", "ISO 8601"),
        ({"start": "0001-01-01T00:00+14:00"}, "start", "calendar"),
        ({"end": "0001-01-01T00:00Z"}, "end", "1970 or later"),
        ({"zone": "Mars/Olympus"}, "zone", "time zone"),
        ({"zone": "../../etc/passwd"}, "zone", "time zone"),
        ({"colour": "red"}, "colour", "not permitted"),
    ],
)
def test_wrong_period_is_refused_at_its_field(params, field, words):
    fields = refused("performance_summary", **params)
    assert set(fields) == {f"params.{field}"}
    assert words in fields[f"params.{field}"]


def test_table_of_ones_own_upload_is_admitted():
    add_upload()
    params = admit(
        "table_from_file", upload_id=UPLOAD, title="  My \n sales ", sort_by="amount", totals=["amount"]
    )
    assert params["title"] == "My sales"
    assert params["columns"] == []


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"upload_id": "b" * 32}, "upload_id"),
        ({"upload_id": "../secret"}, "upload_id"),
        ({"title": ""}, "title"),
        ({"title": " \t"}, "title"),
        ({"title": "x" * 121}, "title"),
        ({"introduction": "x" * 2001}, "introduction"),
        ({"columns": ["name", "no such"]}, "columns"),
        ({"columns": ["name", "name"]}, "columns"),
        ({"sort_by": "no such"}, "sort_by"),
        ({"totals": ["name"]}, "totals"),
    ],
)
def test_wrong_table_is_refused_at_its_field(params, field):
    add_upload()
    assert set(refused("table_from_file", **{"upload_id": UPLOAD, "title": "Sales", **params})) == {
        f"params.{field}"
    }


@pytest.mark.parametrize("wrong", [{"owner": "bob"}, {"expires_at_ms": NOON_MS}])
def test_upload_of_another_person_or_past_its_time_is_as_good_as_none(wrong):
    add_upload(**wrong)
    fields = refused("table_from_file", upload_id=UPLOAD, title="Sales")
    assert fields == {
        "params.upload_id": "There is no such file of yours; files are kept for a limited time."
    }


def test_missing_field_is_named():
    assert set(refused("table_from_file")) == {"params.upload_id", "params.title"}
