"""A comparison as a report: what its form refuses and fixes, and that its numbers are those of the page."""

import json

import numpy as np
import pytest

from engine import clock, errors
from engine.errors import InvalidInput
from engine.records import db
from engine.services import monitor
from engine.services.monitor import Unit
from engine.services.reports import catalog
from engine.services.reports.before_after.data import gather
from engine.services.reports.before_after.shape import ComparisonData
from engine.words import Actor, Role

ANNA = Actor("anna", Role.STAFF)
NOON_MS = 1_795_435_200_000  # 2026-11-23T12:00:00Z
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


@pytest.fixture(autouse=True)
def house(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOON_MS / 1000)


def record(ago_ms, *durations_ms, name="/orders", method="GET", kind="http", service="shop", n_failed=0):
    for at, duration in enumerate(durations_ms):
        unit = Unit(service, kind, name)
        unit.at_ms, unit.duration_us = NOON_MS - ago_ms, round(duration * 1000)
        unit.failed, unit.method = at < n_failed, method
        unit.status = 500 if unit.failed else 200
        monitor.record(unit)
    monitor.flush()


def mark(version, ago_ms, service="shop"):
    monitor.mark_deploy(version, service=service, at_ms=NOON_MS - ago_ms)


def admit(**params):
    with db.main().write() as tx:
        return catalog.admit(tx, ANNA, "before_after", params)


def refused(**params):
    with pytest.raises(InvalidInput) as caught:
        admit(**params)
    return {name.removeprefix("params."): text for name, text in caught.value.fields.items()}


def made(owner="anna", **params):
    form = catalog.get("before_after").parse(admit(**params))
    return ComparisonData.from_json(json.loads(json.dumps(gather(form, owner))))


def at(ago_ms):
    return clock.iso(NOON_MS - ago_ms).replace(".000Z", "Z")


def lognormal(median_ms, n, seed):
    return np.random.default_rng(seed).lognormal(np.log(median_ms), 0.4, n)


# What is fixed at submit


def test_without_a_moment_the_newest_deploy_of_the_last_day_is_meant():
    record(HOUR_MS, 10)
    mark("1.9", 5 * HOUR_MS)
    mark("2.0", 3 * HOUR_MS)
    mark("3.0", -HOUR_MS)
    params = admit(route="GET /orders")
    assert (params["start"], params["end"], params["moment"]) == (at(DAY_MS), at(0), at(3 * HOUR_MS))
    assert admit(**params) == params, "ordered again, it is the same report"


def test_without_a_deploy_the_middle_of_the_period_is_meant():
    record(HOUR_MS, 10)
    params = admit(route="GET /orders", start=at(4 * HOUR_MS))
    assert (params["start"], params["moment"], params["end"]) == (at(4 * HOUR_MS), at(2 * HOUR_MS), at(0))


def test_a_deploy_by_its_version_brings_its_period_with_it():
    record(HOUR_MS, 10)
    for ago_d in (9, 5):
        mark("2.0", ago_d * DAY_MS)
    mark("2.0", 2 * DAY_MS, service="bank")
    params = admit(route="GET /orders", service="shop", deploy="2.0")
    assert [params[n] for n in ("start", "moment", "end")] == [at(d * DAY_MS) for d in (6, 5, 4)]
    assert admit(**params) == params
    older = admit(route="GET /orders", deploy="2.0", moment=at(9 * DAY_MS))
    assert older["moment"] == at(9 * DAY_MS)


def test_a_moment_brings_a_day_on_either_side_as_far_as_there_is_one():
    record(HOUR_MS, 10)
    params = admit(route="/orders", moment=at(6 * HOUR_MS))
    assert [params[n] for n in ("start", "moment", "end")] == [at(30 * HOUR_MS), at(6 * HOUR_MS), at(0)]


def test_times_without_an_offset_are_meant_in_the_zone():
    record(HOUR_MS, 10)
    params = admit(route="/orders", zone="Asia/Kolkata", moment="2026-11-23T11:30")
    assert params["moment"] == "2026-11-23T06:00:00Z"


