"""The numbers of a period come from rollups of all tiers, each event once."""

import pytest

from engine.lib.histogram import Histogram
from engine.queries import summary
from engine.records import db, rollups
from engine.records.metrics import Series, SeriesIds
from engine.records.rollups import DAY_MS, HOUR_MS, MINUTE_MS, Rollup

START_MS = 1_795_392_000_000  # 2026-11-23T00:00:00Z


@pytest.fixture(autouse=True)
def house(data_dir):
    pass


def add(
    at_ms, *durations_us, name="/things", method="GET", service="shop", kind="http", outcome="2xx", n_errors=0
):
    series = Series(service, kind, name, method, outcome)
    rollup = Rollup(n_good=len(durations_us), n_errors=n_errors, histogram=Histogram.of(durations_us))
    minutes = {(at_ms, series): rollup, (at_ms, series.total()): rollup}
    with db.metrics().write() as tx:
        rollups.add_minutes(tx, SeriesIds(), minutes)


def roll(now_ms):
    with db.metrics().write() as tx:
        for tier in (HOUR_MS, DAY_MS):
            while rollups.roll_forward(tx, tier, now_ms):
                pass


def test_total_and_series_of_a_period():
    add(START_MS, 1000, 3000)
    add(START_MS + MINUTE_MS, 5000, n_errors=1)
    add(START_MS + HOUR_MS, 9000)
    found = summary.period("", "http", START_MS, START_MS + HOUR_MS, MINUTE_MS)
    assert (found.total.histogram.count, found.total.histogram.sum, found.total.n_errors) == (3, 9000, 1)
    assert {at: rollup.histogram.count for at, rollup in found.buckets.items()} == {
        START_MS: 2,
        START_MS + MINUTE_MS: 1,
    }


def test_sums_are_the_same_before_and_after_rolling_up():
    for hour in range(72):
        add(START_MS + hour * HOUR_MS + 5 * MINUTE_MS, 1000 * (hour + 1))
    window = (START_MS + 90 * MINUTE_MS, START_MS + 70 * HOUR_MS + 30 * MINUTE_MS)

    def read():
        period = summary.period("", "http", *window, DAY_MS)
        (part,) = summary.parts("", "http", *window)
        return period.total.histogram.to_bytes(), part.rollup.histogram.to_bytes()

    before = read()
    roll(START_MS + 71 * HOUR_MS)
    assert read() == before
    hours = range(2, 71)  # those at 02:05 to 70:05 lie within
    assert summary.period("", "http", *window, DAY_MS).total.histogram.sum == sum(
        1000 * (h + 1) for h in hours
    )


def test_parts_join_outcomes_and_come_by_the_time_they_took():
    add(START_MS, 1000, 1000, outcome="2xx")
    add(START_MS, 7000, outcome="5xx", n_errors=1)
    add(START_MS, 8000, name="/other")
    add(START_MS, 1, name="/other", method="POST")
    found = summary.parts("", "http", START_MS, START_MS + HOUR_MS)
    assert [(part.method, part.name, part.rollup.histogram.sum) for part in found] == [
        ("GET", "/things", 9000),
        ("GET", "/other", 8000),
        ("POST", "/other", 1),
    ]
    assert found[0].rollup.n_errors == 1


def test_service_and_kind_are_told_apart():
    add(START_MS, 1, service="shop")
    add(START_MS, 1, 1, service="bank")
    add(START_MS, 1, 1, 1, service="shop", kind="run")
    counts = {
        (service, kind): summary.period(
            service, kind, START_MS, START_MS + HOUR_MS, HOUR_MS
        ).total.histogram.count
        for service in ("", "shop", "bank")
        for kind in ("http", "run")
    }
    assert counts == {
        ("", "http"): 3,
        ("shop", "http"): 1,
        ("bank", "http"): 2,
        ("", "run"): 3,
        ("shop", "run"): 3,
        ("bank", "run"): 0,
    }


def test_period_is_cut_as_coarsely_as_the_marks_allow():
    start, end = START_MS - 90 * MINUTE_MS, START_MS + 2 * DAY_MS + 90 * MINUTE_MS
    marks = {HOUR_MS: START_MS + 2 * DAY_MS + HOUR_MS, DAY_MS: START_MS + DAY_MS}
    assert list(summary.spans(start, end, marks, DAY_MS)) == [
        (MINUTE_MS, start, START_MS - HOUR_MS),
        (HOUR_MS, START_MS - HOUR_MS, START_MS),
        (DAY_MS, START_MS, START_MS + DAY_MS),
        (HOUR_MS, START_MS + DAY_MS, START_MS + 2 * DAY_MS + HOUR_MS),
        (MINUTE_MS, START_MS + 2 * DAY_MS + HOUR_MS, end),
    ]
    assert list(summary.spans(start, end, {}, DAY_MS)) == [(MINUTE_MS, start, end)]


def test_dropped_events_are_counted_in_their_period():
    with db.metrics().write() as tx:
        for at, n in ((START_MS - MINUTE_MS, 1), (START_MS, 2), (START_MS + HOUR_MS, 4)):
            tx.run(
                "insert into recorder_costs values (:at, 'r', 1, :n, 0, 0, 0, 2)",
                at=at,
                n=n,
            )
    assert summary.n_dropped(START_MS, START_MS + HOUR_MS) == 2
