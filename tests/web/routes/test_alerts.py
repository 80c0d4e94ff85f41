import pytest

from engine import clock
from engine.queries import alerts as reads
from engine.records import db
from engine.services import alerts
from engine.services.alerts import events
from engine.web import documents
from engine.words import Role

BASE = "/api/alerts"
RULES = f"{BASE}/rules"
RULE = {"title": "Slow orders", "measure": "p95", "threshold": 500}


@pytest.fixture
def vera(people):
    return people.by_token("vera", Role.VIEWER)


@pytest.fixture
def sam(people):
    return people.by_token("sam", Role.STAFF)


@pytest.fixture
def olga(people):
    return people.by_token("olga", Role.OPS)


@pytest.fixture
def ring(data_dir):
    """Open so many alerts, each of a rule of its own; clear those asked for."""

    def open_some(n, *, cleared=()):
        with db.metrics().write() as tx:
            for number, rule in enumerate(alerts.DEFAULTS[:n]):
                events.opened(tx, rule, 1_000, f"{rule.title} now", clock.now_ms())
                if number in cleared:
                    events.cleared(tx, rule, "good", "well", clock.now_ms())

    return open_some


def refused(answer, status, *fields, code=None):
    problem = documents.Failure.model_validate(answer.json()).error
    assert (answer.status_code, tuple(problem.fields or ())) == (status, fields)
    assert code is None or problem.code == code


def test_open_alerts_and_history_are_listed(vera, ring):
    ring(3, cleared={1})
    titles = [rule.title for rule in alerts.DEFAULTS[:3]]
    listed = vera.get(BASE).json()
    assert ([item["title"] for item in listed["items"]], listed["next"]) == ([titles[2], titles[0]], None)
    past = vera.get(BASE, params={"state": "history"}).json()["items"]
    assert [item["title"] for item in past] == titles[::-1]
    assert [item["state"] for item in past] == ["open", "cleared", "open"]
    assert past[1]["cleared_reason"] == "good"
    of_one = vera.get(BASE, params={"state": "history", "rule_id": past[1]["rule_id"]}).json()["items"]
    assert of_one == [past[1]]
    assert vera.get(f"{BASE}/{past[1]['alert_id']}").json() == past[1]


def test_a_list_goes_on_where_a_page_ended(vera, ring):
    ring(5, cleared={0, 1, 3})
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        params = {"state": "history", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = vera.get(BASE, params=params).json()
        seen += [item["alert_id"] for item in page["items"]]
        cursor, pages = page["next"], pages + 1
    assert (seen, pages) == ([5, 4, 3, 2, 1], 3)


def test_what_is_described_is_what_is_answered(vera, olga, ring):
    ring(1)
    olga.put(f"{RULES}/orders", json=RULE)
    for path, model in (
        (BASE, documents.AlertList),
        (f"{BASE}/1", documents.Alert),
        (RULES, documents.AlertRuleList),
        (f"{RULES}/orders", documents.AlertRule),
        (f"{BASE}/measures", documents.MeasureList),
    ):
        answered = vera.get(path).json()
        model.model_validate(answered)
        for found in answered.get("items", [answered]):
            kind = model.model_fields["items"].annotation.__args__[0] if "items" in answered else model
            assert set(found) == set(kind.model_fields)


def test_a_rule_from_making_to_removing(olga, vera):
    made = olga.put(f"{RULES}/orders", json={**RULE, "name": "/orders", "to_open": 2})
    assert made.status_code == 201
    rule = made.json()
    assert (rule["rule_id"], rule["threshold"], rule["to_open"], rule["to_clear"]) == ("orders", 500, 2, 3)
    assert (rule["enabled"], rule["open"], rule["value"], rule["muted_until"]) == (True, False, None, None)
    changed = olga.put(f"{RULES}/orders", json={**RULE, "enabled": False})
    assert (changed.status_code, changed.json()["name"], changed.json()["to_open"]) == (200, None, 3)
    assert [item["rule_id"] for item in vera.get(RULES).json()["items"]] == ["orders"]
    assert olga.delete(f"{RULES}/orders").status_code == 204
    refused(olga.delete(f"{RULES}/orders"), 404)
    refused(vera.get(f"{RULES}/orders"), 404)
    assert vera.get(RULES).json() == {"items": [], "next": None}


def test_a_mute_has_an_end_and_can_be_ended(olga):
    olga.put(f"{RULES}/orders", json=RULE)
    until = clock.iso(clock.now_ms() + 3_600_000)
    assert olga.post(f"{RULES}/orders/mute", json={"until": until}).json()["muted_until"] == until
    assert olga.post(f"{RULES}/orders/unmute").json()["muted_until"] is None
    for moment in ("2001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999Z", "2026-01-01T00:00:00", "soon"):
        refused(olga.post(f"{RULES}/orders/mute", json={"until": moment}), 422, "until")
    in_an_hour_s = clock.now_ms() // 1000 + 3_600  # a number may count seconds or milliseconds
    refused(olga.post(f"{RULES}/orders/mute", json={"until": in_an_hour_s}), 422, "until")
    refused(olga.post(f"{RULES}/orders/mute", json={}), 422, "until")
    refused(olga.post(f"{RULES}/missing/mute", json={"until": until}), 404)
    refused(olga.post(f"{RULES}/missing/unmute"), 404)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": " "}, "title"),
        ({"measure": "luck"}, "measure"),
        ({"threshold": "high"}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"window_s": 59}, "window_s"),
        ({"to_open": 101}, "to_open"),
        ({"to_clear": 1.5}, "to_clear"),
        ({"least_n": -1}, "least_n"),
        ({"service": ""}, "service"),
        ({"enabled": "perhaps"}, "enabled"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_field_of_a_rule_is_named(olga, change, field):
    refused(olga.put(f"{RULES}/orders", json={**RULE, **change}), 422, field, code="invalid_input")
    assert reads.standings() == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_threshold_is_a_number(olga, number):
    body = f'{{"title": "x", "measure": "p95", "threshold": {number}}}'
    answer = olga.put(f"{RULES}/orders", content=body, headers={"Content-Type": "application/json"})
    refused(answer, 422, "threshold")


def test_a_wrong_id_of_a_rule_is_named(olga):
    for name in ("No", "-x", "x" * 65, "caf%C3%A9"):
        refused(olga.put(f"{RULES}/{name}", json=RULE), 422, "rule_id")


def test_wrong_questions_are_refused(vera):
    for params, field in (
        ({"state": "closed"}, "state"),
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "9" * 25}, "cursor"),
    ):
        refused(vera.get(BASE, params=params), 422, field)
    refused(vera.get(f"{BASE}/none"), 422, "alert_id")
    refused(vera.get(f"{BASE}/{2**70}"), 422, "alert_id")
    refused(vera.get(f"{BASE}/7"), 404)


