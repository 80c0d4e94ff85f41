import itertools

import numpy as np
import pytest

from engine import clock
from engine.errors import InvalidInput
from engine.lib import trace as tracing
from engine.lib.trace import Statement, Trace
from engine.queries import performance
from engine.queries.performance import Selection, hours
from engine.records import db, removal
from engine.services import monitor
from engine.services.monitor.beat import roll_forward, trim
from engine.words import SYSTEM, Actor, Role

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def rows(chart):
    return chart.table.to_pylist()


def test_figures_of_a_window_and_of_the_one_before(record):
    record(100, 200, 300, 4_000)
    record(50, status=503)
    record(1_000, 1_000, ago_ms=HOUR + 5 * MINUTE)
    found = performance.overview(performance.last("1h"))
    now, before = found.figures, found.previous
    assert (now.n, now.n_errors, before.n) == (5, 1, 2)
    assert now.error_rate == 0.2
    assert now.apdex == 3 / 5  # three good, one over 4 T, one failed (apdex.org)
    assert before.apdex == 0.5  # two tolerating
    assert now.mean_ms == pytest.approx(930)
    assert now.p50_ms == pytest.approx(np.quantile([100, 200, 300, 4_000, 50], 0.5), rel=0.011)
    assert now.p95_ms == pytest.approx(np.quantile([100, 200, 300, 4_000, 50], 0.95), rel=0.011)
    kpi = found.kpi("requests")
    assert (kpi.value, kpi.previous, kpi.change, kpi.n, kpi.n_previous) == (5, 2, 1.5, 5, 2)
    assert (found.source.n, found.source.source, found.source.capped) == (5, "minute rollups", False)


def test_the_window_before_counts_everything_though_its_minutes_are_gone(record, now):
    week = 7 * DAY
    record(10, ago_ms=week + 30 * MINUTE)
    record(20, ago_ms=week - 30 * MINUTE)
    record(30, ago_ms=week - 2 * HOUR)
    roll_forward(now)
    trim(now)  # what is older than seven days is in the hours only
    start = now - week + HOUR + 10 * MINUTE
    found = performance.overview(performance.between(start, start + 2 * HOUR))
    assert (found.figures.n, found.previous.n) == (1, 2)


def test_an_empty_window_has_no_figures_but_says_so(now):
    found = performance.overview(performance.last("24h"))
    assert (found.figures.n, found.figures.apdex, found.figures.p95_ms) == (0, None, None)
    assert [kpi.change for kpi in found.kpis] == [None] * len(found.kpis)
    for chart in (performance.heat_map, performance.distribution, performance.slowest):
        assert rows(chart(performance.last("24h"))) == []
    assert {row["n"] for row in rows(performance.bands(performance.last("24h")))} == {0}


