import json
from dataclasses import replace

import pytest

from engine import clock
from engine.errors import Forbidden, InvalidInput, NotFound
from engine.queries import alerts as reads
from engine.records import alerts as records
from engine.records import db
from engine.records.alerts import Rule
from engine.services import alerts, monitor
from engine.services.monitor import Unit
from engine.words import SYSTEM, Actor, Role

OPS = Actor("olga", Role.OPS)
NOW = 1_790_000_000_000
SLOW = Rule("slow", "Requests are slow", "p95", 500, least_n=20)


@pytest.fixture
def at(data_dir, monkeypatch):
    monkeypatch.setattr(clock, "_wall", lambda: NOW / 1000)
    with db.metrics().write() as tx:  # the rules an installation begins with are of no interest here
        tx.run("insert into watermarks (name, at_ms) values ('alerts_seeded', 1)")
    return NOW


def requests(n, duration_ms, *, ago_ms=60_000, failed=0):
    for number in range(n):
        unit = Unit("shop", "http", "/orders")
        unit.at_ms, unit.duration_us, unit.status = NOW - ago_ms, duration_ms * 1000, 200
        unit.failed = number < failed
        monitor.record(unit)
    monitor.flush()


def beats(n, *, start=NOW, notify=lambda happened: None):
    return [alerts.beat(start + k * alerts.EVERY_MS, notify=notify) for k in range(n)]


def test_an_alert_opens_after_so_many_bad_results_and_clears_after_so_many_good_ones(at):
    alerts.save(OPS, replace(SLOW, to_open=3, to_clear=2))
    requests(30, 900)
    heard = []
    assert beats(3, notify=heard.append) == [0, 0, 1]
    (alert,) = reads.opened()
    assert alert.message == "p95 of requests: 900 ms (alarm above 500 ms), n = 30 over 5 min"
    later = NOW + 30 * 60_000
    requests(5_000, 10, ago_ms=-29 * 60_000)
    assert beats(2, start=later, notify=heard.append) == [0, 1]
    assert reads.opened() == []
    assert [h.event for h in heard] == ["alert.opened", "alert.resolved"]
    assert reads.history()[0].cleared_at_ms == later + alerts.EVERY_MS


def test_one_good_result_starts_the_count_anew(at):
    alerts.save(OPS, replace(SLOW, measure="oldest_waiting", threshold=0.5, least_n=0, to_open=2))
    for k, waits in enumerate([True, False, True]):
        with db.main().write() as tx:
            tx.run("delete from tasks")
            if waits:
                tx.run(
                    """insert into tasks (id, type, state, payload, payload_hash, owner, correlation_id,
                           created_at_ms, queued_at_ms, max_attempts)
                       values ('t', 'probe', 'queued', '{}', '', 'ann', 'c', 1, 1, 1)"""
                )
        assert alerts.beat(NOW + k * alerts.EVERY_MS) == 0


def test_with_too_little_traffic_the_window_widens_before_anything_is_said(at):
    alerts.save(OPS, replace(SLOW, to_open=1))
    requests(19, 900)
    assert beats(1) == [0]
    requests(10, 900, ago_ms=3 * 3_600_000)
    assert alerts.beat(NOW + alerts.EVERY_MS) == 1
    (alert,) = reads.opened()
    assert "n = 29 over" in alert.message


def test_low_apdex_is_bad(at):
    alerts.save(OPS, replace(SLOW, measure="apdex", threshold=0.9, to_open=1))
    requests(20, 10)
    assert beats(1) == [0]
    requests(20, 5_000)
    assert alerts.beat(NOW + alerts.EVERY_MS) == 1


def test_error_rate_counts_failed_requests(at):
    alerts.save(OPS, replace(SLOW, measure="error_rate", threshold=9, to_open=1))
    requests(30, 10, failed=3)
    assert beats(1) == [1]
    assert reads.opened()[0].first_value == pytest.approx(10)


def test_a_muted_rule_tells_nobody_and_keeps_its_history(at):
    alerts.save(OPS, replace(SLOW, to_open=1))
    alerts.mute(OPS, "slow", NOW + 3_600_000)
    requests(30, 900)
    heard = []
    assert beats(1, notify=heard.append) == [1]
    assert heard == []
    assert len(reads.opened()) == 1


