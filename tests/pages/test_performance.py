"""The Performance page shows what was recorded, and what it stands on."""

import pytest

from engine.services import monitor
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
    assert len(at.get("vega_lite_chart")) == 3
    (routes,) = at.dataframe
    assert list(routes.value["label"]) == ["/orders"]


def test_the_filter_in_the_address_chooses_kind_and_route(browse):
    record(3)
    record(5, monitor.RUN, "/overview")
    at = browse(Role.VIEWER, "performance", what="Page runs")
    assert {m.label: m.value for m in at.metric}["Count"] == "5"
    at = browse(Role.VIEWER, "performance", what="HTTP requests", route="/orders")
    assert {m.label: m.value for m in at.metric}["Count"] == "3"
    assert not at.dataframe, "one route needs no table of routes"


@pytest.mark.parametrize("period", ["15 min", "24 h", "7 d", "30 d", "13 months", "nonsense"])
def test_every_period_can_be_drawn(browse, period):
    record(2)
    at = browse(Role.VIEWER, "performance", period=period)
    assert not at.exception
    assert not at.error