@pytest.mark.parametrize("period", ["1h", "24h", "7d", "30d", "90d", "13mo"])
def test_every_period_counts_everything_once_rolled_up_or_not(record, now, period):
    length = performance.PERIODS[period]
    steps = [length * part // 10 for part in range(10)]
    for number, ago in enumerate(steps):
        record(10 * (number + 1), ago_ms=max(ago, MINUTE))
    expected = [10.0 * (number + 1) for number in range(10)]
    for _ in range(2):
        window = performance.last(period)
        figures = performance.figures(window.snapped())
        assert figures.n == 10
        assert figures.total_s == pytest.approx(sum(expected) / 1000)
        assert figures.p95_ms == pytest.approx(np.quantile(expected, 0.95), rel=0.011)
        assert sum(row["n"] for row in rows(performance.bands(window))) == 10
        assert sum(row["n"] for row in rows(performance.traffic(window))) == 10
        assert sum(row["n"] for row in rows(performance.heat_map(window))) == 10
        assert len(rows(performance.bands(window))) <= 210
        (route,) = rows(performance.slowest(window))
        assert (route["n"], sum(mean is not None for mean in route["spark"])) == (
            10,
            pytest.approx(10, abs=2),
        )
        while roll_forward(now):
            pass


def test_bands_are_the_percentiles_of_each_step(record):
    record(*range(1, 101))
    record(7, ago_ms=10 * MINUTE)
    table = performance.bands(performance.last("15m")).table
    filled = [row for row in table.to_pylist() if row["n"]]
    assert [row["n"] for row in filled] == [1, 100]
    assert filled[0]["p99"] == pytest.approx(7)
    for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        assert filled[1][name] == pytest.approx(np.quantile(range(1, 101), q), rel=0.011)
    assert filled[1]["mean"] == pytest.approx(50.5)
    assert filled[1]["at"].tzinfo is not None


def test_traffic_is_told_apart_by_class(record):
    record(10, 20, 600, 5_000)
    record(30, status=500)
    counted = {}
    for row in rows(performance.traffic(performance.last("15m"))):
        counted[row["class"]] = counted.get(row["class"], 0) + row["n"]
    assert counted == {"good": 2, "warning": 1, "critical": 2}


def test_heat_map_bands_hold_their_values(record):
    record(3, 3, 900)
    for row in rows(performance.heat_map(performance.last("15m"))):
        value = 3 if row["n"] == 2 else 900
        assert row["low"] < value * 1.011
        assert row["high"] > value * 0.989
        assert row["high"] / row["low"] == pytest.approx(2**0.5)


def test_distribution_adds_up_to_one(record):
    record(*np.random.default_rng(5).lognormal(4, 1, 300).tolist())
    found = rows(performance.distribution(performance.last("15m")))
    assert sum(row["share"] for row in found) == pytest.approx(1)
    assert found[-1]["cumulated"] == pytest.approx(1)
    assert all(a["high"] == pytest.approx(b["low"]) for a, b in itertools.pairwise(found))


def test_routes_are_ranked_and_the_rest_is_said_to_be_cut(record):
    record(10, 10, 10, name="/many")
    record(500, name="/slow")
    record(20, name="/bad", status=500)
    by = {
        order: rows(performance.slowest(performance.last("1h"), by=order))[0]["name"]
        for order in performance.ORDERS
    }
    assert by == {
        "total": "/slow",
        "p95": "/slow",
        "queries": "/bad",
        "errors": "/bad",
        "n": "/many",
        "mean": "/slow",
    }
    cut = performance.slowest(performance.last("1h"), limit=2)
    assert (cut.table.num_rows, cut.source.capped, cut.source.limit, cut.source.n) == (2, True, 2, 5)
    (slow,) = [row for row in rows(performance.slowest(performance.last("1h"))) if row["name"] == "/slow"]
    assert slow["share"] == pytest.approx(500 / 550)


def test_outcomes_of_a_route_are_one_route(record):
    record(10, 10, status=200)
    record(30, status=404)
    (route,) = rows(performance.slowest(performance.last("1h")))
    assert (route["n"], route["label"]) == (3, "GET /orders")


def test_a_filter_narrows_to_a_route_a_service_or_a_kind(record):
    record(10)
    record(20, 20, name="/other")
    record(30, 30, 30, service="till")
    record(40, kind="task", name="report", method="", outcome="succeeded")
    count = lambda **filters: performance.figures(performance.last("1h", **filters).snapped()).n  # noqa: E731
    assert count() == 6
    assert count(name="/other") == 2
    assert count(name="/other", method="GET") == 2
    assert count(name="/other", method="POST") == 0
    assert count(kind="task") == 1
    assert performance.kinds() == ["http", "task", "wait"]


def test_statements_are_ranked_by_their_text(record):
    work = Trace()
    work.statements["select a from t where b = 5"] = statement = Statement()
    statement.durations_ns = [2_000_000, 4_000_000]
    record(10, trace=work)
    (row,) = rows(performance.slowest(performance.last("1h", kind="query")))
    assert (row["label"], row["n"], row["mean"]) == ("select a from t where b = ?", 2, pytest.approx(3))


def test_evidence_is_the_kept_events_with_their_statements(record):
    work = Trace()
    work.statements["select 1"] = statement = Statement()
    statement.durations_ns, statement.caller = [5_000_000] * 6, "shop.py:7 orders"
    record(2_500, trace=work, correlation_id="c1", path="/orders/7")
    record(5)
    found = performance.evidence(performance.last("1h"))
    (event,) = found.events
    assert (event.keep_reason, event.band, event.heavy) == ("slow", "critical", ("repeated query",))
    assert event.detail["path"] == "/orders/7"
    (ran,) = event.statements
    assert (ran.text, ran.n, ran.total_ms, ran.caller) == ("select ?", 6, 30, "shop.py:7 orders")
    assert performance.event(event.id) == event
    assert performance.event(999) is None
    everything = performance.evidence(performance.last("1h"), reasons=("slow", "sample"), limit=1)
    assert (len(everything.events), everything.source.capped) == (1, True)


def test_a_trace_ties_a_request_to_its_operations(record, now):
    with tracing.collect() as work, tracing.operation("call", "GET feed"):
        pass
    record(80, correlation_id="c1", trace=work)
    record(30, correlation_id="c1", kind="task", name="report", method="", ago_ms=50_000)
    record(30, correlation_id="c2")
    found = performance.trace(SYSTEM, "c1")
    assert [(bar.label, bar.kind) for bar in found.bars] == [
        ("GET /orders", "http"),
        ("GET feed", "call"),
        ("report", "task"),
    ]
    assert found.bars[0].offset_ms == 0
    assert found.bars[2].offset_ms == 10_000


def test_a_trace_shows_the_attempts_of_its_tasks(now):
    add_attempt(now)
    found = performance.trace(SYSTEM, "c1")
    assert [(b.kind, b.offset_ms, b.duration_ms) for b in found.bars] == [
        ("wait", 0, 200),
        ("task", 200, 300),
    ]


def test_a_trace_shows_attempts_and_calls_once(record, now):
    """An attempt is a unit and a row of its task, a call a unit and an operation of the unit around it."""
    add_attempt(now)
    work = Trace()
    work.operations.append(tracing.Operation("call", "GET feed", 20_000, False, "", work.started_ns))
    values = {"correlation_id": "c1", "method": "", "ago_ms": -201}
    record(299, kind="task", name="report", trace=work, **values)
    record(20, kind="call", name="GET feed", **values)
    record(20, kind="call", name="GET another", **values)
    assert [(bar.label, bar.kind) for bar in performance.trace(SYSTEM, "c1").bars] == [
        ("report t1 waits", "wait"),
        ("report t1 attempt 1", "task"),
        ("GET another", "call"),
        ("GET feed", "call"),
    ]
    others = performance.trace(Actor("eve", Role.VIEWER), "c1")
    assert [bar.label for bar in others.bars] == ["report", "GET another", "GET feed"]
    assert others.tasks == []


def add_attempt(now):
    with db.main().write() as tx:
        tx.run(
            """insert into tasks (id, type, state, payload, payload_hash, owner, correlation_id,
                   created_at_ms, max_attempts)
               values ('t1', 'report', 'succeeded', '{}', '', 'ann', 'c1', :now, 3)""",
            now=now,
        )
        tx.run(
            """insert into attempts (task_id, attempt, token, worker_id, started_at_ms, finished_at_ms,
                   wait_ms, duration_ms, outcome)
               values ('t1', 1, 1, 'w', :start, :end, 200, 300, 'succeeded')""",
            start=now + 200,
            end=now + 500,
        )


def test_the_cost_of_monitoring_is_a_figure_too(record):
    record(1, 2, 3)
    found = performance.cost(performance.last("15m"))
    assert (found.n, found.n_dropped, found.n_lost, found.n_recorders, found.level) == (3, 0, 0, 1, 2)
    assert 0 <= found.share_of_cpu <= 1


def test_deploy_marks_lie_in_the_window(now):
    monitor.mark_deploy("1.0", at_ms=now - 2 * DAY)
    monitor.mark_deploy("1.1", "index", at_ms=now - MINUTE)
    assert performance.deploys(performance.last("24h")).to_pylist()[0]["version"] == "1.1"
    assert performance.deploys(performance.last("24h")).num_rows == 1


def test_a_period_that_ends_before_it_begins_is_refused():
    with pytest.raises(InvalidInput, match="ends before"):
        Selection(2, 1)
    with pytest.raises(InvalidInput, match="not a period"):
        performance.last("2 fortnights")


def test_windows_are_widened_to_whole_buckets(monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: 66 * DAY / 1000)
    window = Selection(30 * DAY + 5, 65 * DAY + 5).snapped()
    assert (window.start_ms, window.end_ms) == (30 * DAY, 65 * DAY + HOUR)
    assert (window.step_ms, window.tier_ms, window.total_tier_ms) == (6 * HOUR, HOUR, DAY)


@pytest.mark.parametrize(("age_d", "tier"), [(6, MINUTE), (8, HOUR), (390, HOUR), (400, DAY)])
def test_old_windows_are_drawn_from_what_is_still_kept(monkeypatch, age_d, tier):
    monkeypatch.setattr(clock, "_wall", lambda: age_d * DAY / 1000)
    assert Selection(0, 6 * HOUR).tier_ms == tier


def test_statistics_by_hour_for_export(record):
    record(100, 300, ago_ms=3 * HOUR)
    record(50, status=500)
    found = rows(performance.statistics(performance.last("6h")))
    assert [(row["outcome"], row["n"], row["n_errors"]) for row in found] == [("5xx", 1, 1), ("2xx", 2, 0)]
    assert found[1]["p50"] == pytest.approx(200, rel=0.011)
    assert found[1]["sum_s"] == pytest.approx(0.4)
    cut = performance.statistics(performance.last("6h"), limit=1)
    assert (cut.table.num_rows, cut.source.capped) == (1, True)
    assert performance.statistics(performance.last("15m", kind="task")).table.num_rows == 0


def test_an_hour_is_a_whole_hour_wherever_the_window_begins(record, now, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: (now + 30 * MINUTE) / 1000)
    record(10, ago_ms=-5 * MINUTE)
    record(20, ago_ms=55 * MINUTE)  # in the first of the hours, before the window begins
    record(30, ago_ms=65 * MINUTE)  # in the hour before
    found = performance.statistics(performance.last("1h"))
    assert [(row["at"].hour, row["n"]) for row in rows(found)] == [(15, 1), (14, 1)]
    assert (found.source.n, found.source.end_ms - found.source.start_ms) == (2, 2 * HOUR)


def test_counters_only_grow_whatever_is_rolled_up(record, now):
    record(10, 20, ago_ms=40 * DAY)
    record(30, ago_ms=2 * DAY)
    record(40)
    before = performance.since_ever(("http",))
    while roll_forward(now):
        pass
    ((series, after),) = performance.since_ever(("http",))
    assert series.name == "/orders"
    assert before[0][1].histogram == after.histogram
    assert after.histogram.count == 4
    record(50, ago_ms=MINUTE)
    ((_, grown),) = performance.since_ever(("http",))
    assert grown.histogram.count == 5


def test_counts_of_a_removed_series_are_not_those_of_a_younger_one(record, now):
    record(10, ago_ms=2 * DAY, service="demo", name="/old")
    while roll_forward(now):
        pass
    assert [series.name for series, _ in performance.since_ever(("http",))] == ["/old"]
    with db.metrics().write() as tx:
        removal.remove_service(tx, "demo")
    monitor.reset()
    record(30, name="/new")
    ((series, rollup),) = performance.since_ever(("http",))
    assert (series.name, rollup.histogram.count) == ("/new", 1)


def test_a_second_scrape_on_the_turn_of_the_day_does_not_disturb_the_first(record, now, monkeypatch):
    record(10, ago_ms=2 * DAY)
    while roll_forward(now):
        pass
    sums = hours._sums

    def beside_another(selection, ids, tier_ms):
        hours._base.clear()  # as another thread does that has seen the next day close
        return sums(selection, ids, tier_ms)

    monkeypatch.setattr(hours, "_sums", beside_another)
    ((_, grown),) = performance.since_ever(("http",))
    assert grown.histogram.count == 1


def test_a_route_is_found_by_what_the_pages_call_it(record):
    record(10, name="/orders")
    record(10, name="/orders", method="POST")
    record(10, name="/a  b", method="GET")
    record(10, name="GET /odd", method="")
    window = performance.last("1h")

    def found(label):
        chosen = performance.narrowed(window, label)
        return chosen and (chosen.name, chosen.method)

    assert found("GET /orders") == ("/orders", "GET")
    assert found("/orders") == ("/orders", None)
    assert found("GET /a  b") == ("/a  b", "GET")
    assert found("GET /odd") == ("GET /odd", None)
    assert [found(label) for label in ("PUT /orders", "", " ", "GET", "GET ", "*", "/Orders")] == [None] * 7


def test_a_route_nobody_recorded_brings_to_mind_those_that_are(record):
    window = performance.last("1h")
    assert performance.similar(window, "/orders") == []
    for name in ("/orders/{id}", "/invoices", "/a", "/b"):
        record(10, name=name)
    assert performance.similar(window, "GET /order/{id}") == ["GET /orders/{id}"]
    assert performance.similar(window, "zzzz") == ["GET /a", "GET /b", "GET /invoices"]
