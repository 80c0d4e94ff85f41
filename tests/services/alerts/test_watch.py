from dataclasses import replace

import pytest

from engine import clock, tasks
from engine.queries import alerts as reads
from engine.records import alerts as records
from engine.records import db
from engine.records.alerts import Rule
from engine.records.schedules import MISSED
from engine.services import alerts, schedules
from engine.services.alerts import measures, watch
from tests.services.alerts.kit import HOUR, NOW, OPS, SLOW, beats, for_telling


def test_an_alert_opens_after_so_many_bad_results_and_clears_after_so_many_good_ones(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=3, to_clear=2))
    requests(30, 900)
    assert beats(3) == [0, 0, 1]
    (alert,) = reads.opened()
    assert alert.message == "p95 of requests: 900 ms (alarm above 500 ms), n = 30 over 5 min"
    later = NOW + 30 * 60_000
    requests(5_000, 10, at_ms=later - 60_000)
    assert beats(2, start=later) == [0, 1]
    assert reads.opened() == []
    assert [event for event, _ in for_telling()] == ["alert.opened", "alert.resolved"]
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


def test_with_too_little_traffic_the_window_widens_before_anything_is_said(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=1))
    requests(19, 900)
    assert beats(1) == [0]
    requests(10, 900, at_ms=NOW - 3 * HOUR)
    assert alerts.beat(NOW + alerts.EVERY_MS) == 1
    (alert,) = reads.opened()
    assert "n = 29 over" in alert.message


def test_low_apdex_is_bad(at, requests):
    alerts.save(OPS, replace(SLOW, measure="apdex", threshold=0.9, to_open=1))
    requests(20, 10)
    assert beats(1) == [0]
    requests(20, 5_000)
    assert alerts.beat(NOW + alerts.EVERY_MS) == 1


def test_error_rate_counts_failed_requests(at, requests):
    alerts.save(OPS, replace(SLOW, measure="error_rate", threshold=9, to_open=1))
    requests(30, 10, failed=3)
    assert beats(1) == [1]
    assert reads.opened()[0].first_value == pytest.approx(10)


def test_the_worst_value_is_kept(at, requests):
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


def test_stalled_tasks_and_drops_raise_alerts(at):
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
    for measure in ("stalled", "not_recorded", "disk"):
        threshold = 100 if measure == "disk" else 0
        rule = Rule(measure.replace("_", "-"), measure, measure, threshold, to_open=1, least_n=0)
        alerts.save(OPS, rule)
    assert beats(1) == [2]
    assert {alert.rule_id for alert in reads.opened()} == {"stalled", "not-recorded"}


def test_due_times_nobody_ran_for_raise_an_alert_and_those_of_a_removed_schedule_do_not(at):
    tasks.load()
    added = schedules.create(OPS, {"name": "night", "cron": "@daily", "type": "probe"})
    skipped = [(NOW - 7_200_000, MISSED), (NOW - 1_000, "schedule removed"), (NOW, MISSED), (NOW + 1, MISSED)]
    with db.main().write() as tx:
        for due_ms, reason in skipped:
            tx.run(
                """insert into occurrences
                       (schedule_id, due_at_ms, run_at_ms, decided_at_ms, decision, reason)
                   values (:id, :due, :due, :due, 'skipped', :reason)""",
                id=added.id,
                due=due_ms,
                reason=reason,
            )
    rule = Rule("missed", "Missed", "missed_occurrences", 1, window_s=3_600, to_open=1, least_n=0)
    alerts.save(OPS, rule)
    assert beats(1) == [1]
    assert reads.opened()[0].message == "Skipped due times of schedules: 2 (alarm above 1), n = 2 over 1 h"


def test_an_installation_begins_with_rules_that_can_be_removed_for_good(data_dir):
    alerts.beat(NOW)
    assert {s.rule.id for s in reads.standings()} == {rule.id for rule in alerts.DEFAULTS}
    alerts.remove(OPS, "disk")
    alerts.beat(NOW + alerts.EVERY_MS)
    assert "disk" not in {s.rule.id for s in reads.standings()}


def counts(rule_id="slow"):
    standing = reads.standing(rule_id)
    return standing.n_bad, standing.n_good