def test_two_routes_share_the_last_day_and_have_no_moment():
    record(HOUR_MS, 10)
    record(HOUR_MS, 10, name="/fast")
    mark("2.0", 3 * HOUR_MS)
    params = admit(route="GET /orders", replacement="GET /fast")
    assert (params["start"], params["end"], params["moment"]) == (at(DAY_MS), at(0), None)
    assert admit(**params) == params


# What is refused


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({"route": ""}, "route", "at least 1"),
        ({"route": "x" * 301}, "route", "at most 300"),
        ({"route": "GET /order"}, "route", "for example: GET /orders."),
        ({"route": "\ud83d"}, "route", "unicode"),
        ({"route": "*"}, "route", "Nothing of this name"),
        ({"kind": "task"}, "route", "Task attempts were not recorded yet."),
        ({"kind": "socket"}, "kind", "'http'"),
        ({"service": "bank"}, "service", "There are: shop."),
        ({"replacement": "GET /orders"}, "replacement", "another route"),
        ({"replacement": "GET /gone"}, "replacement", "for example: GET /orders."),
        ({"replacement": "/orders", "moment": at(HOUR_MS)}, "moment", "goes with one route"),
        ({"replacement": "/orders", "deploy": "2.0"}, "deploy", "goes with one route"),
        ({"deploy": "7.0"}, "deploy", "The newest are: 2.0."),
        ({"deploy": "2.0", "moment": at(HOUR_MS)}, "moment", "not when this version was deployed"),
        ({"moment": at(0)}, "moment", "in the past"),
        ({"moment": at(2 * HOUR_MS), "start": at(HOUR_MS)}, "moment", "23 Nov 2026, 11:00 – 12:00 (UTC)"),
        ({"moment": at(HOUR_MS), "end": at(2 * HOUR_MS)}, "end", "after the moment"),
        ({"start": at(HOUR_MS), "end": at(HOUR_MS)}, "end", "after the begin"),
        ({"start": at(HOUR_MS), "end": at(2 * HOUR_MS)}, "end", "after the begin"),
        ({"start": at(-HOUR_MS)}, "start", "in the past"),
        ({"start": at(1900 * DAY_MS)}, "start", "longer than the 1826 days that are kept"),
        ({"end": "2090-01-01T00:00Z"}, "end", "outside recorded time"),
        ({"start": "1960-01-01T00:00Z"}, "start", "1970 or later"),
        ({"moment": "noon"}, "moment", "ISO 8601 time"),
        ({"moment": "0001-01-01T00:00+14:00"}, "moment", "calendar"),
        ({"moment": "0001-01-01T00:00Z"}, "moment", "1970 or later"),
        ({"end": "0001-01-01T00:00Z"}, "end", "1970 or later"),
        ({"end": "9999-12-31T23:59-14:00"}, "end", "calendar"),
        ({"zone": "Mars/Olympus"}, "zone", "time zone"),
        ({"colour": "red"}, "colour", "not permitted"),
    ],
)
def test_a_wrong_value_is_refused_at_its_field(params, field, words):
    record(HOUR_MS, 10)
    mark("2.0", 3 * HOUR_MS)
    fields = refused(**{"route": "GET /orders", **params})
    assert set(fields) == {field}
    assert words in fields[field]


def test_both_unknown_routes_are_named_at_once():
    assert set(refused(route="GET /a", replacement="GET /b")) == {"route", "replacement"}


# What it shows


