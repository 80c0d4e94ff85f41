import pytest

from engine import clock
from engine.services import monitor
from engine.services.monitor import Unit
from engine.words import Role

ADDRESS = "/api/performance/comparison"


def record(n, duration_ms, name, *, failed=0):
    for i in range(n):
        unit = Unit("shop", "http", name)
        unit.duration_us, unit.method = duration_ms * 1000, "GET"
        unit.failed = i < failed
        unit.status = 500 if unit.failed else 200
        monitor.record(unit)
    monitor.flush()


@pytest.fixture
def compare(people):
    viewer = people.by_token("vera", Role.VIEWER)
    return lambda **asked: viewer.get(ADDRESS, params={"period": "1h", **asked})


def test_a_route_and_its_replacement_are_compared(compare):
    record(40, 100, "/slow", failed=10)
    record(50, 10, "/quick")
    found = compare(route="GET /slow", replacement="GET /quick").json()
    assert found["direction"] == "fell"
    assert "n = 40 and 50" in found["verdict"]
    assert (found["before"]["source"]["n"], found["after"]["source"]["n"]) == (40, 50)
    assert (found["before"]["error_rate"], found["after"]["error_rate"]) == (0.25, 0)
    assert sum(band["n"] for band in found["after"]["distribution"]) == 50
    changes = {change["statistic"]: change for change in found["changes"]}
    assert changes["mean"]["before_ms"] == 100  # the sum is exact
    assert changes["mean"]["change"] == pytest.approx(-0.9)
    assert changes["p50"]["after_ms"] == pytest.approx(10, rel=0.011)
    assert (changes["p95"]["enough"], changes["p95"]["direction"]) == (False, "unknown")


def test_a_route_is_compared_with_itself_around_a_moment(compare):
    record(3, 100, "/orders")
    found = compare(route="/orders", at=clock.iso(clock.now_ms() - 60_000)).json()
    assert (found["before"]["label"], found["after"]["label"]) == ("before", "after")
    assert (found["before"]["source"]["n"], found["after"]["source"]["n"]) == (0, 3)
    assert (found["direction"], found["changes"]) == ("unknown", [])


@pytest.mark.parametrize(
    "asked, field",
    [
        ({"route": "GET /orders"}, "replacement"),
        ({"route": "GET /orders", "replacement": "GET /orders", "at": "2026-01-01T00:00:00Z"}, "at"),
        ({"route": "GET /orders", "at": "1999-01-01T00:00:00Z"}, "at"),
        ({"route": "GET /orders", "at": "yesterday"}, "at"),
        ({"route": "GET /order", "replacement": "GET /orders"}, "route"),
        ({"route": "GET /orders", "replacement": "GET /none"}, "replacement"),
        ({"replacement": "GET /orders"}, "route"),
    ],
)
def test_what_cannot_be_compared_is_named(compare, asked, field):
    record(1, 100, "/orders")
    answer = compare(**asked)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["fields"]


def test_a_misspelt_route_is_answered_with_those_there_are(compare):
    record(1, 100, "/orders")
    assert "GET /orders" in compare(route="GET /order", replacement="GET /orders").json()["error"]["message"]