def test_flapping_results_open_nothing_and_clear_nothing(at, monkeypatch):
    alerts.save(OPS, replace(SLOW, measure="stalled", to_open=2, to_clear=2, threshold=0))
    found = iter([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0])
    monkeypatch.setattr(reads, "stalled_tasks", lambda now_ms: next(found))
    assert beats(12) == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]


def test_the_worst_of_what_should_be_high_is_the_lowest(at, requests):
    alerts.save(OPS, replace(SLOW, measure="apdex", threshold=0.9, to_open=1))
    requests(20, 10, failed=10)
    beats(1)
    requests(30, 10, failed=30)
    beats(1, start=NOW + alerts.EVERY_MS)
    (alert,) = reads.opened()
    assert (alert.first_value, alert.worst_value) == (0.5, 0.2)  # 10 of 20, then 10 of 50


def test_old_requests_are_not_judged_again_when_none_come_any_more(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=3))
    requests(30, 900)
    assert beats(1) == [0]
    assert beats(20, start=NOW + HOUR) == [0] * 20
    assert counts() == (1, 0)
    assert (reads.standing("slow").value, reads.standing("slow").n) == (None, 0)


def test_an_alert_whose_traffic_has_ended_clears_after_an_hour_of_silence(at, requests):
    alerts.save(OPS, replace(SLOW, name="/orders", to_open=1))
    requests(30, 900)
    beats(1)
    assert beats(120, start=NOW + HOUR) == [0] * 119 + [1]
    (alert,) = reads.history()
    assert alert.cleared_reason == "no_data"
    _, (event, data) = for_telling()
    assert (event, data["reason"], data["value"]) == ("alert.resolved", "no_data", None)
    assert data["message"] == "p95 of requests of /orders: too little to measure for 1 h, n = 0"
    assert counts() == (0, 0)


def test_one_request_an_hour_keeps_an_alert_open(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=1, least_n=1))
    for hour in range(3):
        requests(1, 900, at_ms=NOW + hour * HOUR - 1_000)
        beats(119, start=NOW + hour * HOUR)
    assert len(reads.opened()) == 1


def test_a_trickle_too_thin_to_mean_anything_is_silence(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=1, window_s=60))
    requests(30, 900)
    beats(1)
    day = NOW + 25 * HOUR
    for k in range(120):
        requests(1 if k % 10 == 0 else 0, 900, at_ms=day + k * alerts.EVERY_MS)
    assert beats(120, start=day) == [0] * 119 + [1]
    assert reads.history()[0].cleared_reason == "no_data"


def test_one_rule_that_fails_holds_up_no_other(at, requests, monkeypatch, caplog):
    alerts.save(OPS, replace(SLOW, to_open=1))
    alerts.save(OPS, Rule("disk", "A disk that is away", "disk", 90))

    def away(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(measures.shutil, "disk_usage", away)
    requests(30, 900)
    assert beats(1) == [1]


def test_a_clock_that_goes_back_stops_nothing_and_no_alert_ends_before_it_began(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=1, to_clear=1))
    requests(30, 900)
    assert beats(1) == [1]
    earlier = NOW - 10 * HOUR
    requests(30, 10, at_ms=earlier - 60_000)
    assert beats(1, start=earlier) == [1]
    (alert,) = reads.history()
    assert (alert.opened_at_ms, alert.cleared_at_ms) == (NOW, NOW)


def test_a_rule_switched_off_while_it_is_measured_opens_nothing(at, requests, monkeypatch):
    alerts.save(OPS, replace(SLOW, measure="stalled", to_open=1, threshold=0))

    def meanwhile(now_ms):
        alerts.save(OPS, replace(SLOW, measure="stalled", to_open=1, threshold=0, enabled=False))
        return 1

    monkeypatch.setattr(reads, "stalled_tasks", meanwhile)
    assert beats(1) == [0]
    assert reads.opened() == []


def test_a_rule_removed_while_it_is_measured_opens_nothing(at, monkeypatch):
    alerts.save(OPS, replace(SLOW, measure="stalled", to_open=1, threshold=0))

    def meanwhile(now_ms):
        alerts.remove(OPS, "slow")
        return 1

    monkeypatch.setattr(reads, "stalled_tasks", meanwhile)
    assert beats(1) == [0]
    assert reads.history() == []


