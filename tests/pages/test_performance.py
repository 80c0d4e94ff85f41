"""The Performance page shows what was recorded, and what it stands on."""

from dataclasses import replace
from datetime import datetime

import pytest

from engine import clock
from engine.lib.trace import Statement, Trace
from engine.queries import findings, performance
from engine.services import monitor
from engine.ui import performance as parts
from engine.ui import shared
from engine.words import Actor, Role
from tests.pages.conftest import texts


@pytest.fixture(autouse=True)
def _fresh():
    shared.forget()
    yield
    shared.forget()


def record(n, kind=monitor.HTTP, name="/orders"):
    for _ in range(n):
        with monitor.measure(kind, name, correlation_id="c0ffee00", actor=Actor("ada", Role.STAFF)):
            pass
    monitor.flush()


def test_nothing_recorded_is_said_in_words(browse):
    at = browse(Role.VIEWER, "performance")
    assert not at.exception
    assert "Nothing was recorded for this choice" in texts(at)
    assert not at.get("vega_lite_chart")


def test_figures_say_window_count_source_and_bound(browse):
    record(12)
    at = browse(Role.VIEWER, "performance")
    assert not at.exception
    assert {m.label: m.value for m in at.metric}["Count"] == "12"
    assert "n = 12 · minute rollups · percentiles within 1.1 %" in texts(at)
    assert len(at.get("vega_lite_chart")) == 4
    (routes,) = at.dataframe
    assert list(routes.value["label"]) == ["/orders"]


def test_the_filter_in_the_address_chooses_kind_and_route(browse):
    record(3)
    record(5, monitor.RUN, "/overview")
    at = browse(Role.VIEWER, "performance", what="Page runs")
    assert {m.label: m.value for m in at.metric}["Count"] == "5"
    at = browse(Role.VIEWER, "performance", what="HTTP requests", route="/orders")
    assert {m.label: m.value for m in at.metric}["Count"] == "3"
    assert list(at.dataframe[0].value["label"]) == ["/orders"]


@pytest.mark.parametrize("period", ["15 min", "24 h", "7 d", "30 d", "13 months", "nonsense"])
def test_every_period_can_be_drawn(browse, period):
    record(2)
    at = browse(Role.VIEWER, "performance", period=period)
    assert not at.exception
    assert not at.error


def slow(name="/orders", correlation_id="c0ffee00", n_queries=6, duration_us=3_000_000):
    work = Trace()
    work.statements["select name from people where id = 1"] = statement = Statement()
    statement.durations_ns, statement.caller = [2_000_000] * n_queries, "shop.py:9 orders"
    unit = monitor.Unit("shop", monitor.HTTP, name, work)
    unit.duration_us, unit.status, unit.method = duration_us, 200, "GET"
    unit.correlation_id, unit.path = correlation_id, f"{name}/17"
    monitor.record(unit)
    monitor.flush()


def test_single_requests_say_why_they_are_kept(browse):
    slow()
    at = browse(Role.VIEWER, "performance", view="Single requests")
    assert not at.exception
    (rows,) = at.dataframe
    assert rows.value["why"].tolist() == ["slow, repeated query"]
    assert "All 1." in texts(at)


def test_what_made_a_request_heavy_is_said_instead_of_the_word(browse):
    slow(duration_us=40_000)
    at = browse(Role.VIEWER, "performance", view="Single requests")
    (rows,) = at.dataframe
    assert rows.value["why"].tolist() == ["repeated query"]


def test_without_slow_requests_good_news_is_told(browse):
    record(3)
    at = browse(Role.VIEWER, "performance", view="Single requests")
    assert "No slow, failed or heavy request" in texts(at)


def test_one_request_shows_its_facts_waterfall_and_statements(browse):
    slow()
    at = browse(Role.VIEWER, "performance", request="c0ffee00")
    assert not at.exception
    assert "GET /orders" in texts(at)
    assert "/orders/17" in texts(at).replace("\\", "")
    assert len(at.get("vega_lite_chart")) == 1
    (statements,) = at.dataframe
    assert statements.value["Statement"].tolist() == ["select name from people where id = ?"]
    assert statements.value["Called at"].tolist() == ["shop.py:9 orders"]


def test_an_unknown_request_says_how_long_they_are_kept(browse):
    at = browse(Role.VIEWER, "performance", request="unknown-1")
    assert "Nothing is kept under this id" in texts(at)


def test_a_finding_is_looked_after_by_staff(browse):
    slow()
    at = browse(Role.STAFF, "performance", view="Findings")
    assert "The same query again and again" in texts(at)
    next(button for button in at.button if button.label == "I look after it").click().run()
    (finding,) = findings.listed(states=("acknowledged",))
    assert finding.owner == "ada"
    assert [f.state for f in findings.listed(states=("open",))] == []


def test_a_viewer_reads_findings_and_changes_none(browse):
    slow()
    at = browse(Role.VIEWER, "performance", view="Findings")
    assert "The same query again and again" in texts(at)
    assert not [button for button in at.button if "fixed" in button.label]


def test_a_deploy_is_marked_and_the_price_of_monitoring_told(browse):
    record(5)
    monitor.mark_deploy("1.2")
    at = browse(Role.VIEWER, "performance")
    assert "1 deploy marked" in texts(at)
    assert "Monitoring cost" in texts(at)
    assert "nothing was dropped" in texts(at)


def test_a_window_of_ones_own_can_be_chosen(browse):
    record(4)
    at = browse(Role.VIEWER, "performance", period="Custom")
    assert not at.exception
    assert not at.error
    assert {m.label: m.value for m in at.metric}["Count"] == "4"
    start, _end = at.get("datetime_input")
    start.set_value(datetime(2020, 1, 1)).run()
    assert not at.exception
    assert "Showing the last hour." in texts(at)


def test_the_table_of_one_route_is_not_shared_with_that_of_all(data_dir, monkeypatch):
    record(3)
    record(5, name="/invoices")
    monkeypatch.setattr(clock, "elapsed", lambda: 0.0)  # within the time that answers are shared
    every = performance.last("1h")
    labels = [
        parts.slowest(replace(every, name=name), "total").table.column("label").to_pylist()
        for name in (None, "/orders", "/invoices")
    ]
    assert [sorted(found) for found in labels] == [["/invoices", "/orders"], ["/orders"], ["/invoices"]]


def test_cards_are_drawn_anew_when_a_deploy_comes(data_dir):
    record(3)
    before = parts.framed(parts.read("1h", kind="http", service=None, name=None))
    monitor.mark_deploy("1.2")
    shared.forget()
    assert parts.framed(parts.read("1h", kind="http", service=None, name=None)) != before
    assert parts.framed(parts.read("1h", kind="task", service=None, name=None)) == ()


def test_looking_finds_nothing_wrong_with_looking(browse):
    """The page is measured like any other: what it asks the database is below what it would be blamed for."""
    record(12)
    browse(Role.VIEWER, "performance")
    monitor.flush()
    assert [f.type for f in findings.listed() if f.type in ("repeated_query", "many_queries")] == []
