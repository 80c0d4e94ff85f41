"""A performance summary shows the numbers of the Performance page, of the period asked for."""

from datetime import UTC, datetime

import pytest

from engine import clock
from engine.records import db, rollups
from engine.services import monitor
from engine.services.monitor import Unit
from engine.services.reports.performance_summary.data import gather
from engine.services.reports.performance_summary.form import Form
from engine.services.reports.performance_summary.shape import PerformanceData

NOON_MS = 1_795_435_200_000  # 2026-11-23T12:00:00Z
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@pytest.fixture(autouse=True)
def house(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOON_MS / 1000)


def record(at_ms, *durations_ms, name="/orders", service="shop", kind="http", status=200):
    for duration in durations_ms:
        unit = Unit(service, kind, name)
        unit.at_ms, unit.duration_us = at_ms, round(duration * 1000)
        unit.status, unit.failed, unit.method = status, status >= 500, "GET"
        monitor.record(unit)
    monitor.flush()


def summary(start_ms, end_ms, **values):
    start, end = (datetime.fromtimestamp(at / 1000, UTC) for at in (start_ms, end_ms))
    return PerformanceData.from_json(gather(Form(start=start, end=end, **values), "anna"))


def test_totals_series_and_routes_of_a_period_and_the_one_before():
    record(NOON_MS - 30 * MINUTE_MS, 100, 200)
    record(NOON_MS - 20 * MINUTE_MS, 700, name="/slow", status=503)
    record(NOON_MS - 90 * MINUTE_MS, 50)
    record(NOON_MS - 30 * MINUTE_MS, 10, name="/page", kind="run")
    record(NOON_MS - 30 * MINUTE_MS, 10, name="report", kind="task")
    found = summary(NOON_MS - HOUR_MS, NOON_MS)
    assert (found.requests.n, found.requests.n_failed, found.before.n) == (3, 1, 1)
    assert found.requests.p50 == pytest.approx(200, rel=0.011)
    assert found.requests.apdex == pytest.approx(2 / 3)
    assert (found.bucket_ms, len(found.buckets)) == (MINUTE_MS, 60)
    busy = {bucket.start_ms: (bucket.n, bucket.n_failed) for bucket in found.buckets if bucket.n}
    assert busy == {NOON_MS - 30 * MINUTE_MS: (2, 0), NOON_MS - 20 * MINUTE_MS: (1, 1)}
    assert found.buckets[0].p50 is None
    assert [(route.name, route.n, route.n_failed) for route in found.routes] == [
        ("/slow", 1, 1),
        ("/orders", 2, 0),
    ]
    assert [route.share for route in found.routes] == [0.7, 0.3]
    assert [page.name for page in found.pages] == ["/page"]
    assert [task.name for task in found.tasks] == ["report"]
    assert not found.has_more_routes


def test_one_service_can_be_asked_for_and_several_are_named():
    record(NOON_MS - 5 * MINUTE_MS, 100, service="shop")
    record(NOON_MS - 5 * MINUTE_MS, 100, 100, service="bank")
    every = summary(NOON_MS - HOUR_MS, NOON_MS)
    assert sorted((route.service, route.n) for route in every.routes) == [("bank", 2), ("shop", 1)]
    shop = summary(NOON_MS - HOUR_MS, NOON_MS, service="shop")
    assert shop.requests.n == 1
    assert [route.service for route in shop.routes] == [""]


def test_period_without_anything_is_empty_not_an_error():
    found = summary(NOON_MS - HOUR_MS, NOON_MS)
    assert (found.requests.n, found.requests.p95, found.routes) == (0, None, [])


def test_day_whose_minutes_are_gone_is_drawn_in_hours():
    day_ms = NOON_MS - 21 * DAY_MS - 12 * HOUR_MS
    for hour in range(24):
        record(day_ms + hour * HOUR_MS, 100)
    with db.metrics().write() as tx:
        while rollups.roll_forward(tx, HOUR_MS, NOON_MS):
            pass
        while rollups.trim(tx, MINUTE_MS, NOON_MS - 7 * DAY_MS):
            pass
    found = summary(day_ms + 10 * MINUTE_MS, day_ms + 23 * HOUR_MS + 50 * MINUTE_MS)
    assert (found.start_ms, found.end_ms, found.bucket_ms) == (day_ms, day_ms + DAY_MS, HOUR_MS)
    assert [bucket.n for bucket in found.buckets] == [1] * 24
    assert found.requests.n == 24


def test_more_routes_than_are_listed_are_mentioned():
    for number in range(25):
        record(NOON_MS - MINUTE_MS, 10 + number, name=f"/{number}")
    found = summary(NOON_MS - HOUR_MS, NOON_MS)
    assert (len(found.routes), found.has_more_routes) == (20, True)


def test_charts_begin_where_the_records_do_when_most_of_the_period_is_empty():
    record(NOON_MS - 10 * MINUTE_MS, 100)
    found = summary(NOON_MS - DAY_MS, NOON_MS)
    assert found.start_ms == NOON_MS - DAY_MS
    assert NOON_MS - 30 * MINUTE_MS <= found.drawn_from_ms <= NOON_MS - 10 * MINUTE_MS
    assert sum(bucket.n for bucket in found.buckets) == 1