def test_around_a_moment_the_numbers_are_those_of_the_raw_values():
    slow, fast = lognormal(4_000, 400, 1), lognormal(60, 600, 2)
    record(3 * HOUR_MS, *slow, n_failed=8)
    record(HOUR_MS, *fast)
    record(HOUR_MS, *lognormal(9, 50, 3), name="/other")
    mark("2.0", 2 * HOUR_MS)
    found = made(route="GET /orders", deploy="2.0")
    assert (found.moment_ms, found.deploys, found.owner) == (NOON_MS - 2 * HOUR_MS, ["shop 2.0"], "anna")
    assert (found.before.n, found.before.n_failed, found.after.n, found.after.n_failed) == (400, 8, 600, 0)
    assert (found.before.start_ms, found.before.end_ms) == (NOON_MS - 26 * HOUR_MS, found.moment_ms)
    assert (found.after.start_ms, found.after.end_ms) == (found.moment_ms, NOON_MS)
    exact = {
        "mean": (slow.mean(), fast.mean()),
        **{f"p{q}": (np.percentile(slow, q), np.percentile(fast, q)) for q in (50, 95, 99)},
    }
    for statistic in found.statistics:
        before, after = exact[statistic.name]
        assert statistic.before_ms == pytest.approx(before, rel=0.011)
        assert statistic.after_ms == pytest.approx(after, rel=0.011)
        assert statistic.change == pytest.approx(statistic.after_ms / statistic.before_ms - 1)
        assert statistic.low < after / before - 1 < statistic.high
    directions = {s.name: (s.direction, s.least_n) for s in found.statistics}
    assert directions == {
        "mean": ("fell", 30),
        "p50": ("fell", 30),
        "p95": ("fell", 100),
        "p99": ("unknown", 500),
    }
    assert found.verdict.startswith("p95 fell from ")
    assert found.verdict.endswith("n = 400 and 600.")
    for side, values in ((found.before, slow), (found.after, fast)):
        assert sum(share for _, _, share in side.bands) == pytest.approx(1)
        assert side.bands[0][0] < values.min() <= side.bands[0][1]
        assert side.bands[-1][0] < values.max() <= side.bands[-1][1]
    assert (found.before.source, found.replicates) == ("minute rollups", 1000)


def test_two_routes_are_compared_over_the_same_window():
    record(HOUR_MS, *[400] * 40, name="/slow")
    record(HOUR_MS, *[20] * 50, name="/fast", method="POST")
    found = made(route="GET /slow", replacement="POST /fast", zone="Europe/Berlin")
    assert (found.before.route, found.after.route, found.moment_ms) == ("GET /slow", "POST /fast", None)
    assert (found.before.n, found.after.n, found.zone) == (40, 50, "Europe/Berlin")
    assert (found.before.start_ms, found.after.start_ms) == (NOON_MS - DAY_MS,) * 2
    (median,) = (s for s in found.statistics if s.name == "p50")
    assert (median.before_ms, median.after_ms, median.change) == (400, 20, pytest.approx(-0.95))


def test_a_name_alone_means_all_its_methods_and_a_service_only_its_own():
    for method in ("GET", "POST"):
        record(HOUR_MS, 10, method=method)
        record(HOUR_MS, 10, 10, method=method, service="bank")
    assert made(route="/orders", start=at(4 * HOUR_MS)).after.n == 6
    assert made(route="POST /orders", start=at(4 * HOUR_MS), service="bank").after.n == 2


def test_tasks_are_compared_as_well():
    record(3 * HOUR_MS, 10, name="report", method="", kind="task")
    found = made(route="report", kind="task", start=at(4 * HOUR_MS))
    assert (found.kind, found.before.n, found.after.n) == ("task", 1, 0)


def test_an_empty_side_and_too_few_values_are_unknown():
    record(HOUR_MS, *[10] * 5)
    found = made(route="GET /orders", moment=at(2 * HOUR_MS))
    assert (found.before.n, found.before.bands, found.statistics) == (0, [], [])
    assert found.direction == "unknown"
    few = made(route="GET /orders", moment=at(HOUR_MS + MINUTE_MS // 2), start=at(2 * HOUR_MS))
    assert few.verdict == "Too few to tell: n = 0 and 5; at least 30 on each side are needed."


def test_a_route_that_is_forgotten_meanwhile_ends_the_task_for_good():
    record(HOUR_MS, 10)
    form = catalog.get("before_after").parse(admit(route="GET /orders"))
    with db.metrics().write() as tx:
        tx.run("delete from series")
    with pytest.raises(errors.PermanentFailure, match="not kept any more"):
        gather(form, "anna")


def test_it_says_which_comparison_it_is():
    report = catalog.get("before_after")
    assert report.describe({"route": "GET /a"}) == "Before and after: GET /a"
    assert report.describe({"route": "GET /a", "replacement": "/b"}) == "Before and after: GET /a against /b"
    assert report.describe({}) == "Before and after: "
