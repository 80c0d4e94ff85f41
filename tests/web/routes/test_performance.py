import csv
import io

import pytest

from engine import clock
from engine.records import db
from engine.services import monitor
from engine.services.monitor import Unit
from engine.words import Role


def record(*durations_ms, name="/orders", status=200, trace=None, correlation_id=""):
    for duration in durations_ms:
        unit = Unit("shop", "http", name, trace)
        unit.duration_us, unit.status, unit.method = duration * 1000, status, "GET"
        unit.failed, unit.correlation_id = status >= 500, correlation_id
        monitor.record(unit)
    monitor.flush()


@pytest.fixture
def viewer(people):
    return people.by_token("vera", Role.VIEWER)


def test_overview_says_window_count_and_source(viewer):
    record(100, 300)
    answer = viewer.get("/api/performance/overview?period=1h&service=shop").json()
    assert answer["source"]["n"] == 2
    assert answer["source"]["source"] == "minute rollups"
    assert not answer["source"]["capped"]
    assert {item["key"]: item["value"] for item in answer["items"]}["requests"] == 2
    assert answer["source"]["start"].endswith("Z")


def test_the_error_rate_is_in_its_unit(viewer):
    record(100, 300, 500)
    record(100, status=500)
    answer = viewer.get("/api/performance/overview?period=1h&service=shop").json()
    (item,) = (item for item in answer["items"] if item["key"] == "error_rate")
    assert (item["unit"], item["value"], item["previous"]) == ("%", 25.0, None)
    assert answer["figures"]["error_rate"] == 0.25


@pytest.mark.parametrize("chart", ["bands", "traffic", "heat-map", "distribution"])
def test_every_chart_is_there_as_json_and_csv(viewer, chart):
    record(100, 300)
    address = f"/api/performance/charts/{chart}?period=1h&service=shop"
    items = viewer.get(address).json()["items"]
    written = viewer.get(f"{address}&format=csv")
    assert sum(item["n"] for item in items) == 2
    assert written.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(written.text)))
    assert [row.get("at") for row in rows] == [item.get("at") for item in items]


def test_slowest_hours_and_evidence(viewer):
    record(100, name="/a")
    record(3_000, name="/b", correlation_id="order-12345678")
    assert [r["name"] for r in viewer.get("/api/performance/slowest?service=shop").json()["items"]] == [
        "/b",
        "/a",
    ]
    assert len(viewer.get("/api/performance/hours?service=shop").json()["items"]) == 2
    (event,) = viewer.get("/api/performance/evidence?service=shop").json()["items"]
    assert (event["keep_reason"], event["name"]) == ("slow", "/b")
    traced = viewer.get("/api/performance/traces/order-12345678").json()
    assert [bar["label"] for bar in traced["bars"]] == ["GET /b"]
    assert traced["tasks"] == []
    assert viewer.get("/api/performance/traces/unknown-000").status_code == 404
    assert viewer.get("/api/performance/cost").json()["n_dropped"] == 0


@pytest.mark.parametrize(
    "query",
    [
        "period=forever",
        "start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z",
        "start=2026-01-02T00:00:00",
        "period=1h&start=2026-01-02T00:00:00Z",
        "end=2026-01-02T00:00:00Z",
        "limit=0",
        "by=luck",
        "kind=requests",
        "start=1970-01-01T00:00:00Z&end=9999-01-01T00:00:00Z",
        "start=2026-01-01T00:00:00Z&end=9999-12-31T23:59:59Z",
        "start=1960-01-01T00:00:00Z&end=1960-01-02T00:00:00Z",
    ],
)
def test_bad_windows_are_refused(viewer, query):
    assert viewer.get(f"/api/performance/slowest?{query}").status_code in (400, 422)


def test_an_unknown_chart_is_not_found(viewer):
    assert viewer.get("/api/performance/charts/pie").status_code == 404


def test_performance_needs_a_session(people):
    assert people.client().get("/api/performance/overview").status_code == 401
    assert people.client().get("/metrics").status_code == 401


