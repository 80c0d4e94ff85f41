import json
from dataclasses import replace

import pytest

from engine import clock
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.queries import alerts as reads
from engine.records import alerts as records
from engine.records import db
from engine.services import alerts
from engine.words import Actor, Role
from tests.services.alerts.kit import HOUR, NOW, OPS, SLOW, beats, for_telling

SAM = Actor("sam", Role.STAFF)


@pytest.fixture
def ringing(at, requests):
    """An open alert of the rule `slow`."""
    alerts.save(OPS, replace(SLOW, to_open=1))
    requests(30, 900)
    beats(1)
    return reads.opened()[0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"id": "No Good"}, "rule_id"),
        ({"measure": "luck"}, "measure"),
        ({"title": ""}, "title"),
        ({"title": "x" * 101}, "title"),
        ({"window_s": 5}, "window_s"),
        ({"to_open": 0}, "to_open"),
        ({"to_clear": 0}, "to_clear"),
        ({"least_n": -1}, "least_n"),
        ({"service": ""}, "service"),
        ({"name": "x" * 401}, "name"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": float("inf")}, "threshold"),
    ],
)
def test_a_wrong_field_is_named(at, changes, field):
    with pytest.raises(InvalidInput) as caught:
        alerts.save(OPS, replace(SLOW, **changes))
    assert set(caught.value.fields) == {field}


def test_all_wrong_fields_are_named_at_once(at):
    with pytest.raises(InvalidInput) as caught:
        alerts.save(OPS, replace(SLOW, id="", title="", to_open=0))
    assert set(caught.value.fields) == {"rule_id", "title", "to_open"}


def test_rules_are_changed_by_ops_only(at):
    for act in (
        lambda: alerts.save(SAM, SLOW),
        lambda: alerts.remove(SAM, "slow"),
        lambda: alerts.mute(SAM, "slow", None),
    ):
        with pytest.raises(Forbidden):
            act()


def test_what_does_not_exist_is_not_found(at):
    for act in (
        lambda: alerts.remove(OPS, "missing"),
        lambda: alerts.mute(OPS, "missing", NOW + HOUR),
        lambda: alerts.acknowledge(OPS, 77),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_mute_ends_within_a_year(at):
    alerts.save(OPS, SLOW)
    for until_ms in (NOW - 1, NOW, NOW + 367 * 24 * HOUR):
        with pytest.raises(InvalidInput) as caught:
            alerts.mute(OPS, "slow", until_ms)
        assert set(caught.value.fields) == {"until"}


def test_there_is_an_end_to_how_many_rules(at):
    with db.metrics().write() as tx:
        for number in range(200):
            records.save(tx, replace(SLOW, id=f"r{number}"), at_ms=NOW, by="ann")
    with pytest.raises(Conflict):
        alerts.save(OPS, SLOW)
    assert not alerts.save(OPS, replace(SLOW, id="r7", threshold=1))


def test_a_rule_switched_off_closes_its_alert_and_says_so(ringing):
    alerts.save(OPS, replace(SLOW, to_open=1, enabled=False))
    assert reads.one(ringing.id).cleared_reason == "rule_off"
    event, data = for_telling()[-1]
    assert (event, data["alert_id"], data["reason"]) == ("alert.resolved", ringing.id, "rule_off")
    assert data["message"] == "Requests are slow: closed, its rule was switched off by olga"
    assert beats(1, start=NOW + alerts.EVERY_MS) == [0]


def test_a_removed_rule_closes_its_alert_and_says_so(ringing):
    alerts.remove(OPS, "slow")
    assert reads.one(ringing.id).cleared_reason == "rule_removed"
    assert for_telling()[-1][1]["reason"] == "rule_removed"
    assert reads.standings() == []


@pytest.mark.parametrize(
    "changes", [{"measure": "disk", "threshold": 90}, {"service": "shop"}, {"name": "/b"}]
)
def test_a_rule_that_looks_at_something_else_closes_its_alert(ringing, changes):
    alerts.save(OPS, replace(SLOW, **changes))
    assert reads.one(ringing.id).cleared_reason == "rule_changed"
    standing = reads.standing("slow")
    assert (standing.n_bad, standing.value, standing.evaluated_at_ms) == (0, None, None)


def test_a_new_threshold_keeps_the_alert_and_counts_anew(ringing):
    alerts.save(OPS, replace(SLOW, threshold=5_000, to_clear=2))
    assert reads.one(ringing.id).cleared_at_ms is None
    assert reads.standing("slow").n_bad == 0
    assert beats(2, start=NOW + alerts.EVERY_MS) == [0, 1]
    assert reads.one(ringing.id).cleared_reason == "good"


def test_bad_results_under_the_old_threshold_do_not_count_for_the_new_one(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=3))
    requests(30, 900)
    assert beats(2) == [0, 0]
    alerts.save(OPS, replace(SLOW, to_open=3, threshold=400))
    assert beats(3, start=NOW + 2 * alerts.EVERY_MS) == [0, 0, 1]


def test_a_new_title_changes_nothing_else(ringing):
    alerts.save(OPS, replace(SLOW, to_open=1, title="Slow"))
    assert reads.one(ringing.id).cleared_at_ms is None
    assert reads.standing("slow").n_bad == 1


def test_an_alert_is_acknowledged_once(ringing):
    alerts.acknowledge(SAM, ringing.id, "looking")
    found = reads.one(ringing.id)
    assert (found.acknowledged_by, found.note) == ("sam", "looking")
    with pytest.raises(Conflict, match="sam looks after it"):
        alerts.acknowledge(OPS, ringing.id)
    with pytest.raises(Forbidden):
        alerts.acknowledge(Actor("vera", Role.VIEWER), ringing.id)
    with pytest.raises(InvalidInput):
        alerts.acknowledge(SAM, ringing.id, "x" * 2_001)


def test_every_act_is_audited(ringing):
    alerts.acknowledge(OPS, ringing.id)
    alerts.mute(OPS, "slow", clock.now_ms() + HOUR)
    alerts.mute(OPS, "slow", None)
    alerts.remove(OPS, "slow")
    rows = db.main().read("select action from audit where actor = 'olga' order by id")
    assert [row["action"] for row in rows] == [
        "alert.rule",
        "alert.acknowledge",
        "alert.mute",
        "alert.unmute",
        "alert.remove",
    ]


def test_a_refused_act_leaves_no_audit_row_and_an_accepted_one_what_was_wanted(ringing):
    before = db.main().value("select max(id) from audit")
    for act in (
        lambda: alerts.remove(OPS, "missing"),
        lambda: alerts.mute(OPS, "missing", NOW + HOUR),
        lambda: alerts.acknowledge(OPS, 77),
        lambda: alerts.save(SAM, SLOW),
    ):
        with pytest.raises((NotFound, Forbidden)):
            act()
    alerts.mute(OPS, "slow", NOW + HOUR)
    alerts.save(OPS, replace(SLOW, threshold=7))
    rows = db.main().read("select action, detail from audit where id > :id order by id", id=before)
    details = [json.loads(row["detail"]) for row in rows]
    assert [row["action"] for row in rows] == ["alert.mute", "alert.rule"]
    assert details[0] == {"until": clock.iso(NOW + HOUR)}
    assert (details[1]["measure"], details[1]["threshold"]) == ("p95", 7)
    assert "outcome" not in details[1]
