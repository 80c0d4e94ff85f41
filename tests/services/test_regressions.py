import numpy as np
import pytest

from engine import clock
from engine.queries import findings, performance
from engine.services import monitor, regressions
from engine.services.monitor import Unit

HOUR, DAY = 3_600_000, 86_400_000
NOW = 20_700 * DAY + 3 * HOUR + 60_000


@pytest.fixture
def record(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOW / 1000)

    def store(name, median_ms, n, *, days_ago, hour=1, seed=0):
        for value in np.random.default_rng(seed).lognormal(np.log(median_ms), 0.3, n):
            unit = Unit("shop", "http", name)
            unit.at_ms = NOW - NOW % DAY - days_ago * DAY + hour * HOUR
            unit.duration_us, unit.status, unit.method = int(value * 1000), 200, "GET"
            monitor.record(unit)
        monitor.flush()

    return store


def test_a_route_that_became_slower_is_found_and_a_steady_one_is_not(record):
    for day in range(1, 8):
        record("/slower", 100, 60, days_ago=day, seed=day)
        record("/steady", 100, 60, days_ago=day, seed=10 + day)
        record("/faster", 900, 60, days_ago=day, seed=20 + day)
    record("/slower", 180, 150, days_ago=0)
    record("/steady", 100, 150, days_ago=0, seed=5)
    record("/faster", 100, 150, days_ago=0)
    found = performance.regressions(NOW)
    assert [(r.name, r.change.direction) for r in found] == [("/slower", "rose"), ("/faster", "fell")]
    assert regressions.beat(NOW) == 1
    (finding,) = findings.listed()
    assert (finding.type, finding.name) == ("regression", "/slower")
    assert "n = 420 and 150" in finding.example


def test_only_the_same_hours_are_compared(record):
    for day in range(1, 8):
        record("/night", 100, 60, days_ago=day, hour=1, seed=day)
        record("/night", 2_000, 60, days_ago=day, hour=15, seed=day)
    record("/night", 100, 150, days_ago=0, hour=1)
    assert performance.regressions(NOW) == []


def test_too_few_values_are_no_regression(record):
    record("/rare", 100, 50, days_ago=1)
    record("/rare", 900, 50, days_ago=0)
    assert performance.regressions(NOW) == []


def test_just_after_midnight_there_is_nothing_to_compare(record):
    assert performance.regressions(NOW - NOW % DAY + 5_000) == []


def test_the_watch_looks_once_an_hour(record):
    record("/slower", 100, 300, days_ago=1)
    record("/slower", 300, 300, days_ago=0)
    assert [regressions.beat(NOW + k * HOUR // 2) for k in range(3)] == [1, 0, 1]
    (finding,) = findings.listed()
    assert finding.n == 2