def test_the_worst_value_is_kept(at):
    alerts.save(OPS, replace(SLOW, to_open=1, threshold=100))
    requests(30, 200)
    beats(1)
    requests(300, 700)
    alerts.beat(NOW + alerts.EVERY_MS)
    (alert,) = reads.opened()
    assert (alert.first_value, alert.worst_value) == (
        pytest.approx(200, rel=0.02),
        pytest.approx(700, rel=0.02),
    )


def test_missed_schedules_stalled_tasks_and_drops_raise_alerts(at):
    with db.main().write() as tx:
        tx.run(
            """insert into tasks (id, type, state, payload, payload_hash, owner, correlation_id,
                   created_at_ms, max_attempts, lease_until_ms)
               values ('t', 'probe', 'running', '{}', '', 'ann', 'c', 1, 1, :past)""",
            past=NOW - 1,
        )
    with db.metrics().write() as tx:
        tx.run(
            """insert into recorders (id, service, started_at_ms, seen_at_ms, ended_at_ms, n_lost)
               values ('1-a', 'shop', 1, 1, :now, 7)""",
            now=NOW,
        )
    for measure in ("stalled", "not_recorded", "missed_occurrences", "disk"):
        threshold = 100 if measure == "disk" else 0
        rule = Rule(measure.replace("_", "-"), measure, measure, threshold, to_open=1, least_n=0)
        alerts.save(OPS, rule)
    assert beats(1) == [2]
    assert {alert.rule_id for alert in reads.opened()} == {"stalled", "not-recorded"}


def test_an_installation_begins_with_rules_that_can_be_removed_for_good(data_dir):
    alerts.beat(NOW)
    assert {s.rule.id for s in reads.standings()} == {rule.id for rule in alerts.DEFAULTS}
    alerts.remove(OPS, "disk")
    alerts.beat(NOW + alerts.EVERY_MS)
    assert "disk" not in {s.rule.id for s in reads.standings()}


def test_rules_are_checked_and_kept_to_ops(at):
    for wrong in (
        replace(SLOW, id="No Good"),
        replace(SLOW, measure="luck"),
        replace(SLOW, title=""),
        replace(SLOW, window_s=5),
        replace(SLOW, to_open=0),
        replace(SLOW, to_clear=0),
        replace(SLOW, threshold=float("nan")),
    ):
        with pytest.raises(InvalidInput):
            alerts.save(OPS, wrong)
    with pytest.raises(Forbidden):
        alerts.save(Actor("sam", Role.STAFF), SLOW)
    with pytest.raises(NotFound):
        alerts.remove(OPS, "missing")
    with pytest.raises(InvalidInput):
        alerts.mute(OPS, "slow", NOW - 1)


def test_a_disabled_rule_closes_its_alert(at):
    alerts.save(OPS, replace(SLOW, to_open=1))
    requests(30, 900)
    beats(1)
    alerts.save(OPS, replace(SLOW, enabled=False))
    assert reads.opened() == []
    assert alerts.beat(NOW + alerts.EVERY_MS) == 0


def test_an_alert_is_acknowledged_once_and_audited(at):
    alerts.save(OPS, replace(SLOW, to_open=1))
    requests(30, 900)
    beats(1)
    (alert,) = reads.opened()
    alerts.acknowledge(Actor("sam", Role.STAFF), alert.id, "looking")
    assert reads.opened()[0].acknowledged_by == "sam"
    with pytest.raises(NotFound):
        alerts.acknowledge(OPS, alert.id)
    with pytest.raises(Forbidden):
        alerts.acknowledge(Actor("vera", Role.VIEWER), alert.id)
    assert db.main().value("select count(*) from audit where action = 'alert.acknowledge'") == 1


def test_two_processes_open_one_alert(at):
    with db.metrics().write() as tx:
        records.save(tx, SLOW, at_ms=NOW, by="ann")
        assert records.open_alert(tx, SLOW, value=1, message="m", at_ms=NOW)
        assert not records.open_alert(tx, SLOW, value=1, message="m", at_ms=NOW)


def test_endpoints_of_those_who_operate_are_told(at):
    from engine import tasks
    from engine.services import webhooks

    tasks.load()
    webhooks.create(SYSTEM, {"url": "https://hooks.example.com/ops", "events": ["alert.*"]})
    alerts.save(OPS, replace(SLOW, to_open=1))
    requests(30, 900)
    assert alerts.beat(NOW) == 1
    (told,) = db.main().read("select event, body from webhook_messages")
    assert told["event"] == "alert.opened"
    assert json.loads(told["body"])["data"]["rule_id"] == "slow"