def test_history_is_forgotten_after_its_keep_with_what_was_told(at, requests):
    alerts.save(OPS, replace(SLOW, to_open=1, to_clear=1))
    requests(30, 900)
    beats(1)
    late = NOW + alerts.KEEP_MS + HOUR
    requests(30, 10, at_ms=late - 60_000)
    assert beats(1, start=late) == [1]  # an open alert is kept, however old
    assert beats(1, start=late + alerts.KEEP_MS) == [0]
    assert len(reads.history()) == 1
    beats(1, start=late + alerts.KEEP_MS + HOUR)
    assert (reads.history(), for_telling()) == ([], [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (12.345, "12.3"),
        (99.96, "100"),
        (999.6, "1,000"),
        (15_000.4, "15,000"),
        (2e6, "2,000,000"),
    ],
)
def test_numbers_are_written_for_people(value, text):
    assert alerts.figure(value) == text


def test_thresholds_are_written_as_given():
    assert [alerts.exact(number) for number in (500, 0.905, 2_000_000)] == ["500", "0.905", "2,000,000"]


@pytest.fixture
def reading(monkeypatch):
    """Whose windows were read, in order; each read takes a tenth of a second of the budget."""
    read, passed_s, really = [], [0.0], measures.performance.figures

    def slowly(selection):
        read.append(selection.name)
        passed_s[0] += 0.1
        return really(selection)

    monkeypatch.setattr(measures.performance, "figures", slowly)
    monkeypatch.setattr(clock, "elapsed", lambda: passed_s[0])
    return read


def test_a_window_is_read_once_for_all_rules_that_look_at_it(at, reading):
    for measure in ("p95", "error_rate", "apdex"):
        for number in range(2):
            alerts.save(OPS, Rule(f"{measure[:3]}-{number}", measure, measure, number))
    beats(1)
    assert reading == [None]
    assert all(standing.evaluated_at_ms == NOW for standing in reads.standings())


def test_rules_that_one_beat_has_no_time_for_have_their_turn_at_the_next_in_fair_order(at, reading):
    """A quarter of a second is spent after three reads of a tenth each."""
    assert alerts.BUDGET_S == 0.25
    for number in range(7):
        alerts.save(OPS, replace(SLOW, id=f"r{number}", name=f"/{number}"))
    for second in range(4):
        alerts.beat(NOW + second * 1_000)
    assert reading == [f"/{number}" for number in range(7)]
    reading.clear()
    alerts.beat(NOW + alerts.EVERY_MS)
    assert reading == ["/0", "/1", "/2"]
    reading.clear()
    alerts.save(OPS, replace(SLOW, id="new", name="/new"))
    alerts.beat(NOW + alerts.EVERY_MS + 5_000)
    assert reading == ["/new", "/3", "/4"]


def test_a_rule_that_fails_waits_for_its_turn_like_the_others(at, reading, monkeypatch):
    tried = []

    def away(path):
        tried.append(path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(measures.shutil, "disk_usage", away)
    alerts.save(OPS, Rule("disk", "A disk that is away", "disk", 90))
    for second in range(31):
        alerts.beat(NOW + second * 1_000)
    assert len(tried) == 2


def test_of_two_processes_one_evaluates_a_rule(at, reading):
    alerts.save(OPS, SLOW)
    with db.metrics().write() as tx:
        assert records.take(tx, "slow", NOW)
        assert not records.take(tx, "slow", NOW + alerts.EVERY_MS - 1)
    assert alerts.beat(NOW) == 0
    assert reading == []


def test_it_is_known_for_how_long_a_rule_waits_for_its_evaluation(at):
    alerts.save(OPS, SLOW)
    alerts.save(OPS, replace(SLOW, id="off", enabled=False))
    beats(1)
    late = {s.rule.id: s.late_ms(NOW + 95_000) for s in reads.standings()}
    assert late == {"slow": 65_000, "off": 0}
    assert reads.latest_ms(NOW + alerts.EVERY_MS) == 0
    alerts.save(OPS, replace(SLOW, threshold=7))  # changed now: nothing is owed from before
    assert reads.standing("slow").late_ms(NOW + alerts.EVERY_MS) == 0


def test_lateness_is_logged(at, monkeypatch):
    alerts.save(OPS, SLOW)
    said = []
    monkeypatch.setattr(watch._log, "warning", lambda event, **values: said.append((event, values)))
    beats(1)
    beats(1, start=NOW + HOUR)
    assert said == [("alert rules evaluated late", {"seconds": 3_570})]
