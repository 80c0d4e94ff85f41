"""Charts: made once, without data; wide tables; labelled axes."""

import json

import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from engine.ui import charts


def page_with_a_chart():
    import pyarrow as pa

    from engine.ui import charts

    at = pa.array([0, 3_600_000], pa.timestamp("ms", "UTC"))
    rows = pa.table({"at": at, "p50_ms": [4.0, None], "p95_ms": [9.0, 12.5], "p99_ms": [20.0, 30.0]})
    charts.lines(rows, charts.PERCENTILES, title="Latency", y="Duration (ms)", key="latency", note="1 hour")
    none = pa.table({"at": at, "until": at, "n_good": [0, 0]}).slice(0, 0)
    charts.bars(none, charts.BANDS[:1], title="Traffic", y="Requests", key="traffic", empty="Quiet.")


def run(script=page_with_a_chart):
    at = AppTest.from_function(script, default_timeout=30).run()
    assert not at.exception
    return at


def test_a_chart_names_its_quantity_unit_and_zone():
    (chart,) = run().get("vega_lite_chart")
    spec = json.loads(chart.proto.spec)
    assert "data" not in spec
    encoding = spec["layer"][0]["encoding"]
    assert encoding["y"]["title"] == "Duration (ms)"
    assert encoding["x"]["title"].startswith("Time (")
    assert {t["title"] for t in encoding["tooltip"]} == {"Series", "Duration (ms)", "Time", "UTC"}


def test_a_chart_without_rows_says_so_in_words():
    at = run()
    assert any("Quiet." in caption.value for caption in at.caption)


def test_the_same_rows_are_a_table_on_request():
    at = run()
    at.session_state["latency-view"] = "table"
    at.run()
    assert not at.get("vega_lite_chart")
    (table,) = at.dataframe
    assert list(table.value.columns) == ["at", "p50", "p95", "p99"]
    labels = [c["label"] for c in json.loads(table.proto.columns).values() if "label" in c]
    assert labels == ["From (UTC)", "p50 (ms)", "p95 (ms)", "p99 (ms)"]


def test_a_specification_is_made_once_per_kind_and_zone():
    make = charts.lines_spec
    assert make("UTC", charts.PERCENTILES, "ms") is make("UTC", charts.PERCENTILES, "ms")
    assert make("UTC", charts.PERCENTILES, "ms") is not make("Europe/Berlin", charts.PERCENTILES, "ms")


def test_more_series_than_can_be_told_apart_are_refused():
    many = tuple(charts.Series(f"s{i}", f"Series {i}") for i in range(8))
    with pytest.raises(ValueError, match="at most 7"):
        charts.bars_spec("UTC", many, "n")


def test_csv_has_the_names_people_read_and_times_in_utc():
    rows = pa.table({"at": pa.array([1_764_590_400_000], pa.timestamp("ms", "UTC")), "p50_ms": [4.5]})
    text = charts.csv(charts.named(rows, charts.PERCENTILES[:1])).decode()
    assert text.splitlines() == ['"at","p50"', "2025-12-01 12:00:00.000Z,4.5"]


def test_a_logarithmic_axis_has_decades_or_finer_steps_where_few_fit():
    values = charts.log_axis().to_dict()["values"]["expr"]
    assert "domain('x')" in values
    assert values.endswith("[0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0, 100000.0, 1000000.0]")
    assert "domain('y')" in charts.log_axis("y").to_dict()["values"]["expr"]