def test_an_alert_is_looked_after_by_one(vera, sam, olga, ring):
    ring(1)
    path = f"{BASE}/1/acknowledge"
    refused(sam.post(path, json={"note": "x" * 2_001}), 422, "note")
    found = sam.post(path, json={"note": "looking"}).json()
    assert (found["acknowledged_by"], found["note"], found["state"]) == ("sam", "looking", "open")
    refused(olga.post(path), 409, code="already_acknowledged")
    refused(olga.post(f"{BASE}/9/acknowledge"), 404)
    assert vera.get(f"{BASE}/1").json() == found


def test_each_role_does_what_it_may(people, vera, sam, ring):
    ring(1)
    refused(vera.post(f"{BASE}/1/acknowledge"), 403)
    until = {"until": clock.iso(clock.now_ms() + 60_000)}
    for client in (vera, sam):
        refused(client.put(f"{RULES}/orders", json=RULE), 403)
        refused(client.delete(f"{RULES}/disk"), 403)
        refused(client.post(f"{RULES}/disk/mute", json=until), 403)
        refused(client.post(f"{RULES}/disk/unmute"), 403)
    for path in (BASE, RULES, f"{BASE}/measures", f"{BASE}/1"):
        refused(people.client().get(path), 401)
        assert sam.get(path).status_code == 200


def test_every_act_is_audited(olga, ring):
    ring(1)
    olga.put(f"{RULES}/orders", json=RULE)
    olga.post(f"{RULES}/orders/mute", json={"until": clock.iso(clock.now_ms() + 60_000)})
    olga.post(f"{RULES}/orders/unmute")
    olga.delete(f"{RULES}/orders")
    olga.post(f"{BASE}/1/acknowledge")
    rows = db.main().read("select action, object from audit where action like 'alert.%' order by id")
    assert [(row["action"], row["object"]) for row in rows] == [
        ("alert.rule", "orders"),
        ("alert.mute", "orders"),
        ("alert.unmute", "orders"),
        ("alert.remove", "orders"),
        ("alert.acknowledge", "1"),
    ]


def test_measures_say_on_which_side_bad_is(vera):
    found = {item["measure"]: item for item in vera.get(f"{BASE}/measures").json()["items"]}
    assert set(found) == set(alerts.MEASURES)
    assert (found["apdex"]["bad"], found["p95"]["bad"], found["p95"]["unit"]) == ("below", "above", "ms")