def test_findings_are_acknowledged_by_staff_and_audited(people, viewer):
    unit = Unit("shop", "http", "/big")
    unit.status, unit.response_bytes = 200, 2_000_000
    monitor.record(unit)
    monitor.flush()
    (finding,) = viewer.get("/api/performance/findings").json()["items"]
    assert finding["title"] == "An answer over 1 MB"
    address = f"/api/performance/findings/{finding['id']}"
    assert viewer.post(address, json={"state": "acknowledged"}).status_code == 403
    staff = people.by_token("sam", Role.STAFF)
    changed = staff.post(address, json={"state": "acknowledged", "owner": "sam", "note": "paging"}).json()
    assert (changed["state"], changed["owner"], changed["note"]) == ("acknowledged", "sam", "paging")
    assert viewer.get("/api/performance/findings").json() == {"items": [], "counts": {"acknowledged": 1}}
    actions = db.main().read("select action from audit where actor = 'sam' order by id")
    assert [row["action"] for row in actions][-2:] == ["finding.acknowledged", "finding.describe"]
    assert staff.post(address, json={"state": "muted", "note": "no end"}).status_code in (400, 422)
    assert staff.get("/api/performance/findings?state=acknowledged").json()["items"][0]["note"] != "no end"
    until = clock.iso(clock.now_ms() + 60_000)
    assert staff.post(address, json={"state": "muted", "muted_until": until}).json()["muted_until"] == until
    assert staff.post("/api/performance/findings/none", json={"state": "fixed"}).status_code == 404


def test_targets_are_set_by_ops(people, viewer):
    ops = people.by_token("olga", Role.OPS)
    assert viewer.put("/api/performance/targets", json={"pattern": "/a*", "target_ms": 5}).status_code == 403
    assert ops.put("/api/performance/targets", json={"pattern": "/a*", "target_ms": 5}).status_code == 200
    assert viewer.get("/api/performance/targets").json()["items"] == [{"pattern": "/a*", "target_ms": 5}]
    assert ops.put("/api/performance/targets", json={"pattern": "/a*"}).status_code == 200
    assert ops.put("/api/performance/targets", json={"pattern": "/a*"}).status_code == 404
    for wrong in ({"pattern": ""}, {"pattern": "/a\0"}, {"target_ms": True}, {"target_ms": "5"}):
        body = {"pattern": "/a*", "target_ms": 5} | wrong
        assert ops.put("/api/performance/targets", json=body).status_code == 422


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59.9999Z", "1960-01-01T00:00:00Z"])
def test_moments_beyond_the_calendar_are_refused(people, moment):
    staff = people.by_token("sam", Role.STAFF)
    unit = Unit("shop", "http", "/big")
    unit.response_bytes = 2_000_000
    monitor.record(unit)
    monitor.flush()
    (finding,) = staff.get("/api/performance/findings").json()["items"]
    muted = {"state": "muted", "muted_until": moment}
    assert staff.post(f"/api/performance/findings/{finding['id']}", json=muted).status_code == 422
    assert staff.get("/api/performance/findings").status_code == 200
    mark = {"service": "shop", "version": "1", "at": moment}
    assert staff.post("/api/performance/deploys", json=mark).status_code == 422


def test_a_deploy_is_marked(people):
    staff = people.by_token("sam", Role.STAFF)
    answer = staff.post(
        "/api/performance/deploys", json={"service": "shop", "version": "1.2", "note": "index"}
    )
    assert answer.status_code == 201
    assert db.metrics().value("select version from deploys") == "1.2"
    for wrong in ({"service": "shop\0"}, {"version": "1\n2"}):
        body = {"service": "shop", "version": "1.3"} | wrong
        assert staff.post("/api/performance/deploys", json=body).status_code == 422


@pytest.mark.parametrize("number", ["5", "1790000000", "1790000000000", "1e9"])
@pytest.mark.parametrize(
    ("address", "field"),
    [("overview?start={}", "start"), ("comparison?period=1h&route=a&at={}", "at")],
)
def test_a_number_is_no_time_in_an_address(viewer, address, field, number):
    answer = viewer.get(f"/api/performance/{address.format(number)}")
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"] == {
        field: "must be an ISO 8601 time with its offset, such as 2026-12-01T09:00:00Z"
    }


@pytest.mark.parametrize("number", [5, 12345.5, "1790000000", True])
@pytest.mark.parametrize(
    ("address", "body", "field"),
    [
        ("/api/performance/deploys", {"service": "shop", "version": "2"}, "at"),
        ("/api/performance/findings/x", {"state": "muted"}, "muted_until"),
        ("/api/webhooks/deliveries/replay", {}, "since"),
    ],
)
def test_a_number_is_no_time_in_a_body(people, address, body, field, number):
    answer = people.by_token("olga", Role.OPS).post(address, json=body | {field: number})
    assert answer.status_code == 422
    assert "ISO 8601" in answer.json()["error"]["fields"][field]
