"""Before and after, from the entry script."""

import json
from datetime import datetime

import numpy as np
import pytest

from engine import clock, lifecycle, registry
from engine.queries import performance, tasks
from engine.services import monitor
from engine.ui import comparison, shared
from engine.words import Actor, Outcome, Role
from tests.pages.conftest import texts

ADA = Actor("ada", Role.STAFF)


@pytest.fixture(autouse=True)
def _fresh():
    shared.forget()
    yield
    shared.forget()


def record(name, median_ms, n, *, ago_ms=60_000, seed=0):
    for value in np.random.default_rng(seed).lognormal(np.log(median_ms), 0.4, n):
        unit = monitor.Unit("shop", monitor.HTTP, name)
        unit.at_ms = clock.now_ms() - ago_ms
        unit.duration_us, unit.status, unit.method = int(value * 1000), 200, "GET"
        monitor.record(unit)
    monitor.flush()


def test_without_records_the_demo_is_named(browse):
    at = browse(Role.VIEWER, "before_after")
    assert not at.exception
    assert "./offload demo" in texts(at)


def test_two_routes_are_compared_with_a_verdict(browse):
    record("/slow", 3_000, 120)
    record("/fast", 20, 130)
    at = browse(Role.VIEWER, "before_after", mode="Two routes", first="GET /slow", second="GET /fast")
    assert not at.exception
    said = texts(at).replace("\\", "")
    assert "p95 fell from" in said
    assert "n = 120 and 130." in said
    assert [metric.label for metric in at.metric] == ["Mean", "Median", "p95", "p99"]
    (numbers,) = at.dataframe
    assert numbers.value["95 % interval"].tolist()[3] == "too few values"


def test_a_route_is_compared_around_a_deploy(browse):
    record("/orders", 900, 110, ago_ms=40 * 60_000)
    record("/orders", 50, 110, ago_ms=5 * 60_000)
    monitor.mark_deploy("2.0", service="shop", at_ms=clock.now_ms() - 20 * 60_000)
    at = browse(Role.VIEWER, "before_after")
    assert not at.exception
    assert "p95 fell from" in texts(at)
    assert at.selectbox(key="moment").value.startswith("shop 2.0")


def test_a_moment_of_ones_own_outside_the_period_is_refused_in_words(browse):
    record("/orders", 900, 5)
    at = browse(Role.VIEWER, "before_after")
    at.date_input(key="day").set_value("2020-01-01").run()
    assert not at.exception
    assert "outside the period" in at.error[0].value


def test_a_route_whose_name_has_spaces_is_compared_too(browse):
    record("/a b  c", 900, 40, ago_ms=40 * 60_000)
    record("/a b  c", 50, 40, ago_ms=5 * 60_000)
    at = browse(Role.VIEWER, "before_after")
    assert "n = 40 and 40" in texts(at)


def test_too_few_values_are_said_to_be_too_few(browse):
    record("/a", 900, 5)
    record("/b", 10, 5)
    at = browse(Role.VIEWER, "before_after", mode="Two routes")
    assert "Too few to tell" in texts(at)


def test_the_route_that_took_most_time_comes_first(browse):
    record("/*", 1, 120)
    record("/slow", 3_000, 120)
    at = browse(Role.VIEWER, "before_after")
    assert at.selectbox(key="around").value == "GET /slow"


def test_a_period_of_ones_own_can_be_compared(browse):
    record("/orders", 900, 40)
    at = browse(Role.VIEWER, "before_after", period="Custom")
    assert not at.exception
    assert "Too few to tell" in texts(at)
    assert not at.error


def test_a_chosen_deploy_stays_chosen_while_time_goes_on(browse, monkeypatch):
    record("/orders", 900, 40)
    for version, ago_min in (("1.0", 30), ("2.0", 10)):
        monitor.mark_deploy(version, service="shop", at_ms=clock.now_ms() - ago_min * 60_000)
    at = browse(Role.VIEWER, "before_after")
    moment = at.selectbox(key="moment")
    moment.set_value(next(option for option in moment.options if option.startswith("shop 1.0"))).run()
    later = clock.now_ms() / 1000 + 120
    monkeypatch.setattr(clock, "_wall", lambda: later)
    at.run()
    assert at.selectbox(key="moment").value.startswith("shop 1.0")


def order(at):
    at.button(key="before-after-pdf-order").click().run()
    assert not at.exception
    return at


def test_what_is_shown_is_ordered_as_a_pdf_and_followed_on_the_page(browse):
    record("/orders", 900, 110, ago_ms=40 * 60_000)
    record("/orders", 50, 120, ago_ms=5 * 60_000)
    mark_ms = clock.now_ms() - 20 * 60_000
    monitor.mark_deploy("2.0", service="shop", at_ms=mark_ms)
    at = order(browse(Role.STAFF, "before_after"))
    (task,) = tasks.page(ADA, type_name="report").items
    payload = json.loads(task.payload)
    params = payload["params"]
    assert payload["report"] == "before_after"
    assert (params["kind"], params["service"], params["route"]) == ("http", "", "GET /orders")
    assert clock.to_ms(datetime.fromisoformat(params["moment"])) == mark_ms
    start, end = (datetime.fromisoformat(params[name]) for name in ("start", "end"))
    assert (end - start).total_seconds() == 3600
    assert "**Before and after: GET /orders**" in texts(at).replace("\\", "")
    assert at.toast[0].value.startswith("Ordered.")
    assert at.button(key="before-after-pdf-order").disabled, "one at a time"
    claimed = lifecycle.claim("w", [registry.get("report")])
    ending = json.dumps({"expires_at": "2999-01-01T00:00:00.000Z"})
    lifecycle.settle(claimed, lifecycle.Ending(Outcome.SUCCEEDED, result=ending))
    at.run()
    assert [link.proto.url for link in at.get("link_button")] == [f"/api/reports/{task.id}/pdf"]
    assert not at.button(key="before-after-pdf-order").disabled
    order(at)
    assert len(tasks.page(ADA, type_name="report").items) == 2


def test_two_routes_are_ordered_as_a_pdf(browse):
    record("/slow", 3_000, 40)
    record("/fast", 20, 40)
    order(browse(Role.STAFF, "before_after", mode="Two routes", first="GET /slow", second="GET /fast"))
    (task,) = tasks.page(ADA, type_name="report").items
    params = json.loads(task.payload)["params"]
    assert (params["route"], params["replacement"], params["moment"]) == ("GET /slow", "GET /fast", None)


def test_a_viewer_reads_why_no_pdf_can_be_ordered(browse):
    record("/orders", 900, 40, ago_ms=40 * 60_000)
    record("/orders", 900, 40)
    button = browse(Role.VIEWER, "before_after").button(key="before-after-pdf-order")
    assert button.disabled
    assert button.help == "Ordering reports needs the role staff."


def test_a_refused_order_is_said_and_nothing_is_followed(browse):
    record("/slow", 3_000, 40)
    at = order(browse(Role.STAFF, "before_after", mode="Two routes", first="GET /slow"))
    assert "must be another route" in at.toast[0].value
    assert not tasks.page(ADA, type_name="report").items


def test_the_chart_can_be_taken_along_as_a_picture(data_dir):
    record("/slow", 3_000, 40)
    record("/fast", 20, 40)
    found = performance.two_routes(performance.last("1h"), ("/slow", "GET"), ("/fast", "GET"))
    svg = comparison.picture(found, "svg").decode()
    assert svg.startswith("<svg")
    assert "fell from" in svg
    assert comparison.picture(found, "png").startswith(b"\x89PNG")
